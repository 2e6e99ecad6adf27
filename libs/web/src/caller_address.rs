//! The address of the client behind the gateway.

use std::net::IpAddr;

use axum::http::HeaderMap;

/// Set by the gateway, which drops a value from the client.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address from which a client called the gateway; `None` without one.
pub fn caller_address(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get(FORWARDED_FOR)?.to_str().ok()?.split(',').next()?.trim().parse().ok()
}
