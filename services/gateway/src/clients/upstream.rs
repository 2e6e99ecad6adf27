//! HTTP client for the services behind the gateway: pooled connections, time limits, retries of requests that had no effect.
//!
//! Must not depend on routes.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use agora_chassis::{Dependency, Process};
use agora_outbound::transport::{self, HttpClient, InvalidOrigin, Origin, TimeLimits, TransportError};
use agora_web::{BodyFault, Problem};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header, uri::PathAndQuery},
    response::Response,
};
use tower::ServiceExt as _;

use super::permits::Permits;

/// Time limits. The limit of a connection is short because a deleted pod does not refuse connections; it does not
/// answer at all, and the next attempt may reach another.
const LIMITS: TimeLimits =
    TimeLimits { connect: Duration::from_millis(500), silence: Duration::from_secs(15), total: Duration::from_mins(1) };

/// Time limits of a request whose body is sent as it arrives: the response begins when all of it is handled.
const STREAM_LIMITS: TimeLimits =
    TimeLimits { connect: Duration::from_millis(500), silence: Duration::from_mins(1), total: Duration::from_mins(1) };

/// Attempts per request. Each may reach another replica.
const TRIES_MAX: u32 = 3;

/// How long a request is tried again, however often, while nothing answers its attempts to connect. On a busy node it takes
/// seconds until the endpoints of a Service no longer name a deleted pod.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// Wait before the second attempt, doubled before the third: a terminating pod refuses connections shortly before it is
/// removed from its Service's endpoints.
const PAUSE: Duration = Duration::from_millis(20);

/// Most requests to one service at a time, each with a connection and its buffers; more wait, up to this time, the last one
/// to come for the shortest.
const CALLS_MAX: usize = 256;
/// The same of reads, which wait for nothing but the service's database: more of them would wait there, the first one to come
/// first.
const READS_MAX: usize = 64;
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Most requests to one service at a time whose bodies are sent as they arrive. They have permits of their own, because each
/// holds one for a minute.
const STREAMS_MAX: usize = 8;

/// `Retry-After` when a service is unreachable, in seconds.
const RETRY_AFTER_S: u32 = 1;

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
}

#[derive(Debug)]
struct Upstream {
    origin: Origin,
    dependency: Dependency,
    /// One for each request until its response begins.
    permits: Permits,
    read_permits: Permits,
    stream_permits: Permits,
}

