//! Authentication at the gateway: rejects invalid tokens, and requests without a token on routes that need one.
//!
//! The services verify tokens again; this layer only saves them work.

use agora_web::{Identity, Problem};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts, Request},
    middleware::Next,
    response::Response,
};

/// Paths without authentication: a client with an expired token must be able to get a new one.
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

/// Paths below `/api/v1` that require a token.
const CLOSED: [&str; 6] = ["/users", "/auth/validate", "/cart", "/orders", "/admin", "/payments"];

/// Rejects an invalid token, and a missing one on a protected path. Stores the identity for compatibility routes.
pub async fn authenticate(request: Request, next: Next) -> Result<Response, Problem> {
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
