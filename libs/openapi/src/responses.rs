//! The refusals that operations share, and the headers of answers. Knows no operation.

use serde_json::{Map, Value, json};

/// A refusal by its status: name, and what it says.
const REFUSALS: [(u16, &str, &str); 13] = [
    (400, "BadRequest", "The request is malformed: `details` names the field or parameter."),
    (401, "Unauthorized", "The token is absent, expired or not valid."),
    (403, "Forbidden", "The token does not grant a role that the route requires."),
    (404, "NotFound", "It does not exist, or the caller must not see it."),
    (409, "Conflict", "The state does not permit it, or the first request with this `Idempotency-Key` has not ended."),
    (412, "PreconditionFailed", "It has changed since the client read it."),
    (413, "ContentTooLarge", "The body is larger than the route permits."),
    (415, "UnsupportedMediaType", "The body is of another media type, or is compressed."),
    (422, "UnprocessableContent", "A field is not acceptable: `details` names each one with what would be."),
    (428, "PreconditionRequired", "Neither `If-Match` nor a version was sent."),
    (429, "TooManyRequests", "The client has sent too many requests: `Retry-After` says when to try again."),
    (500, "InternalServerError", "A fault of the shop; find its log lines by `requestId`."),
    (503, "ServiceUnavailable", "Something that the route needs is away: `Retry-After` says when to try again."),
];
/// Of every other status.
const OTHER: (&str, &str) = ("Refused", "Any other refusal; its `code` says which.");

/// Headers of answers: name, and what it says.
const HEADERS: [(&str, &str, &str); 6] = [
    ("ETag", "string", "The entity tag, for `If-Match` and `If-None-Match`."),
    ("Location", "string", "The path of what was created."),
    ("RateLimit-Limit", "integer", "Requests that the client may send in the present window."),
    ("RateLimit-Remaining", "integer", "Requests that are left of them."),
    ("RateLimit-Reset", "integer", "Seconds until all of them are left again."),
    ("Retry-After", "integer", "Seconds after which to try again."),
];
/// Headers of answers of a counted route.
const COUNTED: [&str; 3] = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];

/// `components.responses`
pub(crate) fn refusals() -> Value {
    let shared = REFUSALS.iter().map(|(status, name, text)| {
        let waits = matches!(status, 429 | 503);
        (*name, refusal(text, if waits { &["Retry-After"] } else { &[] }))
    });
    shared.chain([(OTHER.0, refusal(OTHER.1, &[]))]).map(|(name, refusal)| (name.to_owned(), refusal)).collect()
}

fn refusal(text: &str, named: &[&str]) -> Value {
    json!({
        "description": text,
        "headers": headers(named),
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

/// `components.headers`
pub(crate) fn headers_by_name() -> Value {
    let header = |(name, kind, text): &(&str, &str, &str)| {
        ((*name).to_owned(), json!({ "description": text, "schema": { "type": kind } }))
    };
    HEADERS.iter().map(header).collect()
}

/// References to headers.
pub(crate) fn headers(names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))).collect()
}

/// The names of the headers of answers of a counted route.
pub(crate) fn counted() -> Vec<&'static str> {
    COUNTED.to_vec()
}

/// Adds references to the refusals of these statuses, and to that of all others.
pub(crate) fn refuse(responses: &mut Map<String, Value>, statuses: &[u16]) {
    for (status, name, _) in REFUSALS.iter().filter(|(status, ..)| statuses.contains(status)) {
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }));
    }
    responses.insert("default".to_owned(), json!({ "$ref": format!("#/components/responses/{}", OTHER.0) }));
}
