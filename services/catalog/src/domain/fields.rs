//! The fields of a product and their validation. Pure.

use agora_vocab::{Currency, Invalid, Money};
use serde::{Deserialize, Serialize};

use super::text::{line_of_text, text};

/// Maximum unit price in minor units, chosen so that the total of a full cart (100 lines of 9999 units) does not overflow.
pub const PRICE_AMOUNT_MAX: i64 = 9_000_000_000;

const NAME_CHARACTERS_MAX: usize = 200;
const DESCRIPTION_CHARACTERS_MAX: usize = 10_000;
const SKU_CHARACTERS_MAX: usize = 64;
const LABEL_CHARACTERS_MAX: usize = 100;
const IMAGE_URL_CHARACTERS_MAX: usize = 2_048;

/// Defines string types that are validated by their `parse` function.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
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
    /// The address of a picture, or its path below the address of the shop's files: up to 2048 characters.
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

impl Default for Description {
    /// The empty description.
    fn default() -> Self {
        Self(String::new())
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
    /// Accepts an http or https URL, or a path from `/`, without spaces.
    pub fn parse(url: &str) -> Result<Self, Invalid> {
        let url = line_of_text("imageUrl", url, IMAGE_URL_CHARACTERS_MAX)?;
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let host_is_given = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        let is_path = url.starts_with('/') && !url.starts_with("//");
        if (host_is_given || is_path) && !url.contains(|c: char| c.is_whitespace() || "\"<>\\^`{|}".contains(c)) {
            Ok(Self(url))
        } else {
            Err(Invalid::new("imageUrl", "must be an http or https address, or a path like /chairs/oak.png"))
        }
    }
}

/// A unit price: 1 to [`PRICE_AMOUNT_MAX`] minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(Money);

/// A merge patch of a price; absent members do not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceChange {
    pub amount: Option<i64>,
    /// The currency; must be the product's own.
    pub currency: Option<Currency>,
}

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
    pub(super) fn changed(self, PriceChange { amount, currency }: PriceChange) -> Result<Self, Invalid> {
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

    #[test]
    fn prices_are_positive() {
        for amount in [0, -1, PRICE_AMOUNT_MAX + 1] {
            assert!(Price::parse(Money { amount, currency: Currency::EUR }).is_err(), "{amount}");
        }
    }

    #[test]
    fn ca17_image_urls_are_http_or_https() {
        for url in [
            "ftp://x/a",
            "https://",
            "javascript:alert(1)",
            "https://x/<a>",
            "http:// x",
            "https:///a",
            "//x/a",
            "a.png",
            "/a b",
        ] {
            assert!(ImageUrl::parse(url).is_err(), "{url}");
        }
        assert!(ImageUrl::parse("https://cdn.example.com/a.png?w=1").is_ok());
        assert!(ImageUrl::parse("/chairs/a.png?w=1").is_ok());
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
