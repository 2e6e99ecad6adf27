//! A product and the rules of its fields. Knows no stock: that is an aggregate of its own.

use agora_events::catalog::{Product as ProductFact, ProductDeleted, ProductEvent};
use agora_vocab::{Currency, Invalid, Money, ProductId, SellerId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{line_of_text, text};

/// Dearest unit price in minor units: a full cart (100 lines of 9999 units) then still has a total that is exact.
pub const PRICE_AMOUNT_MAX: i64 = 9_000_000_000;

const NAME_CHARACTERS_MAX: usize = 200;
const DESCRIPTION_CHARACTERS_MAX: usize = 10_000;
const SKU_CHARACTERS_MAX: usize = 64;
const LABEL_CHARACTERS_MAX: usize = 100;
const IMAGE_URL_CHARACTERS_MAX: usize = 2_048;

/// A product that can be bought, or could be until it was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The product.
    pub id: ProductId,
    /// Who sells it.
    pub seller: SellerId,
    /// Rises by one with each change, from 1; also the place of the change among the product's facts.
    pub version: i64,
    /// What a shop's admin says about it.
    pub details: Details,
    /// When it came into the catalog, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// What a shop's admin says about a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Its name.
    pub name: Name,
    /// What is said about it; may be empty.
    pub description: Description,
    /// Its stock keeping unit, unique among the products that are not deleted.
    pub sku: Option<Sku>,
    /// What one unit costs.
    pub price: Price,
    /// Its category.
    pub category: Option<Label>,
    /// Its brand.
    pub brand: Option<Label>,
    /// Its supplier.
    pub supplier: Option<Label>,
    /// A picture of it.
    pub image_url: Option<ImageUrl>,
}

/// A product with the units that can be ordered now, over all warehouses and variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The product.
    pub product: Product,
    /// On hand less reserved.
    pub stock: i64,
}

/// Which version of a product a writer has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// From the header `If-Match`.
    pub if_match: Option<IfMatch>,
    /// From the body: this one.
    pub version: Option<i64>,
}

/// What `If-Match` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// Any version that exists.
    Any,
    /// One of these.
    OneOf(Vec<i64>),
}

/// The product has moved on since the writer saw it, and where the writer said what he saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// In the header `If-Match`.
    IfMatch,
    /// In the body's `version`; the current one is carried.
    Version {
        /// The version now.
        current: i64,
    },
}

impl Expected {
    /// Any version will do.
    pub const ANY: Self = Self { if_match: None, version: None };

    /// Whether the writer said anything.
    pub const fn is_given(&self) -> bool {
        self.if_match.is_some() || self.version.is_some()
    }

    /// Compares with the version now.
    pub fn check(&self, current: i64) -> Result<(), Stale> {
        match (&self.if_match, self.version) {
            (Some(IfMatch::OneOf(seen)), _) if !seen.contains(&current) => Err(Stale::IfMatch),
            (_, Some(seen)) if seen != current => Err(Stale::Version { current }),
            _ => Ok(()),
        }
    }
}

/// What a merge-patch (RFC 7396) says of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Nothing: the field is absent.
    #[default]
    Keep,
    /// `null`: the field goes.
    Remove,
    /// A value.
    Set(T),
}

impl<T> Patch<T> {
    /// An optional field after the patch.
    fn applied(self, now: Option<T>) -> Option<T> {
        match self {
            Self::Keep => now,
            Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// For a field with `#[serde(default)]`, which is what keeps one that is absent.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Remove, Self::Set))
    }
}

/// Fields to change; those of `None` and [`Patch::Keep`] stay as they are.
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

/// A merge-patch of a price: what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceChange {
    /// Minor units.
    pub amount: Option<i64>,
    /// The currency; must be the product's own.
    pub currency: Option<Currency>,
}

impl Product {
    /// The details after a change; equal to the present ones if nothing differs.
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

    /// The fact that it came into the catalog.
    pub fn created(&self) -> ProductEvent {
        ProductEvent::Created(self.new_event())
    }

    /// The fact that it changed.
    pub fn updated(&self) -> ProductEvent {
        ProductEvent::Updated(self.new_event())
    }

    /// The fact that it left the catalog; `version` is then one more than this product's.
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

/// Texts that were parsed once and are then known to be good.
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

