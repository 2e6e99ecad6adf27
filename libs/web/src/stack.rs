//! The layers of every port: request id, trace span, metrics, limits of time and size, panics and empty errors as problems.
//!
//! Must not depend on routes.

use std::{any::Any, time::Duration};

use agora_chassis::trace;
use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use http_body_util::Limited;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument as _, Span, field::Empty};
use uuid::Uuid;

use crate::{json::too_large, problem::Problem, verifier::TokenVerifier};

/// The header that names the trace of an answer.
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Longest request id taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Limits and token verification of a port.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Verifies access tokens; required if a route extracts [`crate::Identity`].
    pub verifier: Option<TokenVerifier>,
    /// Largest body of a request, in bytes; 1 MiB by default.
    pub body_limit_bytes: usize,
    /// Time until a response begins; 10 s by default. A handler that takes longer is dropped.
    pub timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { verifier: None, body_limit_bytes: 1 << 20, timeout: Duration::from_secs(10) }
    }
}

/// Wraps the router of a public port in all layers.
pub fn public_stack(router: Router, limits: HttpLimits) -> Router {
    common_layers(router, limits)
}

pub(crate) fn common_layers(router: Router, limits: HttpLimits) -> Router {
    router
        .layer(CatchPanicLayer::custom(panicked))
        // The limit is on the body itself, so that it also holds for handlers that stream it.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(limits, serve))
}

async fn serve(State(limits): State<HttpLimits>, mut request: Request, next: Next) -> Response {
    let started = tokio::time::Instant::now();
    let id = request_id(request.headers());
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "unmatched".to_owned(), |m| m.as_str().into());
    let span = span(&id, method, &route);
    trace::follow(&span, request.headers());
    if let Ok(value) = HeaderValue::try_from(&id) {
        request.headers_mut().insert(trace::REQUEST_ID, value);
    }
    let work = async {
        let trace_id = trace::trace_id();
        Span::current().record("trace_id", trace_id.as_deref());
        let mut response = answer(&limits, request, next).await;
        name(response.headers_mut(), trace_id);
        note(&response, method, &route, started.elapsed());
        response
    };
    trace::for_request(id, work.instrument(span)).await
}

async fn answer(limits: &HttpLimits, mut request: Request, next: Next) -> Response {
    if length(request.headers()).is_some_and(|length| length > limits.body_limit_bytes as u64) {
        return too_large().into_response();
    }
    let personal = request.headers().contains_key(header::AUTHORIZATION);
    if let Some(verifier) = &limits.verifier {
        request.extensions_mut().insert(verifier.clone());
    }
    let request = request.map(|body| Body::new(Limited::new(body, limits.body_limit_bytes)));
    let response = match tokio::time::timeout(limits.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT").retry_after(1).into_response(),
    };
    let mut response = explained(response);
    if personal && !response.headers().contains_key(header::CACHE_CONTROL) {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The client's request id if it is valid in a log line, else a new one.
#[expect(
    clippy::disallowed_methods,
    reason = "a request's id decides nothing: a router must not need a Process for it"
)]
fn request_id(headers: &HeaderMap) -> String {
    let sent = headers.get(trace::REQUEST_ID).map(HeaderValue::as_bytes);
    let sent = sent.filter(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic));
    match sent.map(str::from_utf8) {
        Some(Ok(id)) => id.to_owned(),
        _ => Uuid::now_v7().to_string(),
    }
}

fn span(id: &str, method: &'static str, route: &str) -> Span {
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

fn name(headers: &mut HeaderMap, trace_id: Option<String>) {
    let ids = [(trace::REQUEST_ID, trace::request_id()), (TRACE_ID, trace_id)];
    for (header, id) in ids {
        if let Some(Ok(value)) = id.map(HeaderValue::try_from) {
            headers.insert(header, value);
        }
    }
}

fn note(response: &Response, method: &'static str, route: &str, took: Duration) {
    let status = response.status();
    let span = Span::current();
    span.record("http.response.status_code", status.as_u16());
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.as_u16().to_string())];
    metrics::counter!("http_request_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels).record(took.as_secs_f64());
    let took_ms = took.as_secs_f64() * 1000.0;
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        tracing::warn!(method, route, status = status.as_u16(), took_ms, "request answered");
    } else {
        tracing::debug!(method, route, status = status.as_u16(), took_ms, "request answered");
    }
}

/// Clients may send any method; metrics must not have a series for each.
fn method_label(method: &Method) -> &'static str {
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

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An error without a body, such as the router's own 404 and 405, becomes a problem; its headers stay.
fn explained(response: Response) -> Response {
    let status = response.status();
    let bare = response.body().size_hint().exact() == Some(0) && !response.headers().contains_key(header::CONTENT_TYPE);
    if !bare || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut explained = Problem::new(status, code(status)).into_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH {
            explained.headers_mut().insert(name, value.clone());
        }
    }
    explained
}

/// 404 → `NOT_FOUND`
fn code(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or("Error");
    reason.to_ascii_uppercase().replace([' ', '-'], "_")
}

/// What the panic said is in the log, by the process's panic hook.
fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL").into_response()
}
