//! The services behind the gateway: pooled connections, bounded in time, a second try where nothing can have been done.
//! Knows addresses; it names no route.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use agora_chassis::{Dependency, IDLE_CONNECTION_MAX, Process};
use agora_web::Problem;
use axum::{
    body::{Body, BodyDataStream, HttpBody as _},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use bytes::Bytes;
use futures::Stream;
use http_body_util::LengthLimitError;

/// Longest time until a connection stands: a pod that is gone does not refuse, it is silent.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// Longest time without a byte of the answer, and of a request with its whole answer.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const TOTAL_MAX: Duration = Duration::from_mins(1);

/// Most tries of one request. Each may meet another replica.
const TRIES_MAX: u32 = 3;

/// Before the second try, and twice as long before the third: a pod that ends refuses connections a moment before it is
/// out of its service's endpoints.
const PAUSE: Duration = Duration::from_millis(20);

/// When to try again after a service was not there, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// The services, by name. Clones share connections.
#[derive(Clone, Debug)]
pub struct Upstreams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: reqwest::Client,
    addresses: BTreeMap<&'static str, Upstream>,
}

#[derive(Debug)]
struct Upstream {
    address: String,
    dependency: Dependency,
}

/// A request to a service.
#[derive(Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The headers as the service shall see them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// Why a service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The settings name no such service.
    #[error("the gateway has no address of {service}")]
    Unknown {
        /// Its name.
        service: &'static str,
    },
    /// The client's own body ended before it should.
    #[error("the request's body was cut short")]
    Cut(Cut),
    /// No connection, or one that broke, or no answer in time.
    #[error("{service} did not answer")]
    Away {
        /// Its name.
        service: &'static str,
        /// What the transport says, without the address.
        #[source]
        source: reqwest::Error,
    },
}

/// Why a client's body ended before it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It was larger than the limit.
    TooLarge,
    /// The client left.
    Ended,
}

impl Upstreams {
    /// The services at these addresses.
    pub fn new(addresses: BTreeMap<&'static str, String>, process: &Process) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .timeout(TOTAL_MAX)
            // Before the service closes it: a request on a connection that is just being closed would be lost.
            .pool_idle_timeout(IDLE_CONNECTION_MAX / 2)
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .tls_certs_only([])
            .no_proxy()
            .build()?;
        let addresses = addresses
            .into_iter()
            .map(|(service, address)| (service, Upstream { address, dependency: process.dependency(service) }))
            .collect();
        Ok(Self(Arc::new(Inner { client, addresses })))
    }

    /// Sends a request and returns the answer as soon as it begins.
    pub async fn send(&self, service: &'static str, call: Call) -> Result<Response, UpstreamError> {
        let upstream = self.0.addresses.get(service).ok_or(UpstreamError::Unknown { service })?;
        let Call { method, target, headers, body } = call;
        let bodiless = body.is_end_stream();
        let body = Untouched::new(body);
        let url = format!("{}{target}", upstream.address);
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = self.0.client.request(method.clone(), &url).headers(headers.clone());
            if !bodiless {
                request = request.body(reqwest::Body::wrap_stream(body.clone()));
            }
            let error = match request.send().await {
                Ok(answer) => {
                    upstream.dependency.up();
                    return Ok(http::Response::from(answer).map(Body::new));
                }
                Err(error) => error.without_url(),
            };
            if let Some(cut) = body.cut() {
                return Err(UpstreamError::Cut(cut));
            }
            // Nothing was sent, or nothing was asked to be changed: another try harms nobody.
            let harmless =
                (error.is_connect() && body.is_untouched()) || (bodiless && method.is_safe() && !error.is_timeout());
            if !harmless || tries == TRIES_MAX {
                metrics::counter!("gateway_upstream_failed_total", "upstream" => service).increment(1);
                upstream.dependency.down(reason(&error));
                return Err(UpstreamError::Away { service, source: error });
            }
            metrics::counter!("gateway_upstream_retry_total", "upstream" => service).increment(1);
            tokio::time::sleep(PAUSE * tries).await;
        }
    }
}

/// The error and its sources; the address was taken out before.
fn reason(error: &reqwest::Error) -> String {
    let sources = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<UpstreamError> for Problem {
    fn from(error: UpstreamError) -> Self {
        match &error {
            UpstreamError::Unknown { .. } => Self::internal(error),
            UpstreamError::Cut(cut) => (*cut).into(),
            UpstreamError::Away { service, source } => {
                tracing::warn!(service, error = reason(source), "a service did not answer");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
                    .detail(format!("the service {service} does not answer at the moment"))
                    .retry_after(RETRY_AFTER_S)
            }
        }
    }
}

impl Cut {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut sources = std::iter::successors(Some(error), |error| error.source());
        if sources.any(<dyn std::error::Error>::is::<LengthLimitError>) { Self::TooLarge } else { Self::Ended }
    }
}

impl From<Cut> for Problem {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
            Cut::Ended => Self::new(StatusCode::BAD_REQUEST, "INVALID_JSON").detail("the body ended early"),
        }
    }
}

/// What to say of a body that could not be read to its end.
pub fn cut_short(error: &axum::Error) -> Problem {
    Cut::of(error).into()
}

/// A body that can be offered again as long as nobody has taken anything of it.
#[derive(Clone)]
struct Untouched(Arc<Mutex<Offered>>);

struct Offered {
    body: BodyDataStream,
    untouched: bool,
    /// Why the client's body ended before it should.
    cut: Option<Cut>,
}

impl Untouched {
    fn new(body: Body) -> Self {
        let offered = Offered { body: body.into_data_stream(), untouched: true, cut: None };
        Self(Arc::new(Mutex::new(offered)))
    }

    fn is_untouched(&self) -> bool {
        self.offered().untouched
    }

    fn cut(&self) -> Option<Cut> {
        self.offered().cut
    }

    fn offered(&self) -> MutexGuard<'_, Offered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Untouched {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut offered = self.offered();
        offered.untouched = false;
        let polled = Pin::new(&mut offered.body).poll_next(context);
        if let Poll::Ready(Some(Err(error))) = &polled {
            offered.cut = Some(Cut::of(error));
        }
        polled
    }
}
