//! A cart with its products: the check of a change and the view that its owner gets. Pure.

use std::collections::BTreeMap;

use agora_vocab::{CartId, Currency, Money, ProductId};
use serde::{Deserialize, Serialize};

use super::{
    cart::{Cart, LINES_MAX, Line, Refused, Variant},
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
}

impl Contents {
    /// A stored cart with the copies of its products. The lines of deleted products are left out; the next change of the cart
    /// also removes them from the store.
    pub fn of(mut cart: Cart, copies: BTreeMap<ProductId, ProductCopy>) -> Self {
        let deleted = |product: &ProductId| copies.get(product).is_some_and(|copy| copy.deleted);
        cart.lines.retain(|line| !deleted(&line.product));
        Self { cart, copies }
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
        if i64::from(requested) > quoted.stock {
            return Err(Refused::Insufficient { product, requested, available: quoted.stock.max(0) });
        }
        Ok(())
    }

    /// Builds the view from the quote; products without a quote are shown from their copies.
    pub fn view(&self, quote: &QuoteResult) -> Result<View, Refused> {
        let items: Vec<Item> = self.cart.lines.iter().map(|line| self.item(line, quote)).collect();
        let currency = items.first().map_or(Currency::EUR, |item| item.price.currency);
        let sums = items.iter().map(|item| item.price.checked_mul(i64::from(item.line.quantity.get())));
        let sums = sums.collect::<Result<Vec<_>, _>>().map_err(Refused::Total)?;
        let total = Money::sum(currency, sums).map_err(Refused::Total)?;
        Ok(View { id: self.cart.id, version: self.cart.version, items, total })
    }

    fn item(&self, line: &Line, quote: &QuoteResult) -> Item {
        let quoted = quote.of(line.product);
        let copy = quoted.map(|quoted| &quoted.copy).or_else(|| self.copies.get(&line.product));
        Item {
            name: copy.map(|copy| copy.name.clone()).unwrap_or_default(),
            image_url: copy.and_then(|copy| copy.image_url.clone()),
            price: copy.and_then(|copy| copy.price).unwrap_or(line.seen),
            available: quoted.is_some_and(|quoted| quoted.stock >= i64::from(line.quantity.get())),
            line: line.clone(),
        }
    }
}
