//! HTTP client for the services behind the gateway: pooled connections, time limits, a circuit breaker, retries of requests that
//! had no effect.
//!
//! Must not depend on routes.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use agora_api::{Route, RouteClass};
use agora_chassis::{Dependency, Process, deadline};
use agora_outbound::{
    breaker::{Breaker, Change},
    retry::{RetryBudget, jittered},
    transport::{self, HttpClient, InvalidOrigin, Origin, TimeLimits, TransportError},
};
use agora_web::{BodyFault, Problem};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header, uri::PathAndQuery},
    response::Response,
};
use tower::ServiceExt as _;

pub use super::permits::{Demand, Priority};
use super::permits::{Permit, PermitLimits, Permits};

/// Time until the answer of a service begins: longer than the service's own limit, and shorter than the gateway's, so that a
/// service that does not answer is known.
pub const SERVICE_ANSWER_BEGINS_MAX: Duration = Duration::from_secs(12);

/// Time limits. The limit of a connection is short because a deleted pod does not refuse connections; it does not
/// answer at all, and the next attempt may reach another.
const LIMITS: TimeLimits = TimeLimits {
    connect: Duration::from_millis(500),
    silence: SERVICE_ANSWER_BEGINS_MAX,
    total: Duration::from_mins(1),
};

/// Time limits of a request whose body is sent as it arrives: the response begins when all of it is handled.
const STREAM_LIMITS: TimeLimits =
    TimeLimits { connect: Duration::from_millis(500), silence: Duration::from_mins(1), total: Duration::from_mins(1) };

/// Attempts per request. Each may reach another replica.
const TRIES_MAX: u32 = 3;

/// How long a request is tried again, however often, while nothing answers its attempts to connect. On a busy node it takes
/// seconds until the endpoints of a Service no longer name a deleted pod.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// Longest wait before the second attempt, doubled before the third: a terminating pod refuses connections shortly before it is
/// removed from its Service's endpoints.
const PAUSE: Duration = Duration::from_millis(20);

/// Requests of all clients to all services at a time. Those of one service that is slow are a quarter of them; when there
/// are more than browsing may take, carts and checkouts go on.
const REQUESTS: PermitLimits =
    PermitLimits { permits: 1024, reserved: [384, 256, 128, 0], of_route: 1024, waiting: 512 };

/// Requests to one service at a time, each with a connection and its buffers.
const CALLS: PermitLimits = PermitLimits { permits: 256, reserved: [0; 4], of_route: 192, waiting: 512 };

/// The same of reads, which wait for nothing but the service's database: more of them would wait there, the first one to come
/// first.
const READS: PermitLimits = PermitLimits { permits: 64, reserved: [0; 4], of_route: 64, waiting: 512 };

/// How long a request waits for its permit: the less important, the sooner its client is asked to come back.
const fn wait_max(priority: Priority) -> Duration {
    match priority {
        Priority::Browsing => Duration::from_secs(1),
        Priority::Account => Duration::from_secs(2),
        Priority::Cart => Duration::from_secs(3),
        Priority::Checkout => Duration::from_secs(5),
    }
}

/// Most requests to one service at a time whose bodies are sent as they arrive. They have permits of their own, because each
/// holds one for a minute.
const STREAMS: PermitLimits = PermitLimits { permits: 8, reserved: [0; 4], of_route: 8, waiting: 64 };

/// `Retry-After` when a service is unreachable, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// `Retry-After` when the gateway has too many requests, in seconds.
const OVERLOADED_RETRY_AFTER_S: u32 = 2;

/// The client of all services, by name. Clones share connections.
#[derive(Clone, Debug)]
pub struct Upstreams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    process: Process,
    client: HttpClient,
    /// For bodies that are sent as they arrive.
    stream_client: HttpClient,
    addresses: BTreeMap<&'static str, Upstream>,
    /// One for each request to any service until its response begins.
    requests: Permits,
}

#[derive(Debug)]
struct Upstream {
    service: &'static str,
    origin: Origin,
    dependency: Dependency,
    breaker: Breaker,
    retries: RetryBudget,
    /// One for each request until its response begins.
    permits: Permits,
    read_permits: Permits,
    stream_permits: Permits,
}

/// A request to a service.
#[derive(Debug)]
pub struct Call {
    pub demand: Demand,
    /// Safe methods without a body are retried.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    pub headers: HeaderMap,
    /// Read to its end before anything is sent by [`Upstreams::send`], sent as it arrives by [`Upstreams::send_stream`].
    pub body: Body,
}

/// A request whose body has arrived.
struct WholeCall {
    demand: Demand,
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
}

impl From<&Route> for Demand {
    fn from(route: &Route) -> Self {
        let priority = match route.class {
            RouteClass::Browsing => Priority::Browsing,
            RouteClass::Admin | RouteClass::Account | RouteClass::Credentials => Priority::Account,
            RouteClass::Cart => Priority::Cart,
            RouteClass::Checkout | RouteClass::Exempt => Priority::Checkout,
        };
        Self { route: route.path, priority }
    }
}

