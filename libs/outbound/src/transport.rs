//! The HTTP/1.1 client under [`crate::Client`] and under the gateway: pooled connections, time limits, kept DNS answers.
//! Knows no retries and no headers of ours.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use agora_chassis::{BoxError, IDLE_CONNECTION_MAX, Timing};
use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header, uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout, timeout_at},
};
use tower::{Service, ServiceExt as _};

use crate::dns::DnsCache;

/// Most idle connections that are kept for one address. More requests at a time open more connections, which are closed
/// when they become idle.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// How long a connection may be idle and be used again: a request on a connection that is being closed is lost.
///
/// Shorter than the server's own limit, and than the time for which a server that shuts down goes on accepting. From the
/// start of that time each of its responses asks the client to leave the connection. So the connections that it closes at
/// the end were idle for all of that time, and no request is on its way on them.
const IDLE_MAX: Duration = Duration::from_secs(Timing::DEFAULT.accept.as_secs() - 1);
const _: () = assert!(IDLE_MAX.as_secs() < IDLE_CONNECTION_MAX.as_secs(), "a server closes idle connections");

/// TCP keep-alive: a silent peer is probed after this time, at this interval, so many times.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBES_MAX: u32 = 3;

/// How long sent bytes may stay without acknowledgement before the connection is given up.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// `Host` of a request to a service of the same process.
pub const IN_PROCESS: HeaderValue = HeaderValue::from_static("in-process");

/// The body of a request.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body without bytes.
pub fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is in memory.
pub fn full(bytes: Bytes) -> RequestBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is sent as it arrives.
pub fn streamed<B>(body: B) -> RequestBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// Sends `request` to a router of this process and returns when the head of the response is complete. As over HTTP, dropping
/// the future ends the work of the router.
pub async fn in_process(
    router: Router,
    mut request: Request<axum::body::Body>,
    max: Duration,
) -> Result<Response<UnsyncBoxBody<Bytes, TransportError>>, TransportError> {
    request.headers_mut().entry(header::HOST).or_insert(IN_PROCESS);
    match timeout(max, router.oneshot(request)).await {
        Ok(Ok(response)) => Ok(response.map(|body| body.map_err(TransportError::InProcess).boxed_unsync())),
        Ok(Err(never)) => match never {},
        Err(_) => Err(TransportError::Timeout(max)),
    }
}

/// Time limits of the requests of a client.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// From the start of a connection, name lookup included, until it stands.
    pub connect: Duration,
    /// Without a byte of the response.
    pub silence: Duration,
    /// From the start of the request to the end of the response's body.
    pub total: Duration,
}

/// Where requests go: parsed once from a base URL such as "http://shop-user:3001".
#[derive(Clone, Debug)]
pub struct Origin {
    authority: uri::Authority,
    host: HeaderValue,
    /// Path of the base URL without a slash at its end; usually empty.
    prefix: String,
}

/// A base URL is not of the form `http://host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address must be like http://shop-user:3001")]
pub struct InvalidOrigin;

