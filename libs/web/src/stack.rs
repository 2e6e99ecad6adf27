//! The layer of every port: request id, trace span, metrics, limits of time and size, the policy of the route, panics and
//! empty errors as problems.
//!
//! Must not name a route.

use std::{
    convert::Infallible,
    mem,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use agora_api::{BODY_BYTES_MAX, Policy, Route};
use agora_chassis::{
    Process,
    deadline::{self, Deadline},
    trace::{self, Parent},
};
use agora_vocab::{Role, contains_card_number};
use axum::{
    Router,
    body::HttpBody as _,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::{FutureExt as _, future::BoxFuture};
use tower::{Layer, Service};
use tracing::{Span, field::Empty};
use uuid::Uuid;

use crate::{
    body, checks,
    detached::{DetachedWork, is_detached},
    identity::{self, Identity, Unauthenticated},
    internal::CallerVerifier,
    problem::Problem,
    route_metrics::RouteMetrics,
    routes::{RouteTable, Routes},
    verifier::TokenVerifier,
};

/// The header that names the trace of an answer.
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Longest request id taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Time until a response of a service begins: longer than the calls that one request makes, shorter than the gateway waits.
pub const PORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a request whose body is read as it arrives, response included: a little less than a connection may go on with a
/// request when it is to be replaced. Work that needs longer ends before, and can be resumed.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(55);

/// Age of the copy of the revoked sessions beyond which a token grants no role: a stolen token of an administrator would be worth
/// more than the wait. Longer than a restart of Redis; shoppers' tokens are accepted at any age.
const REVOCATIONS_AGE_MAX: Duration = Duration::from_secs(30);

/// Token verification and time limit of a port.
#[derive(Clone, Debug)]
pub struct PortSettings {
    /// Verifies access tokens; required if the policy of a route asks for one.
    pub verifier: Option<TokenVerifier>,
    /// Time until a response begins; [`PORT_TIMEOUT`] by default. A handler that takes longer is dropped, unless its work is
    /// detached.
    pub timeout: Duration,
    /// Time in which a request's body must arrive; 8 s by default, less than `timeout`.
    pub body_timeout: Duration,
    /// Whether a caller's decision to sample a trace is followed. Not where callers are the public: each would choose how
    /// many spans are exported.
    pub follows_sampling: bool,
    /// Where changes go on whose client has left; `None`: they end with their connection.
    pub work: Option<DetachedWork>,
}

impl PortSettings {
    /// The settings of a service's port: changes by users and services run to their end in tasks of `process`, whatever
    /// happens to the connection.
    pub fn of(process: &Process) -> Self {
        Self { work: Some(DetachedWork::new(process)), ..Self::default() }
    }
}

impl Default for PortSettings {
    fn default() -> Self {
        Self {
            verifier: None,
            timeout: PORT_TIMEOUT,
            body_timeout: Duration::from_secs(8),
            follows_sampling: true,
            work: None,
        }
    }
}

/// The router of a public port: the routes in the layer of every port.
pub fn public_stack(routes: Routes, settings: PortSettings) -> Router {
    let (inner, port) = layered(routes, settings);
    inner.layer(port)
}

/// The router of the routes, and the layer of every port with their declarations. They are separate so that the layer can be
/// combined with others: a tuple of layers costs less than several calls of `Router::layer`.
pub fn layered(routes: Routes, settings: PortSettings) -> (Router, PortLayer) {
    let (inner, table) = routes.into_parts();
    (inner, PortLayer(Arc::new(Declared { settings, callers: None, table })))
}

/// The router of an internal port: `callers` admits or rejects every request, even of unknown paths.
pub(crate) fn internal_stack(routes: Routes, callers: CallerVerifier, settings: PortSettings) -> Router {
    let (inner, table) = routes.into_parts();
    inner.layer(PortLayer(Arc::new(Declared { settings, callers: Some(callers), table })))
}

#[derive(Clone, Debug)]
pub struct PortLayer(Arc<Declared>);

#[derive(Debug)]
struct Declared {
    settings: PortSettings,
    callers: Option<CallerVerifier>,
    table: RouteTable,
}

/// One route in the layer of its port.
#[derive(Clone)]
pub struct Port<S> {
    inner: S,
    declared: Arc<Declared>,
    metrics: Arc<RouteMetrics>,
}

impl<S> Layer<S> for PortLayer {
    type Service = Port<S>;

    fn layer(&self, inner: S) -> Port<S> {
        Port { inner, declared: self.0.clone(), metrics: Arc::default() }
    }
}

impl<S> Service<Request> for Port<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that is ready is the one to call; the clone takes its place.
        let fresh = self.clone();
        let ready = mem::replace(self, fresh);
        Box::pin(async move { Ok(serve(ready, request).await) })
    }
}

async fn serve<S>(port: Port<S>, request: Request) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let started = tokio::time::Instant::now();
    let Port { inner, declared, metrics } = port;
    let id = request_id(request.headers());
    let method = method_label(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let rule = declared.table.find(request.method().as_str(), route);
    let span = span(&id, method, route);
    let parent = if declared.settings.follows_sampling {
        Parent::of_headers(request.headers())
    } else {
        Parent::of_client(request.headers())
    };
    let work = async {
        let trace_id = trace::trace_id();
        Span::current().record("trace_id", trace_id.as_deref());
        let mut response = answer(&declared, rule, request, inner).await;
        name(response.headers_mut(), trace_id);
        let took = started.elapsed();
        metrics.record(method, route, response.status(), took);
        note(response.status(), method, route, took);
        response
    };
    trace::for_request(id, parent, span, work).await
}