/// Why there is no response of a service.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The settings contain no such service.
    #[error("the gateway has no address of {service}")]
    Unknown {
        /// The service's name.
        service: &'static str,
    },
    /// The client's request body ended early.
    #[error("the request's body was cut short")]
    Body(BodyFault),
    /// The client's request cannot be sent on; the service has nothing to do with it.
    #[error("the request is not valid HTTP")]
    Unsendable(#[source] TransportError),
    /// More requests are under way than the gateway can serve, and this is not one of the more important ones.
    #[error("the gateway has too many requests under way")]
    Overloaded,
    /// Too many requests wait for the service.
    #[error("{service} has too many requests under way")]
    Busy {
        /// The service's name.
        service: &'static str,
    },
    /// It did not answer lately, and is left alone for a moment.
    #[error("{service} failed repeatedly and is left alone for a moment")]
    Open {
        /// The service's name.
        service: &'static str,
    },
    /// Connection failure, broken connection, or time-out.
    #[error("{service} did not answer")]
    Away {
        /// The service's name.
        service: &'static str,
        /// The transport's error, without the address.
        #[source]
        source: TransportError,
    },
}

impl Upstreams {
    /// Service names with their base URLs.
    pub fn new(addresses: BTreeMap<&'static str, String>, process: &Process) -> Result<Self, InvalidOrigin> {
        let addresses = addresses.into_iter().map(|(service, address)| {
            let (origin, dependency) = (Origin::parse(&address)?, process.dependency(service));
            let (permits, stream_permits) = (Permits::new(CALLS), Permits::new(STREAMS));
            let (read_permits, breaker, retries) = (Permits::new(READS), Breaker::default(), RetryBudget::default());
            metrics::gauge!("gateway_upstream_breaker_open", "upstream" => service).set(0.0);
            let upstream =
                Upstream { service, origin, dependency, breaker, retries, permits, read_permits, stream_permits };
            Ok((service, upstream))
        });
        let addresses = addresses.collect::<Result<_, _>>()?;
        let (client, stream_client) = (HttpClient::new(LIMITS), HttpClient::new(STREAM_LIMITS));
        let requests = Permits::new(REQUESTS);
        Ok(Self(Arc::new(Inner { process: process.clone(), client, stream_client, addresses, requests })))
    }

    /// Sends a request and returns the response as soon as its head arrives. A service of the same process gets it without
    /// a socket.
    pub async fn send(&self, service: &'static str, call: Call) -> Result<Response, UpstreamError> {
        let Call { demand, method, target, mut headers, body } = call;
        // The whole body first: a client that sends it slowly holds neither a permit nor a connection to the service. The
        // port limits its bytes and its time.
        let body = to_bytes(body, usize::MAX).await.map_err(|error| UpstreamError::Body(BodyFault::of(&error)))?;
        match self.0.process.routers_of(service) {
            Some(routers) => {
                let _permit = self.admit(demand).await?;
                deadline::send(&mut headers, wait(LIMITS));
                Ok(in_process(routers.public, Call { demand, method, target, headers, body: body.into() }).await)
            }
            None => self.send_over_http(service, WholeCall { demand, method, target, headers, body }).await,
        }
    }

    /// A permit among the requests to all services.
    async fn admit(&self, demand: Demand) -> Result<Permit, UpstreamError> {
        let permit = self.0.requests.acquire(demand, wait_max(demand.priority)).await;
        permit.ok_or_else(|| {
            let priority = format!("{:?}", demand.priority);
            metrics::counter!("gateway_request_shed_total", "priority" => priority).increment(1);
            UpstreamError::Overloaded
        })
    }

    /// Like [`send`](Self::send), with a body that is sent as it arrives: once, because it cannot be read again.
    pub async fn send_stream(&self, service: &'static str, mut call: Call) -> Result<Response, UpstreamError> {
        if let Some(routers) = self.0.process.routers_of(service) {
            deadline::send(&mut call.headers, wait(STREAM_LIMITS));
            return Ok(in_process(routers.public, call).await);
        }
        let upstream = self.0.addresses.get(service).ok_or(UpstreamError::Unknown { service })?;
        let Call { demand, method, target, headers, body } = call;
        let Some(_permit) = upstream.stream_permits.acquire(demand, wait_max(demand.priority)).await else {
            return Err(UpstreamError::Busy { service });
        };
        upstream.admits()?;
        let mut request = request(method, target, headers, transport::streamed(body));
        deadline::send(request.headers_mut(), wait(STREAM_LIMITS));
        match self.0.stream_client.send(&upstream.origin, request, STREAM_LIMITS.total).await {
            Ok(answer) => {
                upstream.answered();
                Ok(answer.map(Body::new))
            }
            // The only part of the request that can fail now is its body.
            Err(error) if error.is_of_the_request() => Err(UpstreamError::Body(BodyFault::of(&error))),
            Err(error) => Err(upstream.away(error)),
        }
    }