            /// A text that was parsed before it was stored.
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
    /// What is said about a product: up to 10000 characters, lines and tabs allowed.
    Description
    /// A stock keeping unit: 1 to 64 visible ASCII characters.
    Sku
    /// The name of a category, brand or supplier: 1 to 100 characters on one line.
    Label
    /// The address of a picture: http or https, up to 2048 characters.
    ImageUrl
}

impl Name {
    /// Takes 1 to 200 characters on one line.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        line_of_text("name", name, NAME_CHARACTERS_MAX).map(Self)
    }

    /// What names are sorted by: the same wherever it is computed.
    pub fn sort_key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl Description {
    /// Takes up to 10000 characters.
    pub fn parse(description: &str) -> Result<Self, Invalid> {
        text("description", description, DESCRIPTION_CHARACTERS_MAX, &['\n', '\r', '\t']).map(Self)
    }
}

impl Sku {
    /// Takes 1 to 64 visible ASCII characters.
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
    /// Takes 1 to 100 characters on one line; `field` is what to name in a refusal.
    pub fn parse(field: &'static str, label: &str) -> Result<Self, Invalid> {
        line_of_text(field, label, LABEL_CHARACTERS_MAX).map(Self)
    }
}

impl ImageUrl {
    /// Takes an http or https address without spaces.
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

/// What one unit costs: more than nothing, at most [`PRICE_AMOUNT_MAX`] minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(Money);

impl Price {
    /// Takes 1 to [`PRICE_AMOUNT_MAX`] minor units.
    pub fn parse(price: Money) -> Result<Self, Invalid> {
        if (1..=PRICE_AMOUNT_MAX).contains(&price.amount) {
            Ok(Self(price))
        } else {
            Err(Invalid::new("price.amount", format!("must be from 1 to {PRICE_AMOUNT_MAX} minor units")))
        }
    }

    /// A price that was parsed before it was stored.
    pub(crate) const fn stored(price: Money) -> Self {
        Self(price)
    }

    /// The amount and its currency.
    pub const fn money(self) -> Money {
        self.0
    }

    /// A product keeps its currency: carts that hold it could not be summed otherwise.
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
    fn an_absent_field_stays_and_a_null_removes_an_optional_one() {
        let change = Change { category: Patch::Remove, name: Some(Name::parse("Stool").unwrap()), ..Change::default() };
        let details = product().changed(change).unwrap();
        assert_eq!((details.name.as_str(), details.category), ("Stool", None));
        assert_eq!(details.sku, product().details.sku);
    }

    #[test]
    fn half_a_price_keeps_the_other_half_and_the_currency_never_changes() {
        let cheaper = PriceChange { amount: Some(999), currency: None };
        let change = Change { price: Some(cheaper), ..Change::default() };
        assert_eq!(product().changed(change).unwrap().price.money(), Money { amount: 999, currency: Currency::EUR });

        let yen = PriceChange { amount: None, currency: Some("JPY".parse().unwrap()) };
        let refused = product().changed(Change { price: Some(yen), ..Change::default() }).unwrap_err();
        assert_eq!(refused.field, "price.currency");
    }

    #[test]
    fn a_writer_must_have_seen_the_version_that_is_current() {
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
    fn prices_are_more_than_nothing() {
        for amount in [0, -1, PRICE_AMOUNT_MAX + 1] {
            assert!(Price::parse(Money { amount, currency: Currency::EUR }).is_err(), "{amount}");
        }
    }

    #[test]
    fn pictures_have_web_addresses() {
        for url in ["ftp://x/a", "https://", "javascript:alert(1)", "https://x/<a>", "http:// x", "https:///a"] {
            assert!(ImageUrl::parse(url).is_err(), "{url}");
        }
        assert!(ImageUrl::parse("https://cdn.example.com/a.png?w=1").is_ok());
    }

    proptest! {
        #[test]
        fn what_a_parser_takes_holds_no_control_character(text in ".{0,80}") {
            for taken in [Name::parse(&text).map(String::from), Label::parse("brand", &text).map(String::from)] {
                prop_assert!(taken.is_err() || taken.is_ok_and(|t| !t.is_empty() && !t.contains(char::is_control)));
            }
        }
    }
}
