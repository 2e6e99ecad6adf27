//! The layer of every port: request id, trace span, metrics, limits of time and size, the policy of the route, panics and
//! empty errors as problems.
//!
//! Must not name a route.

mod admission;
mod telemetry;

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
use axum::{
    Router,
    body::HttpBody as _,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::{FutureExt as _, future::BoxFuture};
use tower::{Layer, Service};
use tracing::Span;

use self::{
    admission::admit,
    telemetry::{method_label, request_id},
};
use crate::{
    access_log::AccessLog,
    audit_log::StaffAction,
    body, caching, checks,
    detached::{DetachedWork, is_detached},
    internal::CallerVerifier,
    problem::Problem,
    request_span,
    route_metrics::RouteMetrics,
    routes::{RouteTable, Routes},
    verifier::TokenVerifier,
};

/// Time until a response of a service begins: longer than the calls that one request makes, shorter than the gateway waits.
pub const PORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a request whose body is read as it arrives, response included: a little less than a connection may go on with a
/// request when it is to be replaced. Work that needs longer ends before, and can be resumed.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(55);

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
    /// Set where callers are the public: traces begin there, whatever a caller sends, and each request is one of the access log.
    pub edge: Option<Arc<AccessLog>>,
    /// Whether inner layers and handlers find the declared [`Route`] in the extensions of a request.
    pub shows_route: bool,
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
            edge: None,
            shows_route: false,
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
    let span = request_span::open(&id, method, route, request.uri());
    let (order, edge) = (request_span::order_of(route, request.uri().path()), declared.settings.edge.as_ref());
    let parent = match edge {
        Some(_) => Parent::of_client(request.headers()),
        None => Parent::of_headers(request.headers()),
    };
    let work = async {
        let trace_id = trace::trace_id();
        Span::current().record("trace_id", trace_id.as_deref());
        let mut response = answer(&declared, rule, request, inner).await;
        if let Some(order) = order.or_else(|| request_span::order_at(response.headers())) {
            trace::note_order(order);
        }
        let (status, took) = (response.status(), started.elapsed());
        request_span::close((method, route), (status, response.headers_mut()), trace_id, took);
        metrics.record(method, route, status, took);
        match edge {
            Some(log) => log.write((method, route), status, took),
            None if status.is_server_error() => {
                let took_ms = took.as_secs_f64() * 1000.0;
                tracing::warn!(method, route, status = status.as_u16(), took_ms, "request failed");
            }
            None => {}
        }
        response
    };
    trace::for_request(id, parent, span, work).await
}

async fn answer<S>(declared: &Declared, route: Option<&Route>, mut request: Request, inner: S) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let body_bytes_max = route.map_or(BODY_BYTES_MAX, |route| route.body_bytes_max);
    if let (Some(route), true) = (route, declared.settings.shows_route) {
        request.extensions_mut().insert(*route);
    }
    let PortSettings { timeout, body_timeout, .. } = declared.settings;
    let streamed = route.is_some_and(Route::is_streamed);
    let (timeout, body_timeout) = if streamed { (STREAM_TIMEOUT, STREAM_TIMEOUT) } else { (timeout, body_timeout) };
    // The caller's own limit, if it is shorter; a malformed one is refused below.
    let timeout = deadline::sent(request.headers()).ok().flatten().map_or(timeout, |wait| wait.min(timeout));
    let limit = Deadline::after(timeout, declared.callers.is_some());
    let personal = request.headers().contains_key(header::AUTHORIZATION);
    let policy = route.map_or(Policy::Open, |route| route.policy);
    let detached = declared.settings.work.as_ref().filter(|_| route.is_some_and(is_detached));
    let mut action = None;
    let work = limit.within(async {
        let admitted = checks::refuse(&request, body_bytes_max).and_then(|()| admit(policy, declared, request));
        if declared.settings.edge.is_none() {
            action = admitted.as_ref().ok().and_then(|request| StaffAction::of(route, request));
        }
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
    if let Some(action) = action {
        action.write(response.status());
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110, 15.5.2: a 401 names a challenge.
        response.headers_mut().entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
    }
    // Answers to services pass no cache.
    if (personal || declared.callers.is_none()) && !response.headers().contains_key(header::CACHE_CONTROL) {
        let control = caching::control(route, personal, response.status());
        response.headers_mut().insert(header::CACHE_CONTROL, control);
    }
    response
}

/// The answer to a request whose handler takes too long.
pub(crate) fn too_slow() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT").retry_after(1)
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
