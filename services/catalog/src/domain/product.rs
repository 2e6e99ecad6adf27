//! A product and the validation of its fields. Pure; stock is a separate aggregate.

use agora_events::catalog::{Product as ProductFact, ProductDeleted, ProductEvent};
use agora_vocab::{Currency, Invalid, Money, ProductId, SellerId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{line_of_text, text};

/// Maximum unit price in minor units, chosen so that the total of a full cart (100 lines of 9999 units) does not overflow.
pub const PRICE_AMOUNT_MAX: i64 = 9_000_000_000;

const NAME_CHARACTERS_MAX: usize = 200;
const DESCRIPTION_CHARACTERS_MAX: usize = 10_000;
const SKU_CHARACTERS_MAX: usize = 64;
const LABEL_CHARACTERS_MAX: usize = 100;
const IMAGE_URL_CHARACTERS_MAX: usize = 2_048;

/// A product, deleted or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The product.
    pub id: ProductId,
    /// The seller.
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
    /// Its name.
    pub name: Name,
    /// Description; may be empty.
    pub description: Description,
    /// Stock keeping unit, unique among the products that are not deleted.
    pub sku: Option<Sku>,
    /// Unit price.
    pub price: Price,
    /// Its category.
    pub category: Option<Label>,
    /// Its brand.
    pub brand: Option<Label>,
    /// Its supplier.
    pub supplier: Option<Label>,
    /// URL of a picture.
    pub image_url: Option<ImageUrl>,
}

/// A product with the units that can be ordered now, over all warehouses and variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The product.
    pub product: Product,
    /// Units on hand minus reserved units.
    pub stock: i64,
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

/// One field of a JSON merge patch (RFC 7396).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Absent: the field does not change.
    #[default]
    Keep,
    /// `null`: the field is removed.
    Remove,
    /// The field is set to this value.
    Set(T),
}

impl<T> Patch<T> {
    /// Applies the patch to an optional field.
    fn applied(self, now: Option<T>) -> Option<T> {
        match self {
            Self::Keep => now,
            Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// Requires `#[serde(default)]` on the field, so that an absent field becomes [`Patch::Keep`].
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Remove, Self::Set))
    }
}

/// Fields to change; `None` and [`Patch::Keep`] leave a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The name.
    pub name: Option<Name>,
    /// The description.
    pub description: Option<Description>,
    /// The stock keeping unit.
    pub sku: Patch<Sku>,
    /// The price, or a part of it.
    pub price: Option<PriceChange>,
    /// The category.
    pub category: Patch<Label>,
    /// The brand.
    pub brand: Patch<Label>,
    /// The supplier.
    pub supplier: Patch<Label>,
    /// The picture.
    pub image_url: Patch<ImageUrl>,
}

/// A merge patch of a price; absent members do not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceChange {
    /// Minor units.
    pub amount: Option<i64>,
    /// The currency; must be the product's own.
    pub currency: Option<Currency>,
}

impl Product {
    /// Returns the details after a change; equal to the current details if the change has no effect.
    pub fn changed(&self, change: Change) -> Result<Details, Invalid> {
        let Change { name, description, sku, price, category, brand, supplier, image_url } = change;
        let now = self.details.clone();
        Ok(Details {
            name: name.unwrap_or(now.name),
            description: description.unwrap_or(now.description),
            sku: sku.applied(now.sku),
            price: price.map_or(Ok(now.price), |price| now.price.changed(price))?,
            category: category.applied(now.category),
            brand: brand.applied(now.brand),
            supplier: supplier.applied(now.supplier),
            image_url: image_url.applied(now.image_url),
        })
    }

    /// The event that the product was created.
    pub fn created(&self) -> ProductEvent {
        ProductEvent::Created(self.new_event())
    }

    /// The event that the product was changed.
    pub fn updated(&self) -> ProductEvent {
        ProductEvent::Updated(self.new_event())
    }

    /// The event that the product was deleted; its `version` is this product's plus one.
    pub fn deleted(&self) -> ProductEvent {
        ProductEvent::Deleted(ProductDeleted { product_id: self.id, version: self.version + 1 })
    }

    fn new_event(&self) -> ProductFact {
        let Self { id, seller, version, details, created_at: _, updated_at: _ } = self.clone();
        let Details { name, description, sku, price, category, brand, supplier, image_url } = details;
        ProductFact {
            product_id: id,
            version,
            name: name.0,
            description: description.0,
            sku: sku.map(|sku| sku.0),
            price: price.0,
            category: category.map(|label| label.0),
            brand: brand.map(|label| label.0),
            supplier: supplier.map(|label| label.0),
            image_url: image_url.map(|url| url.0),
            seller_id: seller,
        }
    }
}

