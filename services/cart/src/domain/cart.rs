//! A cart, its lines, their valid changes, and the checkout that moves them to an order. Pure.

use std::collections::BTreeSet;

use agora_events::cart::{Cart as CartUpdated, CartEvent, CartLine};
use agora_vocab::{CartId, LineId, Money, OrderId, ProductId, Quantity, UserId, Variant};
use serde::{Deserialize, Serialize};

use super::owner::{Owner, TokenDigest};

/// Maximum number of lines of a cart, and therefore of an order.
pub const LINES_MAX: usize = 100;
/// Maximum number of removed lines that a cart lists.
const REMOVED_MAX: usize = 100;

/// A shopper's cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cart {
    pub id: CartId,
    pub owner: Owner,
    /// Incremented by each change; also the sequence number of the event of a user's cart. 0: the cart has never had a line.
    pub version: i64,
    /// Its lines, oldest first; no two of the same product and variant, and all of one currency.
    pub lines: Vec<Line>,
    /// Lines that the cart could not keep. They stay until the next change by the user.
    pub removed: Vec<RemovedLine>,
}

/// A line that is no longer part of its cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedLine {
    pub line: Line,
    pub reason: RemovalReason,
}

/// Why a cart could not keep a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemovalReason {
    /// The product or its variant is deleted.
    Deleted,
    /// The product has another currency than the other lines of the cart.
    Currency,
    /// The cart has [`LINES_MAX`] other lines.
    Full,
    /// Units of a guest's line for which the stock is insufficient.
    Stock,
    /// Units of a guest's line that would exceed [`agora_vocab::QUANTITY_MAX`].
    Quantity,
}

impl RemovalReason {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Currency => "currency",
            Self::Full => "full",
            Self::Stock => "stock",
            Self::Quantity => "quantity",
        }
    }
}

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub id: LineId,
    pub product: ProductId,
    pub variant: Variant,
    /// Number of units.
    pub quantity: Quantity,
    /// Unit price when the user last changed the line.
    pub seen: Money,
    /// Unit price of the last event about the line; `None` if it is the one that the user has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Money>,
}

impl Cart {
    /// The empty cart of a user, of version 0. Its id equals the user's id, so it is stable before the cart is stored.
    pub const fn of(user: UserId) -> Self {
        Self::empty(CartId::new(user.uuid()), Owner::User(user), 0)
    }

    /// The empty cart of a guest, of version 0.
    pub const fn of_guest(id: CartId, token: TokenDigest) -> Self {
        Self::empty(id, Owner::Guest(token), 0)
    }

    const fn empty(id: CartId, owner: Owner, version: i64) -> Self {
        Self { id, owner, version, lines: Vec::new(), removed: Vec::new() }
    }

    /// The cart, which is empty, with the lines that are stored for it. Every stored state is a valid cart: what cannot be
    /// part of it, such as a line of another currency than the first, becomes a removed line.
    #[must_use]
    pub fn with_stored(mut self, stored: Vec<Line>, deleted: &BTreeSet<ProductId>) -> Self {
        for line in stored {
            let currency = self.lines.first().map_or(line.seen.currency, |first| first.seen.currency);
            if deleted.contains(&line.product) {
                self.removed.push(RemovedLine { line, reason: RemovalReason::Deleted });
            } else if line.seen.currency != currency {
                self.removed.push(RemovedLine { line, reason: RemovalReason::Currency });
            } else if self.lines.len() >= LINES_MAX {
                self.removed.push(RemovedLine { line, reason: RemovalReason::Full });
            } else {
                self.lines.push(line);
            }
        }
        self.removed.truncate(REMOVED_MAX);
        self
    }

    /// The lines to store: [`Self::with_stored`] gives the same cart back.
    pub fn stored_lines(&self) -> Vec<&Line> {
        self.lines.iter().chain(self.removed.iter().map(|removed| &removed.line)).collect()
    }

    /// The event that carries the current lines; `None` for a guest's cart, which is of no concern to other services.
    pub fn updated(&self) -> Option<CartEvent> {
        let Owner::User(user_id) = self.owner else { return None };
        let line = |line: &Line| CartLine {
            product_id: line.product,
            variant: line.variant.as_str().to_owned(),
            quantity: line.quantity.get(),
        };
        let items = self.lines.iter().map(line).collect();
        Some(CartEvent::Updated(CartUpdated { cart_id: self.id, user_id, version: self.version, items }))
    }

