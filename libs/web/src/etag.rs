//! Versions in headers: `ETag` out, `If-Match` in. Whether a version is stale is for the store to say.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderValue, StatusCode, header, request::Parts},
};

use crate::problem::Problem;

/// The entity tag of a version: `"3"`.
pub fn etag(version: i64) -> HeaderValue {
    // Digits, a sign and quotes are always a header value.
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// The version that the client saw last. `Option<IfMatch>` for a header that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever the version is.
    Any,
    /// `"3"`: this one.
    Version(i64),
}

/// 428 where the header is absent.
impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        read(parts)?.ok_or_else(|| {
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "VERSION_REQUIRED")
                .detail("send the ETag that you saw last as If-Match")
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Problem> {
        read(parts)
    }
}

fn read(parts: &Parts) -> Result<Option<IfMatch>, Problem> {
    let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag = value.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(Some(IfMatch::Any));
    }
    let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|tag| tag.parse().ok());
    version.map(IfMatch::Version).map(Some).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_IF_MATCH").detail("one entity tag like \"3\", or *")
    })
}