/// A request to a service.
#[derive(Debug)]
pub struct Call {
    /// Safe methods without a body are retried.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    pub headers: HeaderMap,
    /// Read to its end before anything is sent by [`Upstreams::send`], sent as it arrives by [`Upstreams::send_stream`].
    pub body: Body,
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
    /// Too many requests wait for the service.
    #[error("{service} has too many requests under way")]
    Busy {
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
            let (permits, stream_permits) = (Permits::new(CALLS_MAX), Permits::new(STREAMS_MAX));
            let read_permits = Permits::new(READS_MAX);
            Ok((service, Upstream { origin, dependency, permits, read_permits, stream_permits }))
        });
        let addresses = addresses.collect::<Result<_, _>>()?;
        let (client, stream_client) = (HttpClient::new(LIMITS), HttpClient::new(STREAM_LIMITS));
        Ok(Self(Arc::new(Inner { process: process.clone(), client, stream_client, addresses })))
    }

    /// Sends a request and returns the response as soon as its head arrives. A service of the same process gets it without
    /// a socket.
    pub async fn send(&self, service: &'static str, call: Call) -> Result<Response, UpstreamError> {
        match self.0.process.routers_of(service) {
            Some(routers) => Ok(in_process(routers.public, call).await),
            None => self.send_over_http(service, call).await,
        }
    }

    /// Like [`send`](Self::send), with a body that is sent as it arrives: once, because it cannot be read again.
    pub async fn send_stream(&self, service: &'static str, call: Call) -> Result<Response, UpstreamError> {
        if let Some(routers) = self.0.process.routers_of(service) {
            return Ok(in_process(routers.public, call).await);
        }
        let upstream = self.0.addresses.get(service).ok_or(UpstreamError::Unknown { service })?;
        let Some(_permit) = upstream.stream_permits.acquire(WAIT_MAX).await else {
            return Err(UpstreamError::Busy { service });
        };
        let Call { method, target, headers, body } = call;
        let request = request(method, target, headers, transport::streamed(body));
        match self.0.stream_client.send(&upstream.origin, request, STREAM_LIMITS.total).await {
            Ok(answer) => {
                upstream.dependency.up();
                Ok(answer.map(Body::new))
            }
            // The only part of the request that can fail now is its body.
            Err(error) if error.is_of_the_request() => Err(UpstreamError::Body(BodyFault::of(&error))),
            Err(error) => Err(upstream.away(service, error)),
        }
    }

    async fn send_over_http(&self, service: &'static str, call: Call) -> Result<Response, UpstreamError> {
        let upstream = self.0.addresses.get(service).ok_or(UpstreamError::Unknown { service })?;
        let Call { method, target, headers, body } = call;
        // The whole body first: a client that sends it slowly holds neither a permit nor a connection to the service. The
        // port limits its bytes and its time.
        let body = to_bytes(body, usize::MAX).await.map_err(|error| UpstreamError::Body(BodyFault::of(&error)))?;
        let permits = if method.is_safe() { &upstream.read_permits } else { &upstream.permits };
        let Some(_permit) = permits.acquire(WAIT_MAX).await else {
            return Err(UpstreamError::Busy { service });
        };
        let (mut tries, started) = (0, Instant::now());
        loop {
            tries += 1;
            let request = request(method.clone(), target.clone(), headers.clone(), transport::full(body.clone()));
            let error = match self.0.client.send(&upstream.origin, request, LIMITS.total).await {
                Ok(answer) => {
                    upstream.dependency.up();
                    return Ok(answer.map(Body::new));
                }
                Err(error) => error,
            };
            if error.is_of_the_request() {
                return Err(UpstreamError::Unsendable(error));
            }
            // Nothing was sent, or the request changes nothing: a retry is safe.
            let retryable = error.is_connect() || (method.is_safe() && body.is_empty() && !error.is_timeout());
            let exhausted = tries >= TRIES_MAX && !(error.is_connect_timeout() && started.elapsed() < CONNECT_WAIT_MAX);
            if !retryable || exhausted {
                return Err(upstream.away(service, error));
            }
            metrics::counter!("gateway_upstream_retry_total", "upstream" => service).increment(1);
            tokio::time::sleep(PAUSE * tries.min(TRIES_MAX)).await;
        }
    }
}

impl Upstream {
    /// Records that the service did not answer a request.
    fn away(&self, service: &'static str, source: TransportError) -> UpstreamError {
        metrics::counter!("gateway_upstream_failed_total", "upstream" => service).increment(1);
        self.dependency.down(reason(&source));
        UpstreamError::Away { service, source }
    }
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

impl From<UpstreamError> for Problem {
    fn from(error: UpstreamError) -> Self {
        match &error {
            UpstreamError::Unknown { .. } => Self::internal(error),
            UpstreamError::Body(fault) => (*fault).into(),
            UpstreamError::Unsendable(source) => {
                tracing::debug!(error = reason(source), "a client's request cannot be sent on");
                Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST").detail("the path or a header is not valid HTTP")
            }
            UpstreamError::Busy { service } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "UPSTREAM_BUSY")
                .detail(format!("the service {service} has too many requests under way"))
                .retry_after(RETRY_AFTER_S),
            UpstreamError::Away { service, source } => {
                tracing::warn!(service, error = reason(source), "a service did not answer");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
                    .detail(format!("the service {service} does not answer at the moment"))
                    .retry_after(RETRY_AFTER_S)
            }
        }
    }
}
