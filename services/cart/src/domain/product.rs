//! A product as the cart knows it: its stored copy and its quote. Pure.

use std::collections::BTreeMap;

use agora_vocab::{Epoch, Money, ProductId, Variant};
use serde::{Deserialize, Serialize};

/// A stored copy of a product, shown while the catalog is unavailable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductCopy {
    pub product: ProductId,
    /// Recovery epoch of the catalog: its versions start again at lower numbers when it was restored.
    pub epoch: Epoch,
    /// Version of the product in its epoch; an older copy never replaces a newer one.
    pub version: i64,
    pub name: String,
    /// URL of a picture.
    pub image_url: Option<String>,
    /// Unit price of that version; `None` if only the deletion of the product is known.
    pub price: Option<Money>,
    /// Own unit prices of variants in that version. Copies of earlier releases have none.
    #[serde(default)]
    pub variant_prices: BTreeMap<Variant, Money>,
    /// Whether the product is deleted.
    pub deleted: bool,
}

impl ProductCopy {
    /// Orders the copies of a product by age: of a newer epoch, any version is newer.
    pub fn age(&self) -> (Epoch, i64) {
        (self.epoch, self.version)
    }

    /// Unit price of a variant in that version; `None` if it is not known. A named variant that is not listed may have a price of
    /// its own all the same, in a copy of an earlier release.
    pub fn price_of(&self, variant: &Variant) -> Option<Money> {
        if variant.is_default() { self.price } else { self.variant_prices.get(variant).copied() }
    }
}

impl QuotedVariant {
    /// The own prices among variants of a product.
    pub fn own_prices(variants: &BTreeMap<Variant, Self>) -> BTreeMap<Variant, Money> {
        variants.iter().filter_map(|(name, quoted)| Some((name.clone(), quoted.price?))).collect()
    }
}

/// An existing product in a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotedLine {
    /// The copy to store.
    pub copy: ProductCopy,
    /// Current unit price, except of variants with a price of their own.
    pub price: Money,
    /// Available units of all variants.
    pub stock: i64,
    /// Each variant that has a name.
    pub variants: BTreeMap<Variant, QuotedVariant>,
}

/// A variant of a product in a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotedVariant {
    /// Units that neither an order nor a hold has.
    pub stock: i64,
    /// Own unit price; `None`: the product's.
    pub price: Option<Money>,
}

impl QuotedLine {
    /// Available units of a variant; `None` if the product has no such variant.
    pub fn stock_of(&self, variant: &Variant) -> Option<i64> {
        if variant.is_default() {
            Some(self.stock - self.variants.values().map(|variant| variant.stock).sum::<i64>())
        } else {
            self.variants.get(variant).map(|variant| variant.stock)
        }
    }

    /// Current unit price of a variant.
    pub fn price_of(&self, variant: &Variant) -> Money {
        self.variants.get(variant).and_then(|variant| variant.price).unwrap_or(self.price)
    }
}

/// A quote of the catalog; the value is `None` for a product that does not exist or is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteResult(pub BTreeMap<ProductId, Option<QuotedLine>>);

impl QuoteResult {
    /// Returns the quoted product; `None` if it was not requested or does not exist.
    pub fn of(&self, product: ProductId) -> Option<&QuotedLine> {
        self.0.get(&product).and_then(Option::as_ref)
    }
}
