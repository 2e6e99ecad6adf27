//! Why a field has no value: the problem of a service, with the codes of REST, as an error of GraphQL. Shows no internals.

use std::sync::Arc;

use agora_web::Problem;
use async_graphql::{Error, ErrorExtensionValues, ServerError, Value};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;

/// A refusal by a service, or by the gateway on its behalf. The message and the code are those of REST.
#[derive(Clone, Debug)]
pub struct Fault(Arc<Refusal>);

#[derive(Debug)]
struct Refusal {
    problem: agora_api::Problem,
    /// Seconds after which the client may try again.
    retry_after: Option<u32>,
}

/// The value of a field that may be missing: `None` is null, and so is an error, which is listed with the path of the field.
pub type Answer<T> = Option<Result<T, Fault>>;

impl Fault {
    /// The fault in an answer of a service.
    pub fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        match serde_json::from_slice::<agora_api::Problem>(body) {
            Ok(problem) => Self(Arc::new(Refusal { problem, retry_after })),
            Err(_) => Problem::internal(format!("a service answered {status} without a problem")).into(),
        }
    }

    /// Whether a service, or its absence, is the reason, and not the request.
    pub fn is_of_the_service(&self) -> bool {
        self.0.problem.status >= 500
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(Arc::new(Refusal { problem: problem.to_wire(), retry_after: None }))
    }
}

impl From<Fault> for Error {
    fn from(Fault(refusal): Fault) -> Self {
        let Refusal { problem, retry_after } = &*refusal;
        let agora_api::Problem { kind: _, title, status, detail, code, details, request_id, error: _, extra } = problem;
        let mut extensions = ErrorExtensionValues::default();
        let mut set = |name: &str, value: serde_json::Value| {
            extensions.set(name, Value::from_json(value).unwrap_or_default());
        };
        for (name, value) in extra {
            set(name, value.clone());
        }
        set("code", json!(code));
        set("status", json!(status));
        if !details.is_empty() {
            set("details", json!(details));
        }
        if let Some(id) = request_id {
            set("requestId", json!(id));
        }
        if let Some(seconds) = retry_after {
            set("retryAfter", json!(seconds));
        }
        let message = detail.as_ref().unwrap_or(title).clone();
        Self { message, source: None, extensions: Some(extensions) }
    }
}

/// An error of a whole request.
pub fn request_error(code: &str, message: impl Into<String>) -> ServerError {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", code);
    error
}

/// Adds a code to an error that has none.
pub fn with_code(mut error: ServerError, code: &str) -> ServerError {
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_none() {
        extensions.set("code", code);
    }
    error
}

#[cfg(test)]
mod tests {
    use agora_web::Problem;
    use async_graphql::{Error, Value};
    use axum::http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::Fault;

    fn extension(error: &Error, name: &str) -> serde_json::Value {
        let found = error.extensions.as_ref().and_then(|extensions| extensions.get(name)).cloned();
        found.map_or(serde_json::Value::Null, |value: Value| value.into_json().unwrap())
    }

    #[test]
    fn gw4_an_error_has_the_code_and_members_of_the_problem() {
        let problem = Problem::new(StatusCode::CONFLICT, "INSUFFICIENT_QUANTITY")
            .detail("only 3 are left")
            .field("items[0].quantity", "must be at most 3")
            .extra("available", 3);
        let body = serde_json::to_vec(&problem.to_wire()).unwrap();
        let headers: HeaderMap = [("retry-after".parse().unwrap(), "7".parse().unwrap())].into_iter().collect();
        let error = Error::from(Fault::of_answer(StatusCode::CONFLICT, &headers, &body));
        assert_eq!(error.message, "only 3 are left");
        assert_eq!(extension(&error, "code"), "INSUFFICIENT_QUANTITY");
        assert_eq!(extension(&error, "status"), 409);
        assert_eq!(extension(&error, "available"), 3);
        assert_eq!(extension(&error, "retryAfter"), 7);
        assert_eq!(
            extension(&error, "details"),
            json!([{ "field": "items[0].quantity", "message": "must be at most 3" }])
        );
    }

    #[test]
    fn gw4_an_answer_that_is_no_problem_shows_nothing_of_itself() {
        let fault = Fault::of_answer(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>nginx 10.0.0.7</html>");
        assert!(fault.is_of_the_service());
        let error = Error::from(fault);
        assert_eq!(extension(&error, "code"), "INTERNAL");
        assert!(!error.message.contains("nginx"), "{}", error.message);
    }
}
