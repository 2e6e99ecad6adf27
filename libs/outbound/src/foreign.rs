//! HTTP to addresses that others name, such as the webhooks of merchants: each connection is checked when it is opened, so
//! that no request reaches the network of the shop. Knows what may be reached; it must not know what is sent, or when again.
//!
//! The address of each connection is resolved, checked and connected to in one step: a name that resolves to another address
//! the next time (DNS rebinding) is checked again. Redirects are answers, no proxy is used, and no connection is used twice.

mod addresses;
mod connector;
mod policy;
mod resolver;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use agora_chassis::BoxError;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use self::connector::GuardedConnector;
pub use self::{
    addresses::is_public,
    connector::ConnectFault,
    policy::{AddressPolicy, AllowedPorts, InvalidPorts},
    resolver::{Resolver, Resolving, SystemResolver},
    url::{ForeignUrl, UrlFault},
};
use crate::client_span;

/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Most headers of an answer.
const HEADERS_MAX: usize = 100;

/// Limits of one request.
#[derive(Clone, Copy, Debug)]
pub struct ForeignLimits {
    /// From the look-up of the name until the TCP connection stands.
    pub connect: Duration,
    /// From the start to the last byte of the answer that is read.
    pub total: Duration,
    /// How much of an answer's body is read; the rest is dropped with the connection.
    pub answer_bytes_max: usize,
}

/// A client for addresses that others name; clones share its settings. Connections are not kept.
#[derive(Clone)]
pub struct ForeignClient {
    client: legacy::Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
    limits: ForeignLimits,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The beginning of the body, up to the limit; less if the rest did not arrive in time.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// Nothing was sent: the address is not allowed or does not accept connections, or its certificate is not trusted.
    #[error("no connection could be established")]
    Connect(#[source] legacy::Error),
    /// The connection broke before the answer began. The request may have arrived.
    #[error("the connection broke before an answer came")]
    Broken(#[source] legacy::Error),
    /// The time limit passed. The request may have arrived.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The URL or a header cannot be sent.
    #[error("the request cannot be sent")]
    Request(#[source] http::Error),
}

/// The TLS library offers no usable version.
#[derive(Debug, thiserror::Error)]
#[error("TLS for addresses of others cannot be set up")]
pub struct TlsError(#[source] BoxError);

impl ForeignClient {
    /// A client that trusts the system's certificate authorities, or those of `roots` in their place. Without any, it goes on
    /// and trusts no receiver.
    pub fn new(
        policy: AddressPolicy,
        limits: ForeignLimits,
        resolver: Arc<dyn Resolver>,
        roots: Option<RootCertStore>,
    ) -> Result<Self, TlsError> {
        let tls = tls(roots)?;
        let connector = GuardedConnector::new(policy, resolver, limits.connect);
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            // An idle connection would outlive the check of its address.
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(HEADERS_MAX)
            .build(HttpsConnector::from((connector, tls)));
        Ok(Self { client, limits })
    }

    /// Sends a POST and returns the answer with the beginning of its body.
    pub async fn post(&self, url: &ForeignUrl, headers: HeaderMap, body: Bytes) -> Result<ForeignAnswer, ForeignError> {
        self.send(Method::POST, url, headers, body).await
    }

    /// Sends a GET and returns the answer with the beginning of its body.
    pub async fn get(&self, url: &ForeignUrl, headers: HeaderMap) -> Result<ForeignAnswer, ForeignError> {
        self.send(Method::GET, url, headers, Bytes::new()).await
    }

    async fn send(
        &self,
        method: Method,
        url: &ForeignUrl,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<ForeignAnswer, ForeignError> {
        let request = Request::builder().method(method.clone()).uri(url.uri().clone()).body(Full::new(body));
        let mut request = request.map_err(ForeignError::Request)?;
        *request.headers_mut() = headers;
        let peer = (url.uri().host().unwrap_or_default(), url.uri().port_u16());
        let span = client_span::open(&method, peer, request.headers_mut());
        let ends = Instant::now() + self.limits.total;
        let response = self.begin(request, ends).instrument(span.clone()).await;
        client_span::close(&span, response.as_ref().map(Response::status).map_err(ForeignError::kind));
        let (head, body) = response?.into_parts();
        let mut beginning = BytesMut::new();
        // The status has decided: what is missing of the body is not missed.
        let _ = timeout_at(ends, read(body, &mut beginning, self.limits.answer_bytes_max)).await;
        Ok(ForeignAnswer { status: head.status, headers: head.headers, body: beginning.freeze() })
    }

    /// Sends the request and returns when the answer's head has arrived.
    async fn begin(&self, request: Request<Full<Bytes>>, ends: Instant) -> Result<Response<Incoming>, ForeignError> {
        match timeout_at(ends, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(ForeignError::Connect(error)),
            Ok(Err(error)) => Err(ForeignError::Broken(error)),
            Err(_) => Err(ForeignError::Timeout(self.limits.total)),
        }
    }
}

impl ForeignError {
    /// A word for it, as an attribute of spans.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Timeout(_) => "timeout",
            Self::Request(_) => "request",
        }
    }
}

/// Reads up to `max` bytes; ends early with the body or with its first error.
async fn read(mut body: Incoming, beginning: &mut BytesMut, max: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        let room = max - beginning.len();
        beginning.extend_from_slice(data.get(..room).unwrap_or(&data));
        if beginning.len() >= max {
            break;
        }
    }
}

fn tls(roots: Option<RootCertStore>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.into()))?;
    Ok(config.with_root_certificates(roots.unwrap_or_else(system_roots)).with_no_client_auth())
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        tracing::error!(
            "the system has no certificate authorities: install them, or no HTTPS address of others is reached"
        );
    }
    roots
}

/// Not the connections.
impl fmt::Debug for ForeignClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignClient").field("limits", &self.limits).finish_non_exhaustive()
    }
}
