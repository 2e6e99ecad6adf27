//! The span of a request, by the semantic conventions of OpenTelemetry for HTTP servers. Where spans are not exported it has the
//! fields that log lines need.

use std::time::Duration;

use agora_chassis::trace;
use agora_vocab::{OrderId, contains_card_number};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use tracing::{Span, field::Empty};

/// The header that names the trace of an answer.
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// The segment of a path that is followed by an order's id.
const ORDERS: &str = "orders";

/// Stands in a span for a path that contains a card number.
const HIDDEN_PATH: &str = "/(hidden)";

/// A span that the request's trace, user and order are recorded in once they are known.
pub(crate) fn open(id: &str, method: &'static str, route: &str, uri: &Uri) -> Span {
    if !trace::is_exported() {
        return tracing::info_span!(
            "request",
            request_id = id,
            trace_id = Empty,
            user_id = Empty,
            order_id = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
        );
    }
    tracing::info_span!(
        "request",
        request_id = id,
        trace_id = Empty,
        user_id = Empty,
        order_id = Empty,
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.scheme = "http",
        url.path = shown_path(uri.path()),
        "error.type" = Empty,
    )
}

/// The path as a span may contain it: a client may send a card number to any path.
fn shown_path(path: &str) -> &str {
    let has_card = |segment: &str| contains_card_number(segment) || contains_card_number(&segment.replace("%20", " "));
    if path.split('/').any(has_card) { HIDDEN_PATH } else { path }
}

/// The order that the path of a request names.
pub(crate) fn order_of(route: &str, path: &str) -> Option<OrderId> {
    let place = route.split('/').position(|segment| segment == ORDERS)? + 1;
    let is_id = route.split('/').nth(place).is_some_and(|segment| segment.starts_with('{'));
    path.split('/').nth(place).filter(|_| is_id)?.parse().ok()
}

/// The order that a response says where to find.
pub(crate) fn order_at(headers: &HeaderMap) -> Option<OrderId> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let (_, id) = location.rsplit_once('/')?;
    if location.strip_suffix(id)?.ends_with("/orders/") { id.parse().ok() } else { None }
}

/// Names request and trace in the response, and records its status.
pub(crate) fn close(
    (method, route): (&'static str, &str),
    (status, headers): (StatusCode, &mut HeaderMap),
    trace_id: Option<String>,
    took: Duration,
) {
    let ids = [(trace::REQUEST_ID, trace::request_id()), (TRACE_ID, trace_id)];
    for (header, id) in ids {
        if let Some(Ok(value)) = id.map(HeaderValue::try_from) {
            headers.insert(header, value);
        }
    }
    let span = Span::current();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
    let took_ms = took.as_secs_f64() * 1000.0;
    tracing::debug!(method, route, status = status.as_u16(), took_ms, "request answered");
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{HIDDEN_PATH, order_at, order_of, shown_path};

    const ID: &str = "0190a1b2-c3d4-7000-8000-000000000001";

    #[test]
    fn de14_a_card_number_in_a_path_is_in_no_span() {
        for path in [
            "/api/v1/products/4111111111111111",
            "/4111-1111-1111-1111",
            "/cards/tok_4242424242424242/x",
            "/a/4111%201111%201111%201111",
        ] {
            assert_eq!(shown_path(path), HIDDEN_PATH, "{path}");
        }
        let path = format!("/api/v1/orders/{ID}/invoice");
        assert_eq!(shown_path(&path), path);
    }

    #[test]
    fn de15_the_order_is_that_of_the_path_or_of_the_location() {
        let named = |route: &str, path: &str| order_of(route, path).map(|order| order.to_string());
        let path = format!("/api/v1/orders/{ID}");
        assert_eq!(named("/api/v1/orders/{id}", &path).as_deref(), Some(ID));
        assert_eq!(named("/api/v1/orders/{id}/history", &format!("{path}/history")).as_deref(), Some(ID));
        assert_eq!(named("/api/v1/orders", "/api/v1/orders"), None);
        assert_eq!(named("/api/v1/orders/{id}", "/api/v1/orders/none"), None);
        assert_eq!(named("/api/v1/products/{id}", &format!("/api/v1/products/{ID}")), None);

        let at = |location: &str| {
            let location = HeaderValue::from_str(location).unwrap();
            order_at(&HeaderMap::from_iter([(header::LOCATION, location)])).map(|order| order.to_string())
        };
        assert_eq!(at(&path).as_deref(), Some(ID));
        assert_eq!((at(&format!("/api/v1/products/{ID}")), at("/api/v1/orders/none")), (None, None));
        assert_eq!(order_at(&HeaderMap::new()), None);
    }
}
