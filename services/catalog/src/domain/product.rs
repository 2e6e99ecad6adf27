//! A product, and the change of its fields. Pure; stock is a separate aggregate.

use std::collections::BTreeMap;

use agora_events::catalog::{Product as ProductData, ProductDeleted, ProductEvent, VariantPrice};
use agora_vocab::{Invalid, Money, Patch, ProductId, SellerId, Variant, WarehouseId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    fields::{Description, ImageUrl, Label, Name, Price, PriceChange, Sku},
    prices::Prices,
    translation::{Translations, TranslationsChange},
    variant::VariantPrices,
};

/// A product, deleted or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    pub id: ProductId,
    pub seller: SellerId,
    /// Version, from 1, incremented by each change; also the sequence number of the change's event.
    pub version: i64,
    /// The fields that an admin can edit.
    pub details: Details,
    /// When the product was created, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the product was last changed, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The fields of a product that an admin can edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    pub name: Name,
    /// Description; may be empty.
    pub description: Description,
    /// Stock keeping unit, unique among the products that are not deleted.
    pub sku: Option<Sku>,
    pub price: Price,
    pub category: Option<Label>,
    pub brand: Option<Label>,
    pub supplier: Option<Label>,
    /// URL of a picture.
    pub image_url: Option<ImageUrl>,
    /// Name and description in other languages. Of a product of a page, those that its client may prefer.
    #[serde(default, skip_serializing_if = "Translations::is_empty")]
    pub translations: Translations,
    /// Prices in other currencies. Of a product of a page, that in the currency that its client chose.
    #[serde(default, skip_serializing_if = "Prices::is_empty")]
    pub prices: Prices,
}

/// A product with the units that can be ordered now, over all warehouses and variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub product: Product,
    /// Units on hand minus reserved units.
    pub stock: i64,
}

/// A product with what a cart or an order has to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    pub listed: Listed,
    /// Each variant that has a name.
    pub variants: BTreeMap<Variant, QuotedVariant>,
}

/// A variant with what a cart or an order has to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotedVariant {
    /// Units that can be ordered now.
    pub units: i64,
    /// Own price; `None`: the product's.
    pub price: Option<Price>,
}

/// A product with its stock rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub listed: Listed,
    pub levels: Vec<ExportedLevel>,
}

/// The units of a stock row that can be ordered now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedLevel {
    pub variant: Variant,
    pub warehouse: WarehouseId,
    /// Units on hand minus reserved units.
    pub units: i64,
    /// Version of the row, the sequence number of its last event.
    pub version: i64,
}

/// The product version that a client has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Versions from the header `If-Match`.
    pub if_match: Option<IfMatch>,
    /// Version from the body.
    pub version: Option<i64>,
}

/// The parsed `If-Match` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: any version.
    Any,
    /// One of the listed versions.
    OneOf(Vec<i64>),
}

/// The product has another version than the client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The header `If-Match` does not match.
    IfMatch,
    /// The body's `version` does not match.
    Version {
        /// The current version.
        current: i64,
    },
}

impl Expected {
    /// Accepts any version.
    pub const ANY: Self = Self { if_match: None, version: None };

    /// Whether the client sent a version.
    pub const fn is_given(&self) -> bool {
        self.if_match.is_some() || self.version.is_some()
    }

    /// Compares with the current version.
    pub fn check(&self, current: i64) -> Result<(), Stale> {
        match (&self.if_match, self.version) {
            (Some(IfMatch::OneOf(seen)), _) if !seen.contains(&current) => Err(Stale::IfMatch),
            (_, Some(seen)) if seen != current => Err(Stale::Version { current }),
            _ => Ok(()),
        }
    }
}

/// Fields to change; `None` and [`Patch::Keep`] leave a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub name: Option<Name>,
    pub description: Option<Description>,
    /// The stock keeping unit.
    pub sku: Patch<Sku>,
    /// The price, or a part of it.
    pub price: Option<PriceChange>,
    pub category: Patch<Label>,
    pub brand: Patch<Label>,
    pub supplier: Patch<Label>,
    pub image_url: Patch<ImageUrl>,
    pub translations: TranslationsChange,
    /// Prices in other currencies: all of them.
    pub prices: Patch<Prices>,
}

