//! An axum router driven without a socket: what a client sends and what it sees.
//!
//! Knows HTTP and JSON; must not know any route.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use axum::{Router, body::Body};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use crate::contract::Contract;

/// A router under test.
#[derive(Debug, Clone)]
pub struct TestApp {
    router: Router,
    contract: Option<Contract>,
}

impl TestApp {
    pub fn new(router: Router) -> Self {
        Self { router, contract: None }
    }

    /// The router of a service, whose answers must be those of its committed document.
    pub fn of(service: &str, router: Router) -> Self {
        Self { router, contract: Contract::of(service) }
    }

    /// Asserts that the router has a route for each operation of the public port in its document. An operation that
    /// requires a token answers 401 without one; of any other, the answer shows that there is a route.
    pub async fn assert_serves_its_document(&self) {
        let Some(contract) = &self.contract else { return };
        let operations = contract.public_operations();
        assert!(!operations.is_empty(), "the document has operations");
        for (method, path, is_closed) in operations {
            let answer = self.request(method.clone(), &path).await;
            let is_served = if is_closed { answer.status == 401 } else { answer.status != 405 };
            assert!(is_served, "{method} {path}: {} {}", answer.status, answer.body);
        }
    }

    /// `GET path`
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// `POST path` with a JSON body.
    pub fn post(&self, path: &str, body: impl Into<Value>) -> Request {
        self.request(Method::POST, path).json(&body.into())
    }

    /// `PUT path` with a JSON body.
    pub fn put(&self, path: &str, body: impl Into<Value>) -> Request {
        self.request(Method::PUT, path).json(&body.into())
    }

    /// `PATCH path` with a JSON body.
    pub fn patch(&self, path: &str, body: impl Into<Value>) -> Request {
        self.request(Method::PATCH, path).json(&body.into())
    }

    /// `DELETE path`
    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    /// Any other request, without a body.
    pub fn request(&self, method: Method, path: &str) -> Request {
        Request {
            router: self.router.clone(),
            contract: self.contract.clone(),
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }
}

/// A request that is sent when awaited.
#[derive(Debug, Clone)]
#[must_use = "a request is sent when awaited"]
pub struct Request {
    router: Router,
    contract: Option<Contract>,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    /// `Authorization: Bearer token`
    pub fn with(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// `Idempotency-Key: key`
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// `X-Internal-Token: token`
    pub fn internal(self, token: &str) -> Self {
        self.header("x-internal-token", token)
    }

    /// Any header, in place of an earlier one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        self
    }

    /// Any body, in place of the JSON one; the content type stays what it is.
    pub fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    async fn send(self) -> TestResponse {
        let Self { router, contract, method, path, headers, body } = self;
        let sent = http::Request::builder().method(&method).uri(&path).body(Body::from(body.clone()));
        let mut request = sent.expect("a request");
        *request.headers_mut() = headers;
        request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
        let (parts, body) = router.oneshot(request).await.expect("a router never fails").into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let answer = TestResponse {
            status: parts.status.as_u16(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            headers: parts.headers,
            bytes: bytes.to_vec(),
        };
        if let Some(contract) = contract {
            contract.check(&method, &path, &body, &answer);
        }
        answer
    }
}

impl IntoFuture for Request {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct TestResponse {
    /// The status code.
    pub status: u16,
    /// The body as JSON; `Null` where it is none.
    pub body: Value,
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl TestResponse {
    /// Asserts the status and gives the answer back; shows the body where it is another.
    #[expect(clippy::return_self_not_must_use, reason = "asserting alone is a use")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// The body as a wire type.
    pub fn parse<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    /// A header as text; empty where absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Asserts a problem response with this status, this code and details of exactly these fields, in their order.
pub fn refused(answer: &TestResponse, status: u16, code: &str, fields: &[&str]) {
    let body = String::from_utf8_lossy(&answer.bytes);
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
    let problem: agora_api::Problem = answer.parse();
    assert_eq!(problem.code, code, "{body}");
    let named: Vec<&str> = problem.details.iter().map(|detail| detail.field.as_str()).collect();
    assert_eq!(named, fields, "{body}");
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_request_carries_token_key_and_body() {
        let echo = |headers: HeaderMap, body: String| async move {
            let text = |name: &str| headers[name].to_str().expect("text").to_owned();
            format!("[{:?},{:?},{body}]", text("authorization"), text("idempotency-key"))
        };
        let app = TestApp::new(Router::new().route("/echo", post(echo)));

        let answer = app.post("/echo", json!({"a": 1})).with("t").key("k").await;
        assert_eq!(answer.status, 200);

        assert_eq!(answer.body, json!(["Bearer t", "k", {"a": 1}]));
        assert_eq!(app.get("/nothing").await.status, 404);
    }
}
