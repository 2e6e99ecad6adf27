//! Requests: authorisation, forms, idempotency keys and faults.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{STRIPE_API_KEY, Shared, StripeFault, charges};

/// The parameters of a request.
pub type Form = BTreeMap<String, String>;
/// Status and body of an answer.
pub type Answer = (u16, Value);

#[expect(clippy::disallowed_methods, reason = "the server ends with the runtime of the test")]
pub async fn serve(shared: Arc<Shared>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback");
    let address = listener.local_addr().expect("a bound port");
    let router = Router::new().fallback(handle).with_state(shared);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[expect(clippy::disallowed_methods, reason = "the provider goes on when its caller leaves")]
async fn handle(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorised = headers.get("authorization").is_some_and(|value| value == &format!("Bearer {STRIPE_API_KEY}"));
    if !authorised {
        return answer((401, error("invalid_request_error", "invalid_api_key")));
    }
    if method == Method::GET {
        let query = parse(uri.query().unwrap_or_default());
        return answer(charges::read(&shared.state(), uri.path(), &query));
    }
    let is_form = headers.get("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    if !is_form || key.is_empty() {
        return answer((400, error("invalid_request_error", "a form and an Idempotency-Key are required")));
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    let change = change(shared, uri.path().to_owned(), key.to_owned(), body);
    tokio::spawn(change).await.expect("the provider does not panic")
}

/// Executes a request once per key.
async fn change(shared: Arc<Shared>, path: String, key: String, body: String) -> Response {
    let fault = {
        let mut state = shared.state();
        state.requests.push((path.clone(), key.clone()));
        match state.keys.get(&key) {
            Some((first, _)) if *first != body => return answer((400, error("idempotency_error", "key_reused"))),
            Some((_, None)) => return answer((409, error("idempotency_error", "idempotency_key_in_use"))),
            Some((_, Some(stored))) => return answer(stored.clone()),
            None => {}
        }
        let fault = state.faults.pop_front();
        if let Some(StripeFault::Status(status)) = fault {
            return answer((status, error("api_error", "fault")));
        }
        state.keys.insert(key.clone(), (body.clone(), None));
        fault
    };
    if fault == Some(StripeFault::Slow) {
        // Without permits, it ends when the semaphore is closed.
        let _ = shared.released.acquire().await;
    }
    let result = {
        let mut state = shared.state();
        let result = charges::change(&mut state, &path, &parse(&body));
        state.keys.insert(key, (body, Some(result.clone())));
        result
    };
    if fault == Some(StripeFault::LoseAnswer) { lost() } else { answer(result) }
}

/// The head of an answer whose connection breaks before its body.
fn lost() -> Response {
    let broken = futures::stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)) });
    (StatusCode::OK, Body::from_stream(broken)).into_response()
}

fn answer((status, body): Answer) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

/// The body of a refusal.
pub fn error(kind: &str, code: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": code } })
}

fn parse(form: &str) -> Form {
    form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}
