//! The request to a compatibility route, and the responses of the calls made for it.

use std::collections::BTreeMap;

use agora_vocab::{PageSize, UserId};
use agora_web::Problem;
use serde_json::Value;
use uuid::Uuid;

use super::table::{Query, Step};

/// A request with the responses received so far.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Values of path placeholders.
    pub params: BTreeMap<String, String>,
    /// Decoded query parameters.
    pub query: Vec<(String, String)>,
    /// The JSON body; null if empty.
    pub body: Value,
    /// The authenticated user, if any.
    pub user: Option<UserId>,
    /// JSON bodies of the responses so far.
    pub answers: Vec<Value>,
}

impl Exchange {
    /// The last response body.
    pub fn last(&self) -> &Value {
        self.answers.last().unwrap_or(&Value::Null)
    }

    /// Path and query of a call; 404 for an id that is no UUID.
    pub fn target(&self, step: &Step) -> Result<String, Problem> {
        if step.only_own && !self.names_the_caller() {
            return Err(Problem::not_found());
        }
        let mut path = step.route.path.to_owned();
        for (name, value) in &self.params {
            let placeholder = format!("{{{name}}}");
            if path.contains(&placeholder) {
                let id: Uuid = value.parse().map_err(|_| Problem::not_found())?;
                path = path.replace(&placeholder, &id.to_string());
            }
        }
        Ok(match step.query {
            Query::Dropped => path,
            Query::Page { limit, others } => format!("{path}?{}", text(&self.page(limit, others))),
        })
    }

    /// Whether the path's `id` is the caller's. True without a token: the service then answers 401.
    fn names_the_caller(&self) -> bool {
        self.user.is_none_or(|user| self.params.get("id").and_then(|id| id.parse().ok()) == Some(user))
    }

    fn page(&self, limit: u16, others: &[&str]) -> Vec<(String, String)> {
        let asked = self.query.iter().find(|(name, _)| name == "limit").map(|(_, value)| clamped(value));
        let passed = self.query.iter().filter(|(name, _)| name == "offset" || others.contains(&name.as_str())).cloned();
        std::iter::once(("limit".to_owned(), asked.unwrap_or_else(|| limit.to_string()))).chain(passed).collect()
    }
}

/// Clamps a page size. Other text is passed on for the service to reject.
fn clamped(limit: &str) -> String {
    match limit.parse::<i64>() {
        Ok(limit) => limit.clamp(1, i64::from(PageSize::MAX.get())).to_string(),
        Err(_) => limit.to_owned(),
    }
}

/// Decodes a query string.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn text(pairs: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::{clamped, pairs, text};

    #[test]
    fn a_limit_is_clamped_and_other_text_is_left_for_the_service() {
        assert_eq!([clamped("0"), clamped("-5"), clamped("7"), clamped("1000")], ["1", "1", "7", "100"]);
        assert_eq!(clamped("many"), "many");
    }

    #[test]
    fn a_query_keeps_its_values_through_reading_and_writing() {
        let read = pairs("category=a%26b&q=caf%C3%A9+au+lait");
        assert_eq!(read[0].1, "a&b");
        assert_eq!(pairs(&text(&read)), read);
    }
}