    /// Adds a line, or adds its units to the line of the same product and variant at the new price. Returns the resulting
    /// line.
    pub fn add(&mut self, line: Line) -> Result<Line, Refused> {
        let same = |there: &&mut Line| there.product == line.product && there.variant == line.variant;
        let added = if let Some(there) = self.lines.iter_mut().find(same) {
            let units = i64::from(there.quantity.get()) + i64::from(line.quantity.get());
            there.quantity = Quantity::parse(units).map_err(|_| Refused::QuantityTooLarge)?;
            (there.seen, there.reported) = (line.seen, None);
            there.clone()
        } else {
            self.lines.push(line.clone());
            line
        };
        self.changed();
        Ok(added)
    }

    /// Returns the line with this id.
    pub fn line(&self, id: LineId) -> Option<&Line> {
        self.lines.iter().find(|line| line.id == id)
    }

    /// Sets the units of a line and the price that its user has seen; `None`: the user has seen no current price. Returns
    /// the resulting line; `None` without the line.
    pub fn change(&mut self, id: LineId, quantity: Quantity, seen: Option<Money>) -> Option<Line> {
        let line = self.lines.iter_mut().find(|line| line.id == id)?;
        line.quantity = quantity;
        if let Some(seen) = seen {
            (line.seen, line.reported) = (seen, None);
        }
        let line = line.clone();
        self.changed();
        Some(line)
    }

    /// Removes a line and returns it; `None` without the line.
    pub fn remove(&mut self, id: LineId) -> Option<Line> {
        let at = self.lines.iter().position(|line| line.id == id)?;
        self.changed();
        Some(self.lines.remove(at))
    }

    /// Removes all lines, and those that the cart could not keep.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.changed();
    }

    /// Moves all lines to an order: returns the empty cart and the checkout. `None` if the cart has no lines.
    pub fn check_out(self, order: OrderId) -> Option<(Self, Checkout)> {
        let Self { id, owner, version, lines, removed: _ } = self;
        let emptied = Self::empty(id, owner, version + 1);
        (!lines.is_empty()).then_some((emptied, Checkout { order, cart: id, version, lines }))
    }

    /// Adds the lines of a cancelled checkout. Quantities are summed up to the limit of a line. The lines that the cart has
    /// keep their place: a returned line of another currency, of a deleted product or over the limit of a cart is removed.
    pub fn restore(&mut self, returned: Vec<Line>, deleted: &BTreeSet<ProductId>) {
        let known = self.removed.iter().filter(|removed| removed.reason == RemovalReason::Deleted);
        let deleted = known.map(|removed| removed.line.product).chain(deleted.iter().copied()).collect();
        let mut lines = merge_lines(std::mem::take(&mut self.lines), returned);
        lines.extend(self.removed.drain(..).map(|removed| removed.line));
        *self = Self::empty(self.id, self.owner, self.version + 1).with_stored(lines, &deleted);
    }

    /// Lists further lines as removed.
    pub(super) fn keep_removed(&mut self, lines: Vec<RemovedLine>) {
        self.removed.extend(lines);
        self.removed.truncate(REMOVED_MAX);
    }

    /// The user has changed the cart, and has seen what was removed from it.
    fn changed(&mut self) {
        self.version += 1;
        self.removed.clear();
    }

    /// The distinct products of the cart.
    pub fn products(&self) -> BTreeSet<ProductId> {
        self.lines.iter().map(|line| line.product).collect()
    }
}

/// Why a change of a cart is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The product does not exist or is deleted.
    UnknownProduct,
    /// The product has no such variant.
    UnknownVariant,
    /// Stock is insufficient.
    Insufficient {
        product: ProductId,
        /// Units of the line after the change.
        requested: u32,
        available: i64,
    },
    /// The line would exceed [`agora_vocab::QUANTITY_MAX`] units.
    QuantityTooLarge,
    /// The cart would exceed [`LINES_MAX`] lines.
    TooManyLines,
    /// The product has another currency than the cart.
    OtherCurrency,
}

fn merge_lines(mut lines: Vec<Line>, returned: Vec<Line>) -> Vec<Line> {
    for line in returned {
        match lines.iter_mut().find(|there| there.product == line.product && there.variant == line.variant) {
            Some(there) => there.quantity = there.quantity.saturating_add(line.quantity),
            None => lines.push(line),
        }
    }
    lines
}

/// The lines that an order has moved out of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    pub order: OrderId,
    pub cart: CartId,
    /// Version of the cart that was checked out; unique among checkouts of the cart.
    pub version: i64,
    pub lines: Vec<Line>,
}

/// State of a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckoutState {
    /// In progress: the order has the lines.
    Taken,
    /// Cancelled: the lines are back in the cart, or the checkout was cancelled before it began.
    Returned,
    /// Completed: the order is placed.
    Done,
}

impl CheckoutState {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Returned => "returned",
            Self::Done => "done",
        }
    }

    /// Parses the name on the wire and in the database.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Taken, Self::Returned, Self::Done].into_iter().find(|state| state.as_str() == name)
    }
}
