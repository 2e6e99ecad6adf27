//! Postal addresses, as an address book keeps them and an order ships to them.

use std::fmt;

use crate::Invalid;

/// Longest parts of an address, in characters.
const LINE_CHARACTERS_MAX: usize = 200;
const PLACE_CHARACTERS_MAX: usize = 100;
const POSTAL_CODE_CHARACTERS_MAX: usize = 20;

/// A postal address. [`AddressText::parse`] makes it of a client's text; a stored one is read as it was written.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Address {
    /// Name of the recipient.
    pub recipient: Option<String>,
    /// Street and number.
    pub street: String,
    pub city: String,
    /// State or region.
    pub state: Option<String>,
    pub postal_code: Option<String>,
    pub country: Country,
}

/// The parts of an address as a client writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressText {
    pub recipient: Option<String>,
    pub street: String,
    pub city: String,
    pub state: Option<String>,
    pub postal_code: Option<String>,
    /// ISO 3166-1 code of two letters, in any case.
    pub country: String,
}

/// A country by its ISO 3166-1 alpha-2 code, in capitals.
///
/// Deserialises any text, so that a stored one can always be read: text of a client goes through [`Country::parse`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Country(String);

impl AddressText {
    /// Trims all parts; an optional part that is blank is absent. An error names every invalid part.
    pub fn parse(self) -> Result<Address, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let Self { recipient, street, city, state, postal_code, country } = self;
        let recipient = optional("recipient", recipient, LINE_CHARACTERS_MAX, &mut wrong);
        let street = required("street", &street, LINE_CHARACTERS_MAX, &mut wrong);
        let city = required("city", &city, PLACE_CHARACTERS_MAX, &mut wrong);
        let state = optional("state", state, PLACE_CHARACTERS_MAX, &mut wrong);
        let postal_code = optional("postalCode", postal_code, POSTAL_CODE_CHARACTERS_MAX, &mut wrong);
        match Country::parse(&country).map_err(|invalid| wrong.push(invalid)) {
            Ok(country) if wrong.is_empty() => Ok(Address { recipient, street, city, state, postal_code, country }),
            _ => Err(wrong),
        }
    }
}

impl Country {
    /// Takes an officially assigned code, in any case.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let code = text.trim().to_ascii_uppercase();
        if rust_iso3166::from_alpha2(&code).is_some() {
            Ok(Self(code))
        } else {
            Err(Invalid::new("country", "must be an ISO 3166-1 code of two letters like DE"))
        }
    }

    /// A country that was parsed before it was stored.
    pub const fn stored(code: String) -> Self {
        Self(code)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Masked: personal data.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

fn required(field: &'static str, text: &str, max: usize, wrong: &mut Vec<Invalid>) -> String {
    let text = text.trim().to_owned();
    if text.is_empty() || !fits(&text, max) {
        wrong.push(Invalid::new(field, format!("must be one line of 1 to {max} characters")));
    }
    text
}

fn optional(field: &'static str, text: Option<String>, max: usize, wrong: &mut Vec<Invalid>) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())?;
    if !fits(&text, max) {
        wrong.push(Invalid::new(field, format!("must be one line of at most {max} characters")));
    }
    Some(text)
}

fn fits(text: &str, max: usize) -> bool {
    text.chars().count() <= max && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::{AddressText, Country};

    fn berlin() -> AddressText {
        AddressText {
            recipient: Some("  ".into()),
            street: " Unter den Linden 1 ".into(),
            city: "Berlin".into(),
            state: None,
            postal_code: Some("10117".into()),
            country: "de".into(),
        }
    }

    #[test]
    fn a_country_is_an_assigned_code() {
        assert_eq!(rust_iso3166::ALL.len(), 249);
        assert_eq!(Country::parse(" de ").unwrap().as_str(), "DE");
        for bad in ["", "D", "DEU", "XX", "UK", "D E", "12"] {
            assert!(Country::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_trimmed_and_its_country_in_capitals() {
        let parsed = berlin().parse().unwrap();
        assert_eq!((parsed.street.as_str(), parsed.country.as_str()), ("Unter den Linden 1", "DE"));
        assert_eq!((parsed.recipient.as_deref(), format!("{parsed:?}").as_str()), (None, "Address(…)"));
    }

    #[test]
    fn all_invalid_parts_are_reported() {
        let state = Some("a\nb".into());
        let wrong = AddressText { street: " ".into(), city: "x".repeat(101), state, country: "UK".into(), ..berlin() };
        let fields: Vec<_> = wrong.parse().unwrap_err().into_iter().map(|invalid| invalid.field).collect();
        assert_eq!(fields, ["street", "city", "state", "country"]);
    }
}
