//! The named schemas of a document. Knows no operation.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};

/// Named schemas as JSON.
#[derive(Debug, Default)]
pub(crate) struct NamedSchemas(BTreeMap<String, Value>);

impl NamedSchemas {
    /// Adds schemas.
    ///
    /// # Errors
    /// Another type has the name of one of them.
    pub(crate) fn add(&mut self, schemas: &[(String, RefOr<Schema>)]) -> Result<(), String> {
        for (name, schema) in schemas {
            let schema = value(schema)?;
            if self.0.get(name).is_some_and(|known| *known != schema) {
                return Err(format!("two types are called {name}: give one of them another name, `schema(as = …)`"));
            }
            self.0.insert(name.clone(), schema);
        }
        Ok(())
    }

    /// The codes that a problem can have, in its schema.
    pub(crate) fn limit_codes(&mut self, codes: &[&str]) {
        if let Some(problem) = self.0.get_mut("Problem") {
            problem["properties"]["code"]["enum"] = json!(codes);
        }
    }

    pub(crate) fn into_json(self) -> Value {
        self.0.into_iter().collect()
    }
}

/// The schema as JSON, without the brackets by which comments in the code refer to each other.
pub(crate) fn value(schema: &RefOr<Schema>) -> Result<Value, String> {
    let mut schema = serde_json::to_value(schema).map_err(|error| error.to_string())?;
    without_links(&mut schema);
    Ok(schema)
}

fn without_links(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = prose(text);
            }
            members.values_mut().for_each(without_links);
        }
        Value::Array(items) => items.iter_mut().for_each(without_links),
        _ => {}
    }
}

/// Text of a comment in the code, for readers who do not have the code.
pub(crate) fn prose(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::ObjectBuilder;

    use super::{NamedSchemas, prose};

    #[test]
    fn de17_two_types_of_one_name_are_an_error_and_one_type_twice_is_not() {
        let schema = |description: &str| ObjectBuilder::new().description(Some(description)).into();
        let mut schemas = NamedSchemas::default();
        schemas.add(&[("Item".to_owned(), schema("a")), ("Item".to_owned(), schema("a"))]).expect("the same type");
        let error = schemas.add(&[("Item".to_owned(), schema("b"))]).expect_err("another type");
        assert!(error.starts_with("two types are called Item"), "{error}");
    }

    #[test]
    fn a_link_in_a_comment_becomes_code() {
        assert_eq!(prose("at most\n[`MAX`] of `x`"), "at most `MAX` of `x`");
    }
}
