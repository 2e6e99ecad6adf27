//! What is recorded of a request: its id, its span, its method in metrics, and a line in the log.

use std::time::Duration;

use agora_chassis::trace;
use agora_vocab::contains_card_number;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tracing::{Span, field::Empty};
use uuid::Uuid;

/// The header that names the trace of an answer.
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Longest request id taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The client's request id if it is valid in a log line, else a new one.
#[expect(
    clippy::disallowed_methods,
    reason = "a request's id decides nothing: a router must not need a Process for it"
)]
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let sent = headers.get(trace::REQUEST_ID).map(HeaderValue::as_bytes);
    let sent = sent.filter(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic));
    match sent.map(str::from_utf8) {
        Some(Ok(id)) if !contains_card_number(id) => id.to_owned(),
        _ => Uuid::now_v7().to_string(),
    }
}

pub(super) fn span(id: &str, method: &'static str, route: &str) -> Span {
    tracing::info_span!(
        "request",
        request_id = id,
        trace_id = Empty,
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    )
}

pub(super) fn name(headers: &mut HeaderMap, trace_id: Option<String>) {
    let ids = [(trace::REQUEST_ID, trace::request_id()), (TRACE_ID, trace_id)];
    for (header, id) in ids {
        if let Some(Ok(value)) = id.map(HeaderValue::try_from) {
            headers.insert(header, value);
        }
    }
}

pub(super) fn note(status: StatusCode, method: &'static str, route: &str, took: Duration) {
    let span = Span::current();
    span.record("http.response.status_code", status.as_u16());
    let took_ms = took.as_secs_f64() * 1000.0;
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        tracing::warn!(method, route, status = status.as_u16(), took_ms, "request answered");
    } else {
        tracing::debug!(method, route, status = status.as_u16(), took_ms, "request answered");
    }
}

/// Clients may send any method; metrics must not have a series for each.
pub(super) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
