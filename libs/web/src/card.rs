//! Strings that must not enter: card numbers anywhere but where a parser takes digits, and NUL, which no store keeps.
//! Knows the shape of JSON; it never repeats what it found.

use agora_vocab::looks_like_card_number;
use serde_json::Value;

use crate::problem::Problem;

/// Fields whose own parsers take long numbers.
const EXEMPT: [&str; 2] = ["sku", "phone"];

/// Refuses a body with a forbidden string, naming the place.
pub(crate) fn refuse_in(body: &Value) -> Result<(), Problem> {
    walk(body, &mut Vec::new())
}

/// Refuses a forbidden string in the field `name`.
pub(crate) fn refuse_text(name: &str, text: &str) -> Result<(), Problem> {
    if !EXEMPT.contains(&name) && looks_like_card_number(text) {
        return Err(refused(name, "must not be a payment card number"));
    }
    if text.contains('\0') {
        return Err(refused(name, "must not contain the character NUL"));
    }
    Ok(())
}

fn refused(place: &str, message: &str) -> Problem {
    Problem::unprocessable().field(place, message)
}

/// Recursion ends: the parser takes at most 128 levels.
fn walk<'a>(value: &'a Value, path: &mut Vec<Step<'a>>) -> Result<(), Problem> {
    match value {
        Value::String(text) => {
            let exempt = matches!(path.last(), Some(Step::Key(key)) if EXEMPT.contains(key));
            if !exempt && looks_like_card_number(text) {
                return Err(refused(&place(path), "must not be a payment card number"));
            }
            if text.contains('\0') {
                return Err(refused(&place(path), "must not contain the character NUL"));
            }
            Ok(())
        }
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            path.push(Step::Index(index));
            walk(item, path)?;
            path.pop();
            Ok(())
        }),
        Value::Object(fields) => fields.iter().try_for_each(|(key, field)| {
            if looks_like_card_number(key) {
                return Err(refused(&place(path), "must not have a payment card number for a name"));
            }
            path.push(Step::Key(key));
            walk(field, path)?;
            path.pop();
            Ok(())
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// `items[0].note`
fn place(path: &[Step<'_>]) -> String {
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
    use serde_json::json;

    use super::{refuse_in, refuse_text};

    #[test]
    fn a_card_number_is_found_at_any_depth_and_named_without_being_repeated() {
        let body = json!({"items": [{"note": "ok"}, {"note": "4111 1111 1111 1111"}]});
        let wire = refuse_in(&body).unwrap_err().to_wire();
        assert_eq!((wire.status, wire.details[0].field.as_str()), (422, "items[1].note"));
        assert!(!serde_json::to_string(&wire).unwrap().contains("4111"));
    }

    #[test]
    fn a_card_number_as_a_name_or_as_the_whole_body_is_refused() {
        assert!(refuse_in(&json!({"4111111111111111": 1})).is_err());
        assert!(refuse_in(&json!("4111-1111-1111-1111")).is_err());
    }

    #[test]
    fn sku_and_phone_have_parsers_of_their_own() {
        refuse_in(&json!({"sku": "4111111111111111", "user": {"phone": "4111111111111111"}})).unwrap();
        refuse_text("phone", "4111111111111111").unwrap();
        assert!(refuse_text("q", "4111111111111111").is_err());
    }

    #[test]
    fn nul_is_refused_everywhere() {
        assert!(refuse_in(&json!({"sku": "a\0b"})).is_err());
        assert!(refuse_text("phone", "\0").is_err());
    }
}
