//! Serving one connection: limits of the head, of HTTP/2 and of age. Knows nothing of routes.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::ConnectInfo,
    http::{HeaderValue, Request, StatusCode, Version, header},
    response::Response,
};
use futures::future::{self, Either};
use http_body_util::BodyExt as _;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{
    connections::{Connection, Place, Slot},
    long_lived::LongLived,
    process::Process,
    refusal,
    request_body::RequestBody,
    request_head,
    server::Site,
    socket::Socket,
    tls::ServerTls,
};

/// How long a connection may stay without a complete request head before the server closes it: at its start, and
/// between two requests of HTTP/1. A client's pool must let idle connections go earlier.
pub const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(20);

/// Largest head of a request, in bytes: request line and header fields. Also the largest read buffer of a connection.
const HEAD_BYTES_MAX: u32 = 16 << 10;

/// Most requests at a time on one HTTP/2 connection, and the bytes that it may send before the server reads them.
const STREAMS_MAX: u32 = 100;
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;

/// Most streams of an HTTP/2 connection that its client has reset and that were not noticed yet, and that were reset because
/// of faults of the client; one more ends the connection (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 20;
const FAULTY_STREAMS_MAX: usize = 64;

/// Most bytes of a response that wait for an HTTP/2 client.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;

/// How often an HTTP/2 connection is asked whether its client is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long an old connection may go on with the request that it is serving.
const AGED_MAX: Duration = Duration::from_mins(1);

/// What a connection is served with.
#[derive(Clone)]
pub(crate) struct Context {
    pub peer: SocketAddr,
    pub site: Site,
    pub process: Process,
    /// Age at which a connection is replaced. That of each connection lies within a fifth of it.
    pub age: Duration,
}

/// Lets a connection end with the requests that are under way.
macro_rules! finish {
    ($served:ident) => {
        match $served.as_mut().as_pin_mut() {
            Either::Left(http1) => http1.graceful_shutdown(),
            Either::Right(http2) => http2.graceful_shutdown(),
        }
    };
}

/// Serves until the client leaves, `stop` or the connection has to give way; gives the slot back. What has arrived is read
/// before the connection is closed, so that no request is lost in it. A connection that is upgraded to another protocol is
/// none of this port any more.
pub(crate) async fn serve(tcp: Arc<TcpStream>, context: Context, slot: Slot, stop: CancellationToken) {
    let (state, place, tls) = (slot.connection.clone(), slot.place(), context.site.tls.clone());
    let age = age_of(slot.number(), context.age);
    let service = service_fn(move |request| {
        answer(request_head::unshared(request), context.clone(), state.clone(), place.clone())
    });
    let beginning = IDLE_CONNECTION_MAX.min(age);
    let timer = tokio::time::sleep(beginning);
    let (shed, stopped) = (seen_late(slot.connection.shed()), seen_late(stop.cancelled()));
    let cut = slot.connection.until_cut();
    tokio::pin!(timer, shed, stopped, cut);
    let gives_way = future::select(shed.as_mut(), future::select(stopped.as_mut(), timer.as_mut()));
    let Some((socket, version)) = open_unless(gives_way, tcp, &slot.connection, tls).await else { return };
    let socket = TokioIo::new(socket);
    let served = if version == Version::HTTP_2 {
        Either::Right(http2_builder().serve_connection(socket, service))
    } else {
        Either::Left(http1_builder().serve_connection(socket, service).with_upgrades())
    };
    tokio::pin!(served);
    let mut phase = Phase::Beginning;
    let (mut stopping, mut leaving) = (false, false);
    loop {
        tokio::select! {
            biased;
            result = served.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = shed.as_mut(), if !leaving => {
                // A request that came at the same moment is answered with a refusal.
                if !slot.connection.is_busy() {
                    return;
                }
                leaving = true;
                finish!(served);
            }
            () = stopped.as_mut(), if !stopping => {
                stopping = true;
                finish!(served);
            }
            () = cut.as_mut() => return,
            () = timer.as_mut() => {
                let now = tokio::time::Instant::now();
                match phase {
                    // hyper waits without limit for the rest of the preface of HTTP/2.
                    Phase::Beginning if !slot.connection.has_begun() => return,
                    Phase::Beginning => {
                        phase = Phase::Young;
                        timer.as_mut().reset(now + age.saturating_sub(beginning));
                    }
                    Phase::Young => {
                        phase = Phase::Aged;
                        slot.connection.age();
                        timer.as_mut().reset(now + AGED_MAX);
                    }
                    // Its client may stay, and is not counted among those of the port.
                    Phase::Aged if slot.connection.is_long_lived() => timer.as_mut().reset(now + AGED_MAX),
                    Phase::Aged => return,
                }
                // A client of HTTP/1 might be sending a request on a connection that is closed without notice: it is
                // asked to leave by the next response. HTTP/2 has a frame for it.
                if phase == Phase::Aged && slot.connection.is_http2() {
                    finish!(served);
                }
            }
        }
    }
}

