//! A parcel as an admin describes it and a return as the owner of an order does, before they are checked against the order.
//! No I/O.

use agora_vocab::{ReturnId, ShipmentId};

use super::{FieldError, RequestedLine, RequestedLines};

/// Longest name of a carrier and longest tracking number, in characters.
const TEXT_CHARACTERS_MAX: usize = 100;
/// Longest reason of a return, in characters.
const REASON_CHARACTERS_MAX: usize = 500;

/// A parcel as an admin describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShipment {
    pub id: ShipmentId,
    pub carrier: String,
    /// The carrier's number of the parcel.
    pub tracking: Option<String>,
    /// Unique by product and variant.
    pub items: Vec<RequestedLine>,
}

/// Units that the owner of an order wants to send back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReturn {
    pub id: ReturnId,
    pub reason: String,
    /// Unique by product and variant.
    pub items: Vec<RequestedLine>,
}

impl NewShipment {
    /// Checks the texts: one line of 1 to 100 characters. Returns every invalid field on error, those of `items` included.
    pub fn parse(
        id: ShipmentId,
        items: Result<RequestedLines, Vec<FieldError>>,
        carrier: &str,
        tracking: Option<&str>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let items = lines(items, &mut wrong);
        let carrier = line_of_text(("carrier", TEXT_CHARACTERS_MAX), carrier, &mut wrong);
        let tracking = tracking.map(|text| line_of_text(("trackingNumber", TEXT_CHARACTERS_MAX), text, &mut wrong));
        if wrong.is_empty() { Ok(Self { id, carrier, tracking, items }) } else { Err(wrong) }
    }
}

impl NewReturn {
    /// Checks the reason: one line of 1 to 500 characters. Returns every invalid field on error, those of `items` included.
    pub fn parse(
        id: ReturnId,
        items: Result<RequestedLines, Vec<FieldError>>,
        reason: &str,
    ) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let items = lines(items, &mut wrong);
        let reason = line_of_text(("reason", REASON_CHARACTERS_MAX), reason, &mut wrong);
        if wrong.is_empty() { Ok(Self { id, reason, items }) } else { Err(wrong) }
    }
}

fn lines(items: Result<RequestedLines, Vec<FieldError>>, wrong: &mut Vec<FieldError>) -> Vec<RequestedLine> {
    items.map_or_else(
        |found| {
            wrong.extend(found);
            Vec::new()
        },
        RequestedLines::into_lines,
    )
}

fn line_of_text((field, max): (&str, usize), text: &str, wrong: &mut Vec<FieldError>) -> String {
    let text = text.trim();
    let fits = (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !fits {
        wrong.push(FieldError::new(field, format!("must be one line of 1 to {max} characters")));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use agora_vocab::{ProductId, ShipmentId};
    use uuid::Uuid;

    use super::{NewShipment, RequestedLines};

    #[test]
    fn every_invalid_field_of_a_shipment_is_named() {
        let id = ShipmentId::new(Uuid::from_u128(1));
        let items = |units| RequestedLines::parse(vec![(ProductId::new(Uuid::from_u128(9)), None, units)]);
        let parsed = NewShipment::parse(id, items(2), " Parcel Post ", Some("PP 1")).unwrap();
        assert_eq!((parsed.carrier.as_str(), parsed.tracking.as_deref()), ("Parcel Post", Some("PP 1")));
        let wrong = NewShipment::parse(id, items(0), " ", Some(&"x".repeat(101))).unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(fields, ["items[0].quantity", "carrier", "trackingNumber"]);
        assert!(NewShipment::parse(id, items(1), "two\nlines", None).is_err());
    }
}