/// Why there is no response, or no complete one.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The path of the request is not valid behind the path of the base URL.
    #[error("the request has no valid address")]
    Address(#[source] http::Error),
    /// There is no connection; nothing was sent.
    #[error("no connection could be established")]
    Connect(#[source] legacy::Error),
    /// The connection broke before the response began.
    #[error("the connection broke")]
    Broken(#[source] legacy::Error),
    /// The response's body ended early.
    #[error("the response was cut short")]
    CutShort(#[source] hyper::Error),
    /// The response's body, of a service in this process, ended early.
    #[error("the response was cut short")]
    InProcess(#[source] axum::Error),
    /// A time limit passed after the request was begun.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// An HTTP client; clones share connections.
#[derive(Clone)]
pub struct HttpClient {
    client: legacy::Client<Connector, RequestBody>,
    limits: TimeLimits,
}

impl Origin {
    /// Parses a base URL. TLS is not supported: ports of services speak plain HTTP.
    pub fn parse(base_url: &str) -> Result<Self, InvalidOrigin> {
        let uri::Parts { scheme, authority, path_and_query, .. } =
            base_url.parse::<Uri>().map_err(|_| InvalidOrigin)?.into_parts();
        let authority = authority.filter(|authority| !authority.as_str().contains('@')).ok_or(InvalidOrigin)?;
        let path = path_and_query.as_ref().map_or("", |path| path.path());
        let query = path_and_query.as_ref().and_then(|path| path.query());
        if scheme != Some(uri::Scheme::HTTP) || query.is_some() {
            return Err(InvalidOrigin);
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidOrigin)?;
        Ok(Self { authority, host, prefix: path.trim_end_matches('/').to_owned() })
    }

    fn uri(&self, target: uri::PathAndQuery) -> Result<Uri, http::Error> {
        let target = if self.prefix.is_empty() {
            target
        } else {
            uri::PathAndQuery::try_from(format!("{}{target}", self.prefix))?
        };
        let uri = Uri::builder().scheme(uri::Scheme::HTTP).authority(self.authority.clone());
        uri.path_and_query(target).build()
    }
}

impl TransportError {
    /// Whether no connection was established, so that nothing of the request was sent.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_))
    }

    /// Whether nothing answered the attempt to connect, as at the address of a pod that was deleted. Another process may have
    /// refused it otherwise.
    pub fn is_connect_timeout(&self) -> bool {
        let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        matches!(self, Self::Connect(error) if any_source(error, timed_out))
    }

    /// Whether the request itself cannot be sent: an address, a method or headers that HTTP does not allow. Says nothing
    /// about the service.
    pub fn is_of_the_request(&self) -> bool {
        match self {
            Self::Address(_) => true,
            Self::Broken(error) => any_source(error, hyper::Error::is_user),
            Self::Connect(_) | Self::CutShort(_) | Self::InProcess(_) | Self::Timeout(_) => false,
        }
    }

    /// Whether the time limit of the response passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}

/// Whether the error, or what caused it, is an `E` for which `holds`.
fn any_source<E: std::error::Error + 'static>(error: &legacy::Error, holds: impl Fn(&E) -> bool) -> bool {
    let mut sources = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |e| e.source());
    sources.any(|source| source.downcast_ref().is_some_and(&holds))
}

impl From<legacy::Error> for TransportError {
    fn from(error: legacy::Error) -> Self {
        if error.is_connect() { Self::Connect(error) } else { Self::Broken(error) }
    }
}

impl HttpClient {
    /// A client without connections; opens them when they are needed. Must be used within the runtime.
    pub fn new(limits: TimeLimits) -> Self {
        let dns = DnsCache::default();
        let mut tcp = HttpConnector::new_with_resolver(dns.clone());
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits.connect));
        tcp.set_keepalive(Some(PROBE_AFTER));
        tcp.set_keepalive_interval(Some(PROBE_AFTER));
        tcp.set_keepalive_retries(Some(PROBES_MAX));
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(Connector { tcp, dns, connect_max: limits.connect });
        Self { client, limits }
    }

    /// Sends `request`, whose URI is a path with an optional query, to `origin`; returns when the head of the response
    /// is complete. `total` replaces the total time limit of the client if it is shorter.
    pub async fn send(
        &self,
        origin: &Origin,
        mut request: Request<RequestBody>,
        total: Duration,
    ) -> Result<Response<ResponseBody>, TransportError> {
        let target = request.uri().path_and_query().cloned().unwrap_or_else(|| uri::PathAndQuery::from_static("/"));
        *request.uri_mut() = origin.uri(target).map_err(TransportError::Address)?;
        request.headers_mut().insert(header::HOST, origin.host.clone());
        let (started, total) = (Instant::now(), total.min(self.limits.total));
        let head_max = total.min(self.limits.silence);
        match timeout_at(started + head_max, self.client.request(request)).await {
            Ok(Ok(response)) => {
                let (silence, ends) = (self.limits.silence, started + total);
                Ok(response.map(|body| ResponseBody { body, silence, ends, total, waiting: None }))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(TransportError::Timeout(head_max)),
        }
    }
}

/// Not the connections.
impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Opens connections within the time limit.
#[derive(Clone)]
struct Connector {
    tcp: HttpConnector<DnsCache>,
    dns: DnsCache,
    connect_max: Duration,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let (host, dns, connect_max) = (address.host().map(str::to_owned), self.dns.clone(), self.connect_max);
        let connecting = self.tcp.call(address);
        Box::pin(async move {
            let connected = match timeout(connect_max, connecting).await {
                Ok(connected) => connected.map_err(BoxError::from),
                Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed).into()),
            };
            if let (Err(_), Some(host)) = (&connected, &host) {
                dns.remove(host);
            }
            connected
        })
    }
}

