//! Variants of a product, and the change of their fields. Pure; the name identifies a variant in carts, orders and stock.

use std::collections::BTreeMap;

use agora_vocab::{Currency, Invalid, Money, Patch, ProductId, Variant, VariantId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    fields::{Price, Sku},
    text::line_of_text,
};

/// Largest number of variants of a product.
pub const VARIANTS_MAX: u32 = 100;

const OPTIONS_MAX: usize = 10;
const OPTION_CHARACTERS_MAX: usize = 50;
const VALUE_CHARACTERS_MAX: usize = 100;

/// A variant of a product, with its available units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductVariant {
    pub id: VariantId,
    pub product: ProductId,
    /// Version, from 1, incremented by each change.
    pub version: i64,
    /// Unique among the variants of the product; never changes.
    pub name: Variant,
    /// The fields that an admin can edit.
    pub details: VariantDetails,
    /// Price of the product.
    pub product_price: Price,
    /// Units on hand minus reserved units.
    pub stock: i64,
    /// When the variant was created, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the variant was last changed, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The fields of a variant that an admin can edit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantDetails {
    /// Stock keeping unit, unique among all products and variants that are not deleted.
    pub sku: Option<Sku>,
    /// Own price; `None`: the product's.
    pub price: Option<Price>,
    pub options: Options,
}

/// Own prices of the variants of a product, by their names.
pub type VariantPrices = BTreeMap<Variant, Money>;

/// Fields of a variant to change; [`Patch::Keep`] leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariantChange {
    pub sku: Patch<Sku>,
    pub price: Patch<Price>,
    pub options: Patch<Options>,
}

/// What a variant is, such as its colour and size: up to 10 options with a value each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Accepts up to 10 options of 1 to 50 characters with values of 1 to 100 characters, on one line each.
    pub fn parse(options: &BTreeMap<String, String>) -> Result<Self, Invalid> {
        if options.len() > OPTIONS_MAX {
            return Err(Invalid::new("options", format!("must be at most {OPTIONS_MAX}")));
        }
        let line = |text: &str, max| line_of_text("options", text, max);
        let pair = |(name, value): (&String, &String)| {
            Ok((line(name, OPTION_CHARACTERS_MAX)?, line(value, VALUE_CHARACTERS_MAX)?))
        };
        options.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl ProductVariant {
    /// What one unit costs.
    pub fn price(&self) -> Money {
        self.details.price.unwrap_or(self.product_price).money()
    }

    /// Returns the details after a change; equal to the current details if the change has no effect.
    #[must_use]
    pub fn changed(&self, change: VariantChange) -> VariantDetails {
        let VariantChange { sku, price, options } = change;
        let now = self.details.clone();
        VariantDetails {
            sku: sku.applied(now.sku),
            price: price.applied(now.price),
            options: options.applied(Some(now.options)).unwrap_or_default(),
        }
    }
}

impl VariantDetails {
    /// Rejects a price of another currency than the product's: a cart with both could not be summed.
    pub fn check_currency(&self, currency: Currency) -> Result<(), Invalid> {
        match self.price {
            Some(price) if price.money().currency != currency => {
                Err(Invalid::new("ownPrice.currency", format!("must be {currency}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_few_and_short() {
        let options = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Options::parse(&pairs.collect())
        };
        assert_eq!(options(&[(" colour ", "red")]), options(&[("colour", "red")]));
        for wrong in
            [("", "red"), ("colour", " "), ("colour", "a\nb"), ("colour", &"x".repeat(101)), (&"x".repeat(51), "y")]
        {
            assert_eq!(options(&[wrong]).unwrap_err().field, "options");
        }
        let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        assert!(options(&many.iter().map(|name| (name.as_str(), "x")).collect::<Vec<_>>()).is_err());
    }
}