/// Defines string types that are validated by their `parse` function.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Wraps a stored value without validation; values are validated before they are stored.
            pub(crate) const fn stored(text: String) -> Self {
                Self(text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    )*};
}

texts! {
    /// A product's name: 1 to 200 characters on one line.
    Name
    /// A product's description: up to 10000 characters; line breaks and tabs are allowed.
    Description
    /// A stock keeping unit: 1 to 64 visible ASCII characters.
    Sku
    /// The name of a category, brand or supplier: 1 to 100 characters on one line.
    Label
    /// The URL of a picture: http or https, up to 2048 characters.
    ImageUrl
}

impl Name {
    /// Accepts 1 to 200 characters on one line.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        line_of_text("name", name, NAME_CHARACTERS_MAX).map(Self)
    }

    /// The key that names are sorted by, computed here so that it does not depend on a database collation.
    pub fn sort_key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl Description {
    /// Accepts up to 10000 characters.
    pub fn parse(description: &str) -> Result<Self, Invalid> {
        text("description", description, DESCRIPTION_CHARACTERS_MAX, &['\n', '\r', '\t']).map(Self)
    }
}

impl Sku {
    /// Accepts 1 to 64 visible ASCII characters.
    pub fn parse(sku: &str) -> Result<Self, Invalid> {
        let sku = line_of_text("sku", sku, SKU_CHARACTERS_MAX)?;
        if sku.chars().all(|c| c.is_ascii_graphic()) {
            Ok(Self(sku))
        } else {
            Err(Invalid::new("sku", "must be visible ASCII characters without spaces"))
        }
    }
}

impl Label {
    /// Accepts 1 to 100 characters on one line; errors name `field`.
    pub fn parse(field: &'static str, label: &str) -> Result<Self, Invalid> {
        line_of_text(field, label, LABEL_CHARACTERS_MAX).map(Self)
    }
}

impl ImageUrl {
    /// Accepts an http or https URL without spaces.
    pub fn parse(url: &str) -> Result<Self, Invalid> {
        let url = line_of_text("imageUrl", url, IMAGE_URL_CHARACTERS_MAX)?;
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let host_is_given = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        if host_is_given && !url.contains(|c: char| c.is_whitespace() || "\"<>\\^`{|}".contains(c)) {
            Ok(Self(url))
        } else {
            Err(Invalid::new("imageUrl", "must be an http or https address"))
        }
    }
}

/// A unit price: 1 to [`PRICE_AMOUNT_MAX`] minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(Money);

impl Price {
    /// Accepts 1 to [`PRICE_AMOUNT_MAX`] minor units.
    pub fn parse(price: Money) -> Result<Self, Invalid> {
        if (1..=PRICE_AMOUNT_MAX).contains(&price.amount) {
            Ok(Self(price))
        } else {
            Err(Invalid::new("price.amount", format!("must be from 1 to {PRICE_AMOUNT_MAX} minor units")))
        }
    }

    /// Wraps a stored price without validation; prices are validated before they are stored.
    pub(crate) const fn stored(price: Money) -> Self {
        Self(price)
    }

    /// The amount and its currency.
    pub const fn money(self) -> Money {
        self.0
    }

    /// Applies a patch. Rejects another currency: the totals of carts with this product could not be computed.
    fn changed(self, PriceChange { amount, currency }: PriceChange) -> Result<Self, Invalid> {
        let Self(now) = self;
        if currency.is_some_and(|currency| currency != now.currency) {
            return Err(Invalid::new("price.currency", format!("must stay {}", now.currency)));
        }
        Self::parse(Money { amount: amount.unwrap_or(now.amount), currency: now.currency })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn prices_are_positive() {
        for amount in [0, -1, PRICE_AMOUNT_MAX + 1] {
            assert!(Price::parse(Money { amount, currency: Currency::EUR }).is_err(), "{amount}");
        }
    }

    #[test]
    fn image_urls_are_http_or_https() {
        for url in ["ftp://x/a", "https://", "javascript:alert(1)", "https://x/<a>", "http:// x", "https:///a"] {
            assert!(ImageUrl::parse(url).is_err(), "{url}");
        }
        assert!(ImageUrl::parse("https://cdn.example.com/a.png?w=1").is_ok());
    }

    proptest! {
        #[test]
        fn accepted_text_contains_no_control_character(text in ".{0,80}") {
            for taken in [Name::parse(&text).map(String::from), Label::parse("brand", &text).map(String::from)] {
                prop_assert!(taken.is_err() || taken.is_ok_and(|t| !t.is_empty() && !t.contains(char::is_control)));
            }
        }
    }
}