async fn answer<S>(declared: &Declared, route: Option<&Route>, request: Request, inner: S) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let body_bytes_max = route.map_or(BODY_BYTES_MAX, |route| route.body_bytes_max);
    let PortSettings { timeout, body_timeout, .. } = declared.settings;
    let streamed = route.is_some_and(Route::is_streamed);
    let (timeout, body_timeout) = if streamed { (STREAM_TIMEOUT, STREAM_TIMEOUT) } else { (timeout, body_timeout) };
    // The caller's own limit, if it is shorter; a malformed one is refused below.
    let timeout = deadline::sent(request.headers()).ok().flatten().map_or(timeout, |wait| wait.min(timeout));
    let limit = Deadline::after(timeout, declared.callers.is_some());
    let personal = request.headers().contains_key(header::AUTHORIZATION);
    let policy = route.map_or(Policy::Open, |route| route.policy);
    let detached = declared.settings.work.as_ref().filter(|_| route.is_some_and(is_detached));
    let work = limit.within(async {
        let admitted = checks::refuse(&request, body_bytes_max).and_then(|()| admit(policy, declared, request));
        let limits = BodyLimits { bytes_max: body_bytes_max, time_max: body_timeout };
        match (admitted, detached) {
            // Boxed, so that reads do not reserve memory for it.
            (Ok(request), Some(detached)) if streamed => Box::pin(detached.serve_stream(inner, request, limits)).await,
            (Ok(request), Some(detached)) => Box::pin(detached.serve(inner, request, limits)).await,
            (Ok(request), None) => call(inner, request, limits).await,
            (Err(problem), _) => problem.into_response(),
        }
    });
    let response = match tokio::time::timeout(timeout, work).await {
        Ok(response) => response,
        Err(_) => too_slow().into_response(),
    };
    let mut response = explained(response);
    if response.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110, 15.5.2: a 401 names a challenge.
        response.headers_mut().entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
    }
    if personal && !response.headers().contains_key(header::CACHE_CONTROL) {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The answer to a request whose handler takes too long.
pub(crate) fn too_slow() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT").retry_after(1)
}

/// Checks the token of a request against the port and the policy of its route. The caller or user is in the extensions of
/// the result.
fn admit(policy: Policy, declared: &Declared, mut request: Request) -> Result<Request, Problem> {
    if let Some(callers) = &declared.callers {
        let caller = callers.admit(request.headers(), policy)?;
        request.extensions_mut().insert(caller);
    }
    let (required, roles) = match policy {
        Policy::Open => return Ok(request),
        Policy::Service(_) if declared.callers.is_some() => return Ok(request),
        Policy::Service(_) => return Err(Problem::internal("a route for services is on a port for users")),
        Policy::Optional => (false, None),
        Policy::User => (true, None),
        Policy::Role(roles) => (true, Some(roles)),
    };
    let identity = match identity::read(request.headers(), declared.settings.verifier.as_ref()) {
        // A page that anyone may read must not fail because a session ended.
        Err(Unauthenticated::Expired | Unauthenticated::SessionEnded) if !required => None,
        result => result?,
    };
    match identity {
        None if required => return Err(identity::missing()),
        None => {}
        Some(identity) => {
            if let Some(roles) = roles {
                grants(roles, &identity, declared)?;
            }
            request.extensions_mut().insert(identity);
        }
    }
    Ok(request)
}

/// Whether the token has one of the roles, and its session is known not to have ended.
fn grants(roles: &[Role], identity: &Identity, declared: &Declared) -> Result<(), Problem> {
    if !identity.has_any(roles) {
        return Err(identity::forbidden(roles));
    }
    let age = declared.settings.verifier.as_ref().and_then(TokenVerifier::age_of_revocations);
    if age.is_some_and(|age| age > REVOCATIONS_AGE_MAX) {
        return Err(identity::revocations_unknown(roles));
    }
    Ok(())
}

/// Limits of the body of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    pub bytes_max: usize,
    /// Time in which it must arrive.
    pub time_max: Duration,
}

/// Calls the route with the limits of the body, which also hold for handlers that stream the body.
pub(crate) async fn call<S>(mut inner: S, mut request: Request, limits: BodyLimits) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    if let Some(Ok(id)) = trace::request_id().map(HeaderValue::try_from) {
        request.headers_mut().insert(trace::REQUEST_ID, id);
    }
    DefaultBodyLimit::disable().apply(&mut request);
    if !request.body().is_end_stream() {
        request = request.map(|body| body::limited(body, limits.bytes_max, limits.time_max));
    }
    match AssertUnwindSafe(async { inner.call(request).await }).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        // What the panic said is in the log, by the process's panic hook.
        Err(_panic) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL").into_response(),
    }
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
        Some(Ok(id)) if !contains_card_number(id) => id.to_owned(),
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

fn note(status: StatusCode, method: &'static str, route: &str, took: Duration) {
    let span = Span::current();
    span.record("http.response.status_code", status.as_u16());
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

#[cfg(test)]
mod tests {
    use axum::{Router, extract::Request};
    use tower::{Layer as _, Service as _};

    use super::{PortSettings, Routes, layered};

    #[test]
    fn a_request_under_way_takes_little_memory_in_the_layer_of_its_port() {
        const BYTES_MAX: usize = 4 << 10;
        let (_, layer) = layered(Routes::new(), PortSettings::default());
        let request = layer.layer(Router::<()>::new()).call(Request::default());
        let bytes = size_of_val(&*request);
        assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    }
}
