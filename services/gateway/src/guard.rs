//! The token check at the edge: a bad token goes no further, and neither does a request without one where none is
//! served. The services check again; what is refused here only saves them the trouble.

use agora_web::{Identity, Problem};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts, Request},
    middleware::Next,
    response::Response,
};

/// Paths that serve who has no token or an old one: a client whose token has ended must be able to get the next.
const OPEN: [&str; 9] = [
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
    "/auth/register",
    "/auth/login",
    "/api/users/login",
    "/s3/users",
    "/s3/users/login",
];

/// Paths below `/api/v1` that serve nobody without a token.
const CLOSED: [&str; 6] = ["/users", "/auth/validate", "/cart", "/orders", "/admin", "/payments"];

/// Refuses a bad token, and a missing one on a closed path; keeps the identity of a good one for the aliases.
pub async fn check(request: Request, next: Next) -> Result<Response, Problem> {
    let path = request.uri().path();
    if OPEN.contains(&path) {
        return Ok(next.run(request).await);
    }
    let closed = path.strip_prefix("/api/v1").is_some_and(|below| CLOSED.iter().any(|closed| is_below(below, closed)));
    let (mut parts, body) = request.into_parts();
    if closed {
        let identity = <Identity as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await?;
        parts.extensions.insert(identity);
    } else if let Some(identity) = optional(&mut parts).await? {
        parts.extensions.insert(identity);
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

async fn optional(parts: &mut axum::http::request::Parts) -> Result<Option<Identity>, Problem> {
    <Identity as OptionalFromRequestParts<()>>::from_request_parts(parts, &()).await
}

/// Whether `path` is `prefix` or lies below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
