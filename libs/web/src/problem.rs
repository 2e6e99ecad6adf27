//! Errors as `application/problem+json` (RFC 9457). Never contains the internals of a failure: those are logged.

use std::borrow::Cow;

use agora_api::Detail;
use agora_chassis::{BoxError, chain, trace};
use agora_vocab::Invalid;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

/// An error response.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    code: Cow<'static, str>,
    title: Option<Cow<'static, str>>,
    detail: Option<String>,
    details: Vec<Detail>,
    extra: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of the kind `code` ("INSUFFICIENT_QUANTITY"); its title is the code in words.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            status,
            code: code.into(),
            title: None,
            detail: None,
            details: Vec::new(),
            extra: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// 422: parsed, but not acceptable; name the fields with [`Problem::field`].
    pub fn unprocessable() -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED")
    }

    /// 404, also for what belongs to another user.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND")
    }

    /// 500 for a failure that the client cannot do anything about. The failure is logged and not shown.
    pub fn internal(failure: impl Into<BoxError>) -> Self {
        let failure: BoxError = failure.into();
        tracing::error!(error = chain(failure.as_ref()), "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL")
    }

    /// 503 with `Retry-After` for something that is away at the moment. The failure is logged and not shown.
    pub fn unavailable(failure: impl Into<BoxError>) -> Self {
        let failure: BoxError = failure.into();
        tracing::warn!(error = chain(failure.as_ref()), "request cannot be served now");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE").retry_after(1)
    }

    /// The kind in words, where the code in words does not do; also sent as `error`.
    #[must_use]
    pub fn title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.0.title = Some(title.into());
        self
    }

    /// This occurrence in words, with the remedy. Not for internals, not for anything that the client sent.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// What would be acceptable in a field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.details.push(Detail { field: field.into(), message: message.into() });
        self
    }

    /// When to try again, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A member of this kind of problem alone, such as `available`.
    #[must_use]
    pub fn extra(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extra.insert(name.to_owned(), value.into());
        self
    }

    /// A header of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The status that will be answered.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The kind for programs.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The body as it will be answered, for an answer that is stored and replayed.
    pub fn to_wire(&self) -> agora_api::Problem {
        let inner = &*self.0;
        let title = inner.title.clone().unwrap_or_else(|| in_words(&inner.code).into()).into_owned();
        agora_api::Problem {
            kind: format!("urn:agora:problem:{}", inner.code.to_ascii_lowercase().replace('_', "-")),
            error: title.clone(),
            title,
            status: inner.status.as_u16(),
            detail: inner.detail.clone(),
            code: inner.code.clone().into_owned(),
            details: inner.details.clone(),
            request_id: trace::request_id(),
            extra: inner.extra.clone(),
        }
    }
}

/// "INSUFFICIENT_QUANTITY" → "Insufficient quantity".
fn in_words(code: &str) -> String {
    let mut words = code.to_ascii_lowercase().replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.to_wire()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers;
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// 422 for the field that the parser refused.
impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::unprocessable().field(invalid.field, invalid.message)
    }
}

/// A callee's refusal handed on to the client: same status, code and members; the request id is this request's.
impl From<agora_api::Problem> for Problem {
    fn from(wire: agora_api::Problem) -> Self {
        let status = StatusCode::from_u16(wire.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut problem = Self::new(status, wire.code).title(wire.title);
        problem.0.detail = wire.detail;
        problem.0.details = wire.details;
        problem.0.extra = wire.extra;
        problem
    }
}

#[cfg(test)]
mod tests {
    use agora_chassis::trace::{Parent, for_request};
    use axum::{body::to_bytes, http::StatusCode, response::IntoResponse as _};
    use serde_json::{Value, json};

    use super::Problem;

    async fn body(problem: Problem) -> Value {
        let response = problem.into_response();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        serde_json::from_slice(&to_bytes(response.into_body(), 1 << 16).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn rs6_a_problem_has_every_member_of_its_kind() {
        let problem = Problem::new(StatusCode::CONFLICT, "INSUFFICIENT_QUANTITY")
            .detail("only 3 are left")
            .field("items[0].quantity", "must be at most 3")
            .extra("available", 3);
        let found = for_request("r-1".to_owned(), Parent::default(), tracing::Span::none(), body(problem)).await;
        assert_eq!(
            found,
            json!({
                "type": "urn:agora:problem:insufficient-quantity",
                "title": "Insufficient quantity",
                "status": 409,
                "detail": "only 3 are left",
                "code": "INSUFFICIENT_QUANTITY",
                "details": [{"field": "items[0].quantity", "message": "must be at most 3"}],
                "requestId": "r-1",
                "error": "Insufficient quantity",
                "available": 3,
            })
        );
    }

    #[tokio::test]
    async fn rs7_a_failure_shows_nothing_of_its_cause() {
        let cause = std::io::Error::other("password authentication failed for user shop_main_order");
        let found = body(Problem::internal(cause)).await;
        assert!(!found.to_string().contains("shop_main"), "{found}");
        assert_eq!(found["code"], "INTERNAL");
    }

    #[test]
    fn what_is_away_says_when_to_try_again() {
        let response = Problem::unavailable("no database").into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
    }

    #[tokio::test]
    async fn rs6_a_callees_refusal_keeps_its_kind_and_members() {
        let refused = Problem::new(StatusCode::CONFLICT, "INSUFFICIENT_QUANTITY").extra("available", 3);
        let relayed = body(Problem::from(refused.to_wire())).await;
        assert_eq!(relayed, body(refused).await);
    }
}
