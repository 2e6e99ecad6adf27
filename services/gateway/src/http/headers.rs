//! Headers: which are forwarded in each direction, security headers, CORS.

use std::{
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use agora_chassis::trace;
use axum::{
    extract::ConnectInfo,
    http::{self, HeaderMap, HeaderName, HeaderValue, Method, header},
};
use futures::{TryFutureExt as _, future::MapOk};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{content_policy, fallbacks::DEGRADED, streams::LAST_EVENT_ID};
use crate::config::Origins;

/// Time for which browsers cache a preflight response.
const PREFLIGHT_AGE: Duration = Duration::from_mins(10);

/// Hop-by-hop headers (RFC 9110, 7.6.1), in addition to those that `Connection` lists.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Prefixes of headers that clients may not set: identity, address, internal tokens, and the time that the gateway waits.
const NOT_FROM_OUTSIDE: [&str; 9] = [
    "x-internal-",
    "x-command-",
    "x-user",
    "x-role",
    "x-auth",
    "x-request-timeout",
    "x-forwarded",
    "x-real-ip",
    "forwarded",
];

const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Set on every response, errors included, besides the content policy.
const SECURITY: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Sets the security headers on every response.
#[derive(Clone, Copy, Debug)]
pub struct SecurityHeaders;

/// A service whose responses have the security headers.
#[derive(Clone, Debug)]
pub struct Secure<S>(S);

impl<S> Layer<S> for SecurityHeaders {
    type Service = Secure<S>;

    fn layer(&self, inner: S) -> Secure<S> {
        Secure(inner)
    }
}

impl<S, Request, Body> Service<Request> for Secure<S>
where
    S: Service<Request, Response = http::Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = MapOk<S::Future, fn(S::Response) -> S::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.call(request).map_ok(secured as fn(S::Response) -> S::Response)
    }
}

fn secured<Body>(mut response: http::Response<Body>) -> http::Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    content_policy::apply(headers);
    response
}

/// Tokens are sent in a header that pages set themselves, so CORS credentials are never allowed.
pub fn cors(Origins(origins): &Origins) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("x-cart-token"),
            HeaderName::from_static("x-currency"),
            LAST_EVENT_ID,
            trace::REQUEST_ID,
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("tracestate"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static("ratelimit-limit"),
            HeaderName::from_static("ratelimit-remaining"),
            HeaderName::from_static("ratelimit-reset"),
            trace::REQUEST_ID,
            TRACE_ID,
            DEGRADED,
        ])
        .max_age(PREFLIGHT_AGE)
}

/// The headers of the forwarded request: the client's without forbidden ones, the trace context, and the client's address.
pub fn request_headers(client: &HeaderMap, from: Option<&ConnectInfo<SocketAddr>>) -> HeaderMap {
    let mut headers = passed(client, |name| {
        *name != header::HOST
            && *name != header::EXPECT
            && !NOT_FROM_OUTSIDE.iter().any(|prefix| name.as_str().starts_with(prefix))
    });
    trace::inject(&mut headers);
    if let Some(Ok(id)) = trace::trace_id().map(HeaderValue::try_from) {
        headers.insert(TRACE_ID, id);
    }
    if let Some(Ok(address)) = from.map(|ConnectInfo(from)| HeaderValue::try_from(from.ip().to_string())) {
        headers.insert(FORWARDED_FOR, address);
    }
    headers
}

/// The headers of the response to the client.
pub fn response_headers(service: &HeaderMap) -> HeaderMap {
    passed(service, |name| *name != header::SERVER)
}

fn passed(headers: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let of_one_hop =
        |name: &HeaderName| HOP_BY_HOP.contains(&name.as_str()) || named.iter().any(|n| n == name.as_str());
    headers
        .iter()
        .filter(|(name, _)| !of_one_hop(name) && keep(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{extract::ConnectInfo, http::HeaderMap};

    use super::{request_headers, response_headers};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn gw9_identity_headers_of_a_client_are_dropped() {
        let sent = headers(&[
            ("x-user-id", "someone-else"),
            ("x-user-roles", "admin"),
            ("x-userid", "1"),
            ("x-roles", "admin"),
            ("x-internal-token", "forged"),
            ("x-command-id", "forged"),
            ("x-request-timeout-ms", "1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("authorization", "Bearer token"),
            ("idempotency-key", "k"),
            ("x-cart-token", "t"),
        ]);
        let from = ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 1234)));
        let mut passed: Vec<_> =
            request_headers(&sent, Some(&from)).iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        passed.sort();
        let expected =
            ["authorization: Bearer token", "idempotency-key: k", "x-cart-token: t", "x-forwarded-for: 192.0.2.7"];
        assert_eq!(passed, expected);
    }

    #[test]
    fn hop_by_hop_headers_are_dropped_in_both_directions() {
        let sent = headers(&[
            ("connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("content-type", "application/json"),
        ]);
        assert_eq!(request_headers(&sent, None).keys().collect::<Vec<_>>(), ["content-type"]);
        assert_eq!(response_headers(&sent).keys().collect::<Vec<_>>(), ["content-type"]);
    }
}