    async fn send_over_http(&self, service: &'static str, call: WholeCall) -> Result<Response, UpstreamError> {
        let upstream = self.0.addresses.get(service).ok_or(UpstreamError::Unknown { service })?;
        let WholeCall { demand, method, target, headers, body } = call;
        // That of the service first: while a request waits for it, it holds up no request to another one.
        let permits = if method.is_safe() { &upstream.read_permits } else { &upstream.permits };
        let Some(_permit) = permits.acquire(demand, wait_max(demand.priority)).await else {
            return Err(UpstreamError::Busy { service });
        };
        let _admitted = self.admit(demand).await?;
        upstream.admits()?;
        upstream.retries.deposit();
        let (mut tries, started) = (0, Instant::now());
        loop {
            tries += 1;
            let mut request = request(method.clone(), target.clone(), headers.clone(), transport::full(body.clone()));
            deadline::send(request.headers_mut(), wait(LIMITS));
            let error = match self.0.client.send(&upstream.origin, request, LIMITS.total).await {
                Ok(answer) => {
                    upstream.answered();
                    return Ok(answer.map(Body::new));
                }
                Err(error) => error,
            };
            if error.is_of_the_request() {
                return Err(UpstreamError::Unsendable(error));
            }
            // Nothing was sent, or the request changes nothing: a retry is safe.
            let retryable = error.is_connect() || (method.is_safe() && body.is_empty() && !error.is_timeout());
            let silent = error.is_connect_timeout() && started.elapsed() < CONNECT_WAIT_MAX;
            let exhausted = tries >= TRIES_MAX && !silent;
            // An attempt to connect costs the service nothing.
            if !retryable || exhausted || !(error.is_connect() || upstream.retries.withdraw()) {
                return Err(upstream.away(error));
            }
            metrics::counter!("gateway_upstream_retry_total", "upstream" => service).increment(1);
            let random = self.0.process.ids().next().as_u64_pair().1;
            tokio::time::sleep(jittered(PAUSE * tries.min(TRIES_MAX), random)).await;
        }
    }
}

impl Upstream {
    /// Fails while the service is left alone. Only failures to answer count: whatever it answers, other routes of it may work.
    fn admits(&self) -> Result<(), UpstreamError> {
        let service = self.service;
        if self.breaker.admits(Instant::now()) { Ok(()) } else { Err(UpstreamError::Open { service }) }
    }

    fn answered(&self) {
        self.report(self.breaker.succeeded());
        self.dependency.up();
    }

    fn away(&self, source: TransportError) -> UpstreamError {
        let service = self.service;
        metrics::counter!("gateway_upstream_failed_total", "upstream" => service).increment(1);
        self.report(self.breaker.failed(Instant::now()));
        self.dependency.down(reason(&source));
        UpstreamError::Away { service, source }
    }

    fn report(&self, change: Change) {
        let open = match change {
            Change::None => return,
            Change::Opened => 1.0,
            Change::Closed => 0.0,
        };
        metrics::gauge!("gateway_upstream_breaker_open", "upstream" => self.service).set(open);
    }
}

/// How long the gateway waits for the answer.
fn wait(limits: TimeLimits) -> Duration {
    deadline::left().map_or(limits.silence, |left| left.min(limits.silence))
}

fn request<B>(method: Method, target: PathAndQuery, headers: HeaderMap, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = target.into();
    *request.headers_mut() = headers;
    request
}

async fn in_process(router: Router, call: Call) -> Response {
    let Call { method, target, headers, body } = call;
    let mut request = request(method, target, headers, body);
    request.headers_mut().insert(header::HOST, transport::IN_PROCESS);
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The error and its sources.
fn reason(error: &TransportError) -> String {
    let sources = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl UpstreamError {
    /// Whether the service cannot answer; else the client's request is at fault, or the gateway has too many of them.
    pub fn is_of_the_service(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::Busy { .. } | Self::Open { .. } | Self::Away { .. } => true,
            Self::Body(_) | Self::Unsendable(_) | Self::Overloaded => false,
        }
    }
}

impl From<UpstreamError> for Problem {
    fn from(error: UpstreamError) -> Self {
        match &error {
            UpstreamError::Unknown { .. } => Self::internal(error),
            UpstreamError::Body(fault) => (*fault).into(),
            UpstreamError::Unsendable(source) => {
                tracing::debug!(error = reason(source), "a client's request cannot be sent on");
                Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST").detail("the path or a header is not valid HTTP")
            }
            UpstreamError::Overloaded => Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED")
                .detail("the shop has more requests than it can serve; orders and carts come first")
                .retry_after(OVERLOADED_RETRY_AFTER_S),
            UpstreamError::Busy { service } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "UPSTREAM_BUSY")
                .detail(format!("the service {service} has too many requests under way"))
                .retry_after(RETRY_AFTER_S),
            UpstreamError::Away { service, source } => {
                tracing::warn!(service, error = reason(source), "a service did not answer");
                unavailable(service)
            }
            UpstreamError::Open { service } => unavailable(service),
        }
    }
}

fn unavailable(service: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
        .detail(format!("the service {service} does not answer at the moment"))
        .retry_after(RETRY_AFTER_S)
}
