//! A cart, its lines, their valid changes, and the checkout that moves them to an order. Pure.

use std::collections::BTreeSet;

use agora_events::cart::{Cart as CartUpdated, CartEvent, CartLine};
use agora_vocab::{CartId, Invalid, LineId, Money, MoneyError, OrderId, ProductId, Quantity, UserId};
use serde::{Deserialize, Serialize};

/// Maximum number of lines of a cart, and therefore of an order.
pub const LINES_MAX: usize = 100;
const VARIANT_CHARACTERS_MAX: usize = 64;

/// A variant of a product: up to 64 characters; empty for a product without variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variant(String);

impl Variant {
    /// Accepts up to 64 characters on one line; trims surrounding whitespace.
    pub fn parse(variant: &str) -> Result<Self, Invalid> {
        let variant = variant.trim();
        if variant.chars().count() > VARIANT_CHARACTERS_MAX || variant.chars().any(char::is_control) {
            let message = format!("must be at most {VARIANT_CHARACTERS_MAX} characters on one line");
            return Err(Invalid::new("variant", message));
        }
        Ok(Self(variant.to_owned()))
    }

    /// The variant's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A shopper's cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    pub id: CartId,
    /// The owner of the cart.
    pub user: UserId,
    /// Incremented by each change; also the sequence number of the change's event. 0: the cart has never had a line.
    pub version: i64,
    /// Its lines, oldest first; no two of the same product and variant.
    pub lines: Vec<Line>,
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
}

impl Cart {
    /// The empty cart of a user, of version 0. Its id equals the user's id, so it is stable before the cart is stored.
    pub const fn of(user: UserId) -> Self {
        Self { id: CartId::new(user.uuid()), user, version: 0, lines: Vec::new() }
    }

    /// The event that carries the current lines.
    pub fn updated(&self) -> CartEvent {
        let line = |line: &Line| CartLine {
            product_id: line.product,
            variant: line.variant.0.clone(),
            quantity: line.quantity.get(),
        };
        let items = self.lines.iter().map(line).collect();
        CartEvent::Updated(CartUpdated { cart_id: self.id, user_id: self.user, version: self.version, items })
    }

    /// Adds a line, or adds its units to the line of the same product and variant at the new price. Returns the resulting
    /// line.
    pub fn add(&mut self, line: Line) -> Result<Line, Refused> {
        let same = |there: &&mut Line| there.product == line.product && there.variant == line.variant;
        let added = if let Some(there) = self.lines.iter_mut().find(same) {
            let units = i64::from(there.quantity.get()) + i64::from(line.quantity.get());
            there.quantity = Quantity::parse(units).map_err(|_| Refused::QuantityTooLarge)?;
            there.seen = line.seen;
            there.clone()
        } else {
            self.lines.push(line.clone());
            line
        };
        self.version += 1;
        Ok(added)
    }

    /// Returns the line with this id.
    pub fn line(&self, id: LineId) -> Option<&Line> {
        self.lines.iter().find(|line| line.id == id)
    }

    /// Sets the units of a line and the price that its user has seen. Returns the resulting line; `None` without the line.
    pub fn change(&mut self, id: LineId, quantity: Quantity, seen: Money) -> Option<Line> {
        let line = self.lines.iter_mut().find(|line| line.id == id)?;
        (line.quantity, line.seen) = (quantity, seen);
        self.version += 1;
        Some(line.clone())
    }

    /// Removes a line and returns it; `None` without the line.
    pub fn remove(&mut self, id: LineId) -> Option<Line> {
        let at = self.lines.iter().position(|line| line.id == id)?;
        self.version += 1;
        Some(self.lines.remove(at))
    }

    /// Moves all lines to an order: returns the empty cart and the checkout. `None` if the cart has no lines.
    pub fn check_out(self, order: OrderId) -> Option<(Self, Checkout)> {
        let Self { id, user, version, lines } = self;
        let emptied = Self { id, user, version: version + 1, lines: Vec::new() };
        (!lines.is_empty()).then_some((emptied, Checkout { order, cart: id, version, lines }))
    }

    /// Adds the lines of a cancelled checkout. Quantities are summed up to the limit of a line, lines are added up to the
    /// limit of a cart, and deleted products are left out.
    pub fn restore(&mut self, lines: Vec<Line>, deleted: &BTreeSet<ProductId>) {
        self.lines = merge_lines(std::mem::take(&mut self.lines), lines, deleted);
        self.version += 1;
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
    /// The total overflows.
    Total(MoneyError),
}

fn merge_lines(mut lines: Vec<Line>, back: Vec<Line>, deleted: &BTreeSet<ProductId>) -> Vec<Line> {
    for line in back.into_iter().filter(|line| !deleted.contains(&line.product)) {
        let full = lines.len() >= LINES_MAX;
        match lines.iter_mut().find(|there| there.product == line.product && there.variant == line.variant) {
            Some(there) => there.quantity = there.quantity.saturating_add(line.quantity),
            None if full => {}
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