/// Waits for a reason to close the connection, and until the runtime has looked for what has arrived meanwhile: that wakes
/// the connection, which then reads it.
async fn seen_late(reason: impl Future<Output = ()>) {
    reason.await;
    tokio::task::yield_now().await;
}

/// What the timer of a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first request.
    Beginning,
    /// The age at which the connection is replaced.
    Young,
    /// The end of its last request.
    Aged,
}

/// The age at which the connection with this number is replaced. Consecutive numbers lie far apart: multiples of the golden
/// ratio spread evenly.
fn age_of(number: u64, age: Duration) -> Duration {
    /// 2^32 divided by the golden ratio.
    const STEP: u64 = 2_654_435_769;
    let fraction = number.wrapping_mul(STEP) & u64::from(u32::MAX);
    let spread_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX) / 5 * 2;
    age * 4 / 5 + Duration::from_millis(spread_ms.saturating_mul(fraction) >> 32)
}

/// The socket of a new connection and its version of HTTP; `None` if it ended, or had to give way, before it began.
async fn open_unless<T>(
    gives_way: impl Future<Output = T>,
    tcp: Arc<TcpStream>,
    connection: &Connection,
    tls: Option<ServerTls>,
) -> Option<(Socket, Version)> {
    tokio::select! {
        biased;
        opened = open(tcp, connection, tls) => {
            opened.inspect_err(|error| tracing::debug!(%error, "a connection ended before it began")).ok()
        }
        _ = gives_way => None,
    }
}

/// Waits for the first bytes, and for the handshake of TLS.
async fn open(
    tcp: Arc<TcpStream>,
    connection: &Connection,
    tls: Option<ServerTls>,
) -> io::Result<(Socket, Version)> {
    let version = version(&tcp).await?;
    let tcp = connection.read(tcp).ok_or_else(|| io::Error::other("the socket has another owner"))?;
    match tls {
        // Boxed, so that connections without encryption do not reserve memory for it.
        Some(tls) => Box::pin(tls.accept(tcp)).await,
        None => Ok((Socket::Plain(tcp), version)),
    }
}

/// The version of HTTP of a new connection, by its first bytes. They stay in the socket: what hyper is given of them beside
/// the socket would make it take a buffer of twice the size. A client whose first segment is shorter than these bytes speaks
/// HTTP/1. Also lets the socket send small writes at once.
async fn version(tcp: &TcpStream) -> io::Result<Version> {
    /// Of the preface of HTTP/2 (RFC 9113, 3.4); no method begins with them.
    const HTTP_2: &[u8; 3] = b"PRI";
    tcp.set_nodelay(true)?;
    let mut first = [0; HTTP_2.len()];
    let bytes = tcp.peek(&mut first).await?;
    Ok(if first[..bytes] == HTTP_2[..] { Version::HTTP_2 } else { Version::HTTP_11 })
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_CONNECTION_MAX)
        .max_buf_size(HEAD_BYTES_MAX as usize)
        .keep_alive(true);
    builder
}

fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(FAULTY_STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

async fn answer(
    request: Request<Incoming>,
    context: Context,
    connection: Arc<Connection>,
    place: Place,
) -> Result<Response<impl HttpBody<Data = Bytes, Error = axum::Error>>, Infallible> {
    let Context { peer, site, process, .. } = context;
    let version = request.version();
    let (busy, unanswered) = (connection.begin(version == Version::HTTP_2), connection.unanswered());
    let mut request = RequestBody::of(request).map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let shed = connection.is_shed();
    let mut response = if shed { refusal::response() } else { site.router.oneshot(request).await? };
    unanswered.answered();
    let long_lived = response.extensions_mut().remove::<LongLived>();
    let closes = shed || process.shutting_down() || connection.is_aged() || long_lived.is_some();
    // That of an upgrade says so in this header.
    if closes && version <= Version::HTTP_11 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let dropped = long_lived.map(|long_lived| {
        connection.mark_long_lived();
        place.give_back();
        let dropped = CancellationToken::new();
        process.track(long_lived.cut_at_end(connection, dropped.clone()));
        dropped.drop_guard()
    });
    // The connection serves the request until the body is dropped.
    Ok(response.map(|body| {
        body.map_frame(move |frame| {
            let _until_dropped = (&busy, &dropped);
            frame
        })
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::age_of;

    #[test]
    fn the_ages_of_connections_are_spread() {
        let mut ages: Vec<_> = (0..100).map(|number| age_of(number, Duration::from_mins(5))).collect();
        ages.sort();
        assert!(ages[0] >= Duration::from_mins(4) && ages[99] <= Duration::from_mins(6));
        let widest = ages.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
        assert!(widest < Duration::from_secs(5), "{widest:?}");
    }
}
