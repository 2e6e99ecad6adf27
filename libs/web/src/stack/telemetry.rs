//! By what a request is named in logs and metrics: its id and its method.

use agora_chassis::trace;
use agora_vocab::contains_card_number;
use axum::http::{HeaderMap, HeaderValue, Method};
use uuid::Uuid;

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
