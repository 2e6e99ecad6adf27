//! The variant of a product: which of its kinds, such as a colour or a size.

use crate::Invalid;

/// Longest variant, in characters.
const VARIANT_CHARACTERS_MAX: usize = 64;

/// A variant of a product: up to 64 characters on one line; empty for a product without variants.
///
/// Deserialises any text, so that a stored one can always be read: text of a client goes through [`Variant::parse`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Variant(String);

impl Variant {
    /// Accepts up to 64 characters without control characters; trims surrounding white space.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.chars().count() > VARIANT_CHARACTERS_MAX || text.chars().any(char::is_control) {
            let message = format!("must be at most {VARIANT_CHARACTERS_MAX} characters on one line");
            return Err(Invalid::new("variant", message));
        }
        Ok(Self(text.to_owned()))
    }

    /// A variant that was parsed before it was stored.
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// Whether it is the one that every product has.
    pub const fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    /// The variant's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Variant;

    #[test]
    fn a_variant_is_one_short_line() {
        assert_eq!(Variant::parse(" red ").unwrap().as_str(), "red");
        assert!(Variant::parse("").unwrap().is_default());
        assert!(Variant::parse(&"ä".repeat(64)).is_ok());
        for bad in [&"x".repeat(65), "a\u{0}", "a\nb"] {
            assert_eq!(Variant::parse(bad).unwrap_err().field, "variant");
        }
    }
}
