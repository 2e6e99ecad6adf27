//! What is refused of a request before its route is called: ambiguous hosts, encoded bodies, bodies announced too large,
//! card numbers in headers that are stored and shown.

use std::time::Duration;

use agora_chassis::{deadline, trace};
use agora_vocab::contains_card_number;
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, Version, header},
};

use crate::{body::BodyFault, problem::Problem};

/// The problem of a request whose head alone is enough to refuse it.
pub(crate) fn refuse(request: &Request, body_bytes_max: usize) -> Result<(), Problem> {
    let headers = request.headers();
    if !names_one_host(request) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "INVALID_HOST").detail("send exactly one Host header"));
    }
    refuse_card(headers, trace::REQUEST_ID.as_str())?;
    match deadline::sent(headers) {
        Ok(Some(Duration::ZERO)) => return Err(too_late()),
        Ok(_) => {}
        Err(error) => {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "INVALID_TIMEOUT")
                .field(deadline::REQUEST_TIMEOUT.as_str(), error.to_string()));
        }
    }
    if !is_plain(headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_CONTENT_ENCODING")
            .detail("send the body without Content-Encoding")
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    if length(headers).is_some_and(|length| length > body_bytes_max as u64) {
        return Err(BodyFault::TooLarge.into());
    }
    Ok(())
}

/// The answer to a request whose sender has stopped waiting: its work is not begun.
pub(crate) fn too_late() -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED")
        .detail("the time in which the caller needs the answer is over: nothing was done")
}

/// 422 for a header that contains a card number: it would be stored, logged and sent on.
pub(crate) fn refuse_card(headers: &HeaderMap, name: &str) -> Result<(), Problem> {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    if values.any(contains_card_number) {
        return Err(Problem::unprocessable().field(name, "must not contain a payment card number"));
    }
    Ok(())
}

/// HTTP/1.1 requires exactly one `Host` (RFC 9112, 3.2); HTTP/2 has it in the target.
fn names_one_host(request: &Request) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && (request.version() != Version::HTTP_11 || request.uri().authority().is_some()))
}

fn is_plain(headers: &HeaderMap) -> bool {
    let plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    headers.get_all(header::CONTENT_ENCODING).iter().all(plain)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