impl Product {
    /// Returns the details after a change; equal to the current details if the change has no effect.
    pub fn changed(&self, change: Change) -> Result<Details, Invalid> {
        let Change { name, description, sku, price, category, brand, supplier, image_url, translations, prices } =
            change;
        let now = self.details.clone();
        let details = Details {
            name: name.unwrap_or(now.name),
            description: description.unwrap_or(now.description),
            sku: sku.applied(now.sku),
            price: price.map_or(Ok(now.price), |price| now.price.changed(price))?,
            category: category.applied(now.category),
            brand: brand.applied(now.brand),
            supplier: supplier.applied(now.supplier),
            image_url: image_url.applied(now.image_url),
            translations: now.translations.changed(translations)?,
            prices: prices.applied(Some(now.prices)).unwrap_or_default(),
        };
        details.prices.check_beside(details.price)?;
        Ok(details)
    }

    /// The event that the product was created, without variants.
    pub fn created(&self) -> ProductEvent {
        ProductEvent::Created(self.new_event(VariantPrices::new()))
    }

    /// The event that the product was changed, or the own price of a variant.
    pub fn updated(&self, variant_prices: VariantPrices) -> ProductEvent {
        ProductEvent::Updated(self.new_event(variant_prices))
    }

    /// The event that the product was deleted; its `version` is this product's plus one.
    pub fn deleted(&self) -> ProductEvent {
        ProductEvent::Deleted(ProductDeleted { product_id: self.id, version: self.version + 1 })
    }

    fn new_event(&self, variant_prices: VariantPrices) -> ProductData {
        let Self { id, seller, version, details, created_at: _, updated_at: _ } = self.clone();
        let Details { name, description, sku, price, category, brand, supplier, image_url, translations: _, prices: _ } =
            details;
        let own = |(variant, price): (Variant, Money)| VariantPrice { variant: variant.as_str().to_owned(), price };
        ProductData {
            product_id: id,
            version,
            name: name.into(),
            description: description.into(),
            sku: sku.map(String::from),
            price: price.money(),
            category: category.map(String::from),
            brand: brand.map(String::from),
            supplier: supplier.map(String::from),
            image_url: image_url.map(String::from),
            seller_id: seller,
            variant_prices: variant_prices.into_iter().map(own).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::Currency;

    use super::*;

    fn product() -> Product {
        Product {
            id: ProductId::new(uuid::Uuid::from_u128(7)),
            seller: SellerId::HOUSE,
            version: 3,
            details: Details {
                name: Name::parse("Chair").unwrap(),
                description: Description::parse("").unwrap(),
                sku: Some(Sku::parse("C-1").unwrap()),
                price: Price::parse(Money { amount: 1999, currency: Currency::EUR }).unwrap(),
                category: Some(Label::parse("category", "Furniture").unwrap()),
                brand: None,
                supplier: None,
                image_url: None,
                translations: Translations::default(),
                prices: Prices::default(),
            },
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_absent_field_is_kept_and_null_removes_an_optional_field() {
        let change = Change { category: Patch::Remove, name: Some(Name::parse("Stool").unwrap()), ..Change::default() };
        let details = product().changed(change).unwrap();
        assert_eq!((details.name.as_str(), details.category), ("Stool", None));
        assert_eq!(details.sku, product().details.sku);
    }

    #[test]
    fn a_partial_price_keeps_the_other_member_and_the_currency_cannot_change() {
        let cheaper = PriceChange { amount: Some(999), currency: None };
        let change = Change { price: Some(cheaper), ..Change::default() };
        assert_eq!(product().changed(change).unwrap().price.money(), Money { amount: 999, currency: Currency::EUR });

        let yen = PriceChange { amount: None, currency: Some("JPY".parse().unwrap()) };
        let refused = product().changed(Change { price: Some(yen), ..Change::default() }).unwrap_err();
        assert_eq!(refused.field, "price.currency");
    }

    #[test]
    fn a_change_requires_the_current_version() {
        let seen = |if_match: Option<&[i64]>, version| Expected {
            if_match: if_match.map(|versions| IfMatch::OneOf(versions.to_vec())),
            version,
        };
        assert_eq!(Expected::ANY.check(3), Ok(()));
        assert_eq!(Expected { if_match: Some(IfMatch::Any), version: None }.check(3), Ok(()));
        assert_eq!(seen(Some(&[2, 3]), Some(3)).check(3), Ok(()));
        assert_eq!(seen(Some(&[2]), Some(3)).check(3), Err(Stale::IfMatch));
        assert_eq!(seen(None, Some(2)).check(3), Err(Stale::Version { current: 3 }));
    }
}
