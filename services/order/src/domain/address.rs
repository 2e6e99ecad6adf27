//! Shipping address, copied into the order when it is created.

use agora_vocab::Invalid;
use serde::{Deserialize, Serialize};

/// Longest text of one part of an address, in characters.
const PART_CHARS_MAX: usize = 200;

/// A postal address. [`Address::parse`] validates it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Name of the recipient.
    pub recipient: Option<String>,
    /// Street and house number.
    pub street: String,
    pub city: String,
    /// State or region.
    pub state: Option<String>,
    pub postal_code: Option<String>,
    /// ISO 3166-1 code of two capital letters.
    pub country: String,
}

impl Address {
    /// Trims all parts and upper-cases the country. Returns every invalid field on error.
    pub fn parse(self) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let parsed = Self {
            recipient: optional("shippingAddress.recipient", self.recipient, &mut wrong),
            street: required("shippingAddress.street", &self.street, &mut wrong),
            city: required("shippingAddress.city", &self.city, &mut wrong),
            state: optional("shippingAddress.state", self.state, &mut wrong),
            postal_code: optional("shippingAddress.postalCode", self.postal_code, &mut wrong),
            country: self.country.trim().to_ascii_uppercase(),
        };
        if parsed.country.len() != 2 || !parsed.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            wrong.push(Invalid::new("shippingAddress.country", "must be an ISO 3166-1 code of two letters like DE"));
        }
        if wrong.is_empty() { Ok(parsed) } else { Err(wrong) }
    }
}

fn required(field: &'static str, text: &str, wrong: &mut Vec<Invalid>) -> String {
    let text = text.trim();
    if text.is_empty() || !fits(text) {
        wrong.push(Invalid::new(field, format!("must be 1 to {PART_CHARS_MAX} characters without control characters")));
    }
    text.to_owned()
}

fn optional(field: &'static str, text: Option<String>, wrong: &mut Vec<Invalid>) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())?;
    if !fits(&text) {
        wrong.push(Invalid::new(
            field,
            format!("must be at most {PART_CHARS_MAX} characters without control characters"),
        ));
    }
    Some(text)
}

fn fits(text: &str) -> bool {
    text.chars().count() <= PART_CHARS_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn address() -> Address {
        Address {
            recipient: Some("  ".into()),
            street: " Unter den Linden 1 ".into(),
            city: "Berlin".into(),
            state: None,
            postal_code: Some("10117".into()),
            country: "de".into(),
        }
    }

    #[test]
    fn an_address_is_trimmed_and_its_country_upper_cased() {
        let parsed = address().parse().unwrap();
        assert_eq!((parsed.street.as_str(), parsed.country.as_str()), ("Unter den Linden 1", "DE"));
        assert_eq!(parsed.recipient, None);
    }

    #[test]
    fn all_invalid_address_fields_are_reported() {
        let wrong = Address { street: " ".into(), city: "x".repeat(201), country: "Germany".into(), ..address() };
        let fields: Vec<_> = wrong.parse().unwrap_err().into_iter().map(|invalid| invalid.field).collect();
        assert_eq!(fields, ["shippingAddress.street", "shippingAddress.city", "shippingAddress.country"]);
    }
}
