//! JSON is read once before it becomes a value of any type: how much it holds, and strings that must not enter, card
//! numbers and NUL. Builds no tree, and never repeats what it found.

use std::fmt;

use agora_vocab::{contains_card_number, looks_like_card_number};
use axum::http::StatusCode;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::problem::Problem;

/// Most values of one body: members, elements and the containers themselves. An order of a hundred lines has about 500.
pub(crate) const VALUES_MAX: usize = 2_000;

/// Fields whose own parsers take long numbers, and the words of a search.
const EXEMPT: [&str; 3] = ["sku", "phone", "q"];

/// Fields of which only a hash is stored. Users whose password has a card number in it would be locked out.
const HASHED: [&str; 3] = ["password", "currentPassword", "newPassword"];

const NO_CARD: &str = "must not contain a payment card number";

/// Refuses a forbidden string in the field `name`.
pub(crate) fn refuse_text(name: &str, text: &str) -> Result<(), Problem> {
    let refused = |message: &str| Problem::unprocessable().field(name, message);
    if field_has_card(name, text) {
        return Err(refused(NO_CARD));
    }
    if text.contains('\0') {
        return Err(refused("must not contain the character NUL"));
    }
    Ok(())
}

fn field_has_card(name: &str, text: &str) -> bool {
    if HASHED.contains(&name) {
        return looks_like_card_number(text);
    }
    !EXEMPT.contains(&name) && text_has_card(text)
}

/// A text without white space inside is opaque, whatever its field is called: a token, an address, a code, a URL, which is
/// stored and sent on as it is, so that no part of it may be a card number. Prose may contain long numbers, such as that of a
/// parcel locker, but may not be a card number as a whole.
fn text_has_card(text: &str) -> bool {
    if text.trim().contains(char::is_whitespace) { looks_like_card_number(text) } else { contains_card_number(text) }
}

/// Reads a JSON text to its end. Fails with the problem of a forbidden string or of too many values, or with the parser's
/// error where the text is no JSON.
pub(crate) fn check(text: &[u8]) -> Result<(), CheckError> {
    let mut check = Check { path: Vec::new(), values: 0, refused: None };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = check.deserialize(&mut reader).and_then(|()| reader.end());
    match (check.refused, read) {
        (Some(problem), _) => Err(CheckError::Refused(problem)),
        (None, Err(error)) => Err(CheckError::Unreadable(error)),
        (None, Ok(())) => Ok(()),
    }
}

/// Why a text was not accepted.
pub(crate) enum CheckError {
    Refused(Problem),
    Unreadable(serde_json::Error),
}

struct Check {
    path: Vec<Step>,
    values: usize,
    refused: Option<Problem>,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Check {
    fn refuse<E: Error>(&mut self, problem: Problem) -> E {
        self.refused = Some(problem);
        E::custom("refused")
    }

    fn count<E: Error>(&mut self) -> Result<(), E> {
        self.values += 1;
        if self.values <= VALUES_MAX {
            return Ok(());
        }
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE");
        Err(self.refuse(problem.detail(format!("the body may hold at most {VALUES_MAX} values"))))
    }

    fn field<E: Error>(&mut self, message: &str) -> E {
        let problem = Problem::unprocessable().field(place(&self.path), message);
        self.refuse(problem)
    }
}

/// Recursion ends: the parser takes at most 128 levels.
impl<'de> DeserializeSeed<'de> for &mut Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.count()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let card = match self.path.last() {
            Some(Step::Key(key)) => field_has_card(key, text),
            Some(Step::Index(_)) | None => text_has_card(text),
        };
        if card {
            return Err(self.field(NO_CARD));
        }
        if text.contains('\0') {
            return Err(self.field("must not contain the character NUL"));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.path.push(Step::Index(0));
        while items.next_element_seed(&mut *self)?.is_some() {
            if let Some(Step::Index(index)) = self.path.last_mut() {
                *index += 1;
            }
        }
        self.path.pop();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(key) = fields.next_key::<String>()? {
            if text_has_card(&key) {
                return Err(self.field("must not have a payment card number for a name"));
            }
            self.path.push(Step::Key(key));
            fields.next_value_seed(&mut *self)?;
            self.path.pop();
        }
        Ok(())
    }
}

