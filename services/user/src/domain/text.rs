//! Personal text fields: trimmed, bounded, one line, without control characters.

use std::fmt;

use agora_vocab::Invalid;

/// Shortest and longest public name, in characters.
const USERNAME_CHARS_MIN: usize = 3;
const USERNAME_CHARS_MAX: usize = 32;
/// Fewest and most digits of a telephone number (ITU-T E.164 allows 15).
const PHONE_DIGITS_MIN: usize = 6;
const PHONE_DIGITS_MAX: usize = 15;

/// A line of text of 1 to `MAX` characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Fails for blank text; `field` names it in the error.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX || text.chars().any(char::is_control) {
            return Err(Invalid::new(field, format!("must be one line of 1 to {MAX} characters")));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Masked: personal data.
impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(…)")
    }
}

/// A username: letters, digits, dots, dashes and underscores. The store compares it without case.
#[derive(Clone, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Takes 3 to 32 characters that begin with a letter or digit.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let well_formed = (USERNAME_CHARS_MIN..=USERNAME_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !well_formed {
            let range = format!("{USERNAME_CHARS_MIN} to {USERNAME_CHARS_MAX}");
            return Err(Invalid::new(
                "username",
                format!(
                    "must be {range} letters, digits, dots, dashes or underscores, beginning with a letter or digit"
                ),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as entered.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Masked: personal data.
impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(…)")
    }
}

/// A telephone number: 6 to 15 digits, perhaps after a plus sign; separators are dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

impl Phone {
    /// Takes digits with spaces, dashes, dots, slashes and brackets between them.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let kept: String = text.trim().chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '/' | '(' | ')')).collect();
        let digits = kept.strip_prefix('+').unwrap_or(&kept);
        let well_formed =
            (PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !well_formed {
            let range = format!("{PHONE_DIGITS_MIN} to {PHONE_DIGITS_MAX}");
            return Err(Invalid::new("phone", format!("must be a telephone number of {range} digits")));
        }
        Ok(Self(kept))
    }

    /// The digits, with the plus sign where there was one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Masked: personal data.
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Phone, Text, Username};

    #[test]
    fn a_text_is_one_bounded_line() {
        assert_eq!(Text::<5>::parse("name", " Ada\u{e4} ").unwrap().as_str(), "Ada\u{e4}");
        for bad in ["", "  ", "sixsix", "a\nb", "a\u{0}"] {
            assert_eq!(Text::<5>::parse("name", bad).unwrap_err().field, "name", "{bad:?}");
        }
    }

    #[test]
    fn usernames_and_phones_have_a_shape() {
        assert_eq!(Username::parse(" Ada.L-1 ").unwrap().as_str(), "Ada.L-1");
        for bad in ["ab", ".ada", "a b c", "äda", &"a".repeat(33)] {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Phone::parse("+49 (30) 1234-567").unwrap().as_str(), "+49301234567");
        for bad in ["12345", "+", "call me", "1234567890123456", "12+34567"] {
            assert!(Phone::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn personal_fields_are_not_printed() {
        let printed =
            format!("{:?} {:?} {:?}", Text::<9>::parse("n", "ada"), Username::parse("ada"), Phone::parse("123456"));
        assert!(!printed.contains("ada") && !printed.contains("123456"));
    }
}
