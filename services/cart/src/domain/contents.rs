//! A cart with its products: the check of a change and the view that its owner gets. Pure.

use std::collections::{BTreeMap, BTreeSet};

use agora_vocab::{CartId, Currency, Money, ProductId, Variant};
use serde::{Deserialize, Serialize};

use super::{
    cart::{Cart, LINES_MAX, Line, Refused, RemovalReason, RemovedLine},
    product::{ProductCopy, QuoteResult, QuotedLine},
};

/// A cart with the stored copies of its products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    pub cart: Cart,
    /// Stored copies of its products.
    pub copies: BTreeMap<ProductId, ProductCopy>,
}

/// The cart as shown to its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub id: CartId,
    /// The cart's version.
    pub version: i64,
    /// Its lines, oldest first.
    pub items: Vec<Item>,
    /// Total of all lines, including unavailable ones.
    pub total: Money,
    /// Lines that the cart could not keep.
    #[serde(default)]
    pub removed: Vec<RemovedItem>,
}

/// A removed line as shown to the cart's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedItem {
    pub line: Line,
    /// The product's name.
    pub name: String,
    pub reason: RemovalReason,
}

/// A cart line as shown to the cart's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub line: Line,
    /// The product's name.
    pub name: String,
    /// URL of a picture.
    pub image_url: Option<String>,
    /// Current unit price; the last known price while the catalog is unavailable.
    pub price: Money,
    /// Whether stock covers the quantity; false while the catalog is unavailable.
    pub available: bool,
}

impl Item {
    /// Whether the price differs from the price at the user's last change of the line.
    pub fn price_changed(&self) -> bool {
        self.price != self.line.seen
    }

    /// The price at the user's last change of the line, if the current one differs.
    pub fn previous_price(&self) -> Option<Money> {
        self.price_changed().then_some(self.line.seen)
    }
}

impl Contents {
    /// A cart, which is empty, with its stored lines and the copies of their products. The next change of the cart also
    /// removes from the store what cannot be part of it.
    pub fn read(empty: Cart, stored: Vec<Line>, copies: BTreeMap<ProductId, ProductCopy>) -> Self {
        let deleted: BTreeSet<_> = copies.values().filter(|copy| copy.deleted).map(|copy| copy.product).collect();
        Self { cart: empty.with_stored(stored, &deleted), copies }
    }

    /// Validates the cart after a change of `product`.
    pub fn check(&self, product: ProductId, variant: &Variant, quoted: &QuotedLine) -> Result<(), Refused> {
        let lines = &self.cart.lines;
        if lines.len() > LINES_MAX {
            return Err(Refused::TooManyLines);
        }
        if lines.iter().any(|line| line.seen.currency != quoted.price.currency) {
            return Err(Refused::OtherCurrency);
        }
        let line = lines.iter().find(|line| line.product == product && line.variant == *variant);
        let requested = line.map_or(0, |line| line.quantity.get());
        let available = quoted.stock_of(variant).ok_or(Refused::UnknownVariant)?;
        if i64::from(requested) > available {
            return Err(Refused::Insufficient { product, requested, available: available.max(0) });
        }
        Ok(())
    }

    /// Builds the view from the quote; products without a quote are shown from their copies. Never fails, whatever is stored:
    /// a line whose price cannot be added to the total is shown as removed.
    pub fn view(&self, quote: &QuoteResult) -> View {
        let removed = self.cart.removed.iter().map(|RemovedLine { line, reason }| self.removed(line, *reason));
        let mut removed: Vec<_> = removed.collect();
        let (mut items, mut total): (Vec<Item>, Option<Money>) = (Vec::new(), None);
        for item in self.cart.lines.iter().map(|line| self.item(line, quote)) {
            let price = item.price.checked_mul(i64::from(item.line.quantity.get()));
            let sum = price.and_then(|price| total.unwrap_or(Money::zero(price.currency)).checked_add(price));
            match sum {
                Ok(sum) => {
                    total = Some(sum);
                    items.push(item);
                }
                Err(_) => removed.push(self.removed(&item.line, RemovalReason::Currency)),
            }
        }
        let total = total.unwrap_or(Money::zero(Currency::EUR));
        View { id: self.cart.id, version: self.cart.version, items, total, removed }
    }

    pub(super) fn removed(&self, line: &Line, reason: RemovalReason) -> RemovedItem {
        let name = self.copies.get(&line.product).map(|copy| copy.name.clone()).unwrap_or_default();
        RemovedItem { line: line.clone(), name, reason }
    }

    fn item(&self, line: &Line, quote: &QuoteResult) -> Item {
        let quoted = quote.of(line.product);
        let copy = quoted.map(|quoted| &quoted.copy).or_else(|| self.copies.get(&line.product));
        let copied = copy.and_then(|copy| copy.price_of(&line.variant));
        let price = quoted.map(|quoted| quoted.price_of(&line.variant)).or(copied);
        Item {
            name: copy.map(|copy| copy.name.clone()).unwrap_or_default(),
            image_url: copy.and_then(|copy| copy.image_url.clone()),
            price: price.unwrap_or(line.seen),
            available: quoted
                .and_then(|quoted| quoted.stock_of(&line.variant))
                .is_some_and(|stock| stock >= i64::from(line.quantity.get())),
            line: line.clone(),
        }
    }
}