/// The body of a response. Its time limits end it with [`TransportError::Timeout`].
#[derive(Debug)]
pub struct ResponseBody {
    body: Incoming,
    silence: Duration,
    ends: Instant,
    total: Duration,
    /// Set while a frame is awaited, so that a body that is there already needs no timer.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.waiting = None;
            if frame.is_some() && Instant::now() >= this.ends {
                return Poll::Ready(Some(Err(TransportError::Timeout(this.total))));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(TransportError::CutShort)));
        }
        let (silence, ends) = (this.silence, this.ends);
        let limit = || Box::pin(sleep_until((Instant::now() + silence).min(ends)));
        ready!(this.waiting.get_or_insert_with(limit).as_mut().poll(context));
        let passed = if Instant::now() >= ends { this.total } else { silence };
        Poll::Ready(Some(Err(TransportError::Timeout(passed))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Request, StatusCode};
    use http_body_util::BodyExt as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::{HttpClient, InvalidOrigin, Origin, TimeLimits, TransportError, empty};

    const LIMITS: TimeLimits = TimeLimits {
        connect: Duration::from_millis(500),
        silence: Duration::from_millis(300),
        total: Duration::from_millis(700),
    };

    /// A server that reads one request per connection and writes these texts, each after a pause.
    async fn writing(parts: &'static [(u64, &'static str)]) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut some = [0; 1024];
                assert!(tcp.read(&mut some).await.unwrap() > 0);
                for (pause_ms, text) in parts {
                    tokio::time::sleep(Duration::from_millis(*pause_ms)).await;
                    if tcp.write_all(text.as_bytes()).await.is_err() {
                        break;
                    }
                }
            }
        };
        agora_chassis::Process::for_test("order").spawn("server", async move {
            serving.await;
            Ok(())
        });
        Origin::parse(&format!("http://127.0.0.1:{port}")).unwrap()
    }

    fn request(target: &str) -> Request<super::RequestBody> {
        Request::get(target).body(empty()).unwrap()
    }

    #[test]
    fn an_origin_is_a_plain_http_address() {
        let uri = |base: &str| Origin::parse(base).unwrap().uri("/a?b=c".parse().unwrap()).unwrap().to_string();
        assert_eq!(uri("http://shop-user:3001"), "http://shop-user:3001/a?b=c");
        assert_eq!(uri("http://shop-user:3001/"), "http://shop-user:3001/a?b=c");
        assert_eq!(uri("http://proxy/user/"), "http://proxy/user/a?b=c");
        for wrong in ["", "shop-user:3001", "https://shop-user", "http://a@b", "http://b/?c", "no address", "/path"] {
            assert_eq!(Origin::parse(wrong).map(|_| ()), Err(InvalidOrigin), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_response_that_does_not_begin_ends_with_the_limit_of_silence() {
        let origin = writing(&[]).await;
        let silent = writing(&[(2_000, "")]).await;
        let client = HttpClient::new(LIMITS);
        let broken = client.send(&origin, request("/"), LIMITS.total).await.unwrap_err();
        assert!(matches!(broken, TransportError::Broken(_)), "{broken:?}");
        let started = Instant::now();
        let error = client.send(&silent, request("/"), LIMITS.total).await.unwrap_err();
        assert!(matches!(error, TransportError::Timeout(limit) if limit == LIMITS.silence), "{error:?}");
        assert!(started.elapsed() >= LIMITS.silence);
    }

    #[tokio::test]
    async fn a_body_ends_with_the_limit_of_silence_or_with_the_total_limit() {
        const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
        let client = HttpClient::new(LIMITS);
        for (parts, limit) in [
            (&[(0, HEAD), (50, "abc"), (2_000, "defghi")][..], LIMITS.silence),
            (&[(0, HEAD), (200, "a"), (200, "b"), (200, "c"), (200, "d"), (200, "efghi")][..], LIMITS.total),
        ] {
            let origin = writing(parts).await;
            let started = Instant::now();
            let response = client.send(&origin, request("/"), LIMITS.total).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let error = response.into_body().collect().await.unwrap_err();
            assert!(matches!(error, TransportError::Timeout(passed) if passed == limit), "{error:?}");
            assert!(started.elapsed() >= limit);
        }
        let origin = writing(&[(0, HEAD), (100, "abc"), (100, "defghi")]).await;
        let response = client.send(&origin, request("/"), LIMITS.total).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abcdefghi");
    }

    #[tokio::test]
    async fn a_shorter_limit_of_one_request_replaces_the_total_limit() {
        let origin = writing(&[(2_000, "")]).await;
        let limit = Duration::from_millis(100);
        let error = HttpClient::new(LIMITS).send(&origin, request("/"), limit).await.unwrap_err();
        assert!(matches!(error, TransportError::Timeout(passed) if passed == limit), "{error:?}");
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_while_its_server_may_have_begun_to_shut_down_is_not_used_again() {
        const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Origin::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let client = HttpClient::new(LIMITS);
        let ask = async || {
            let response = client.send(&origin, request("/"), LIMITS.total).await.unwrap();
            response.into_body().collect().await.unwrap();
        };
        let answered = async |tcp: &mut TcpStream| {
            assert!(tcp.read(&mut [0; 1024]).await.unwrap() > 0);
            tcp.write_all(ANSWER).await.unwrap();
        };
        let ((), mut first) = tokio::join!(ask(), async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            answered(&mut tcp).await;
            tcp
        });
        tokio::join!(ask(), answered(&mut first));
        tokio::time::sleep(agora_chassis::Timing::DEFAULT.accept).await;
        tokio::join!(ask(), async {
            let (mut second, _) = listener.accept().await.unwrap();
            answered(&mut second).await;
        });
        assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0, "no request came on the first connection");
    }

    #[tokio::test]
    async fn a_refused_connection_is_known_to_have_sent_nothing() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let origin = Origin::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let error = HttpClient::new(LIMITS).send(&origin, request("/"), LIMITS.total).await.unwrap_err();
        assert!(error.is_connect() && !error.is_timeout(), "{error:?}");
    }
}