/// `items[0].note`
fn place(path: &[Step]) -> String {
    let mut place = String::new();
    for step in path {
        match step {
            Step::Key(key) if place.is_empty() => place.push_str(key),
            Step::Key(key) => place.extend([".", key]),
            Step::Index(index) => place.extend(["[", &index.to_string(), "]"]),
        }
    }
    if place.is_empty() { "body".to_owned() } else { place }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CheckError, VALUES_MAX, check, refuse_text};
    use crate::problem::Problem;

    fn refused(body: &Value) -> Option<Problem> {
        match check(body.to_string().as_bytes()) {
            Ok(()) => None,
            Err(CheckError::Refused(problem)) => Some(problem),
            Err(CheckError::Unreadable(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_card_number_is_found_at_any_depth_and_named_without_being_repeated() {
        let body = json!({"items": [{"note": "ok"}, {"note": "4111 1111 1111 1111"}]});
        let wire = refused(&body).unwrap().to_wire();
        assert_eq!((wire.status, wire.details[0].field.as_str()), (422, "items[1].note"));
        assert!(!serde_json::to_string(&wire).unwrap().contains("4111"));
    }

    #[test]
    fn a_card_number_as_a_name_or_as_the_whole_body_is_refused() {
        assert!(refused(&json!({"4111111111111111": 1})).is_some());
        assert!(refused(&json!("4111-1111-1111-1111")).is_some());
    }

    #[test]
    fn sku_phone_and_searches_take_long_numbers() {
        assert!(refused(&json!({"sku": "4111111111111111", "user": {"phone": "4111111111111111"}})).is_none());
        refuse_text("phone", "4111111111111111").unwrap();
        refuse_text("q", "4111111111111111").unwrap();
        assert!(refuse_text("category", "4111111111111111").is_err());
    }

    #[test]
    fn a_card_number_inside_a_token_or_an_address_is_refused_and_inside_a_note_it_is_not() {
        for (field, text) in [("token", "tok_4111111111111111"), ("email", "4111111111111111@example.com")] {
            let wire = refused(&json!({ field: text })).unwrap().to_wire();
            assert_eq!(wire.details[0].field, field);
        }
        assert!(refused(&json!({"note": "locker 4111111111111111, code 7"})).is_none());
    }

    #[test]
    fn no_opaque_text_contains_a_card_number_whatever_its_field_is_called() {
        let cases = [
            (json!({"newEmail": "4111111111111111@example.com"}), "newEmail"),
            (json!({"cartToken": "g.4111-1111-1111-1111"}), "cartToken"),
            (json!({"trackingNumber": "PP/4111111111111111"}), "trackingNumber"),
            (json!({"couponCode": "SAVE-4111111111111111"}), "couponCode"),
            (json!({"url": "https://example.com/hook?card=4111111111111111"}), "url"),
            (json!({"metadata": {"anything": "ref:4111111111111111"}}), "metadata.anything"),
            (json!({"eventTypes": ["order.paid", "x.4111111111111111"]}), "eventTypes[1]"),
        ];
        for (body, field) in cases {
            assert_eq!(refused(&body).unwrap().to_wire().details[0].field, field);
        }
        assert!(refused(&json!({"options": {"x_4111111111111111": "red"}})).is_some());
        assert!(refuse_text("reference", "ch_4111111111111111").is_err());
    }

    #[test]
    fn a_password_may_have_a_card_number_in_it_and_may_not_be_one() {
        for field in ["password", "currentPassword", "newPassword"] {
            assert!(refused(&json!({ field: "me:4111111111111111" })).is_none(), "{field}");
            assert!(refused(&json!({ field: "4111 1111 1111 1111" })).is_some(), "{field}");
        }
    }

    #[test]
    fn nul_is_refused_everywhere() {
        assert!(refused(&json!({"sku": "a\0b"})).is_some());
        assert!(refuse_text("phone", "\0").is_err());
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        assert!(refused(&json!(vec![0; VALUES_MAX - 1])).is_none());
        assert_eq!(refused(&json!(vec![0; VALUES_MAX])).unwrap().status(), 413);
        let nested = format!("[{}{{}}]", "{\"a\":{}},".repeat(VALUES_MAX / 2));
        assert!(matches!(check(nested.as_bytes()), Err(CheckError::Refused(problem)) if problem.status() == 413));
    }
}
