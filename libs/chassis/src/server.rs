//! Serving one port: HTTP/1 and HTTP/2 without TLS, bounded in connections and in time, drained on request. Knows
//! nothing of routes.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Version, header},
    response::Response,
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::process::Process;

/// How long a connection may stay without a complete request head before the server closes it: at its start, and
/// between two requests of HTTP/1. A client's pool must let idle connections go earlier.
pub const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(20);

/// Most connections of one port at a time; more wait in the system's backlog.
const CONNECTIONS_MAX: usize = 4096;

/// Most requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// How often an HTTP/2 connection is asked whether its client is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Pause after the system refused to give a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on every address of the machine, IPv6 and IPv4; IPv4 alone where there is no IPv6. Port 0: a free one.
pub(crate) async fn bind(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        result => result,
    }
}

/// Serves until `stop`, then accepts no more, finishes the requests under way and returns. While the process is
/// shutting down, answers on HTTP/1 ask the client to leave the connection.
pub(crate) async fn serve(listener: TcpListener, router: Router, process: Process, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (tcp, peer, permit) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let served = connection(tcp, peer, router.clone(), process.clone(), graceful.watcher());
        spawn(async move {
            served.await;
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Connections are waited for by the drain, which has its own limit in time, and not as tasks of the process.
#[expect(clippy::disallowed_methods, reason = "connections are tracked by the graceful shutdown of their port")]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(connection);
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((tcp, peer)) => return (tcp, SocketAddr::new(peer.ip().to_canonical(), peer.port()), permit),
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted at the moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the client is at fault: it left before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(tcp: TcpStream, peer: SocketAddr, router: Router, process: Process, watcher: Watcher) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
        return;
    }
    let asked = Arc::new(AtomicBool::new(false));
    let begun = asked.clone();
    let service = service_fn(move |request| {
        begun.store(true, Ordering::Relaxed);
        answer(request, peer, router.clone(), process.clone())
    });
    let served = watcher.watch(builder().serve_connection_with_upgrades(TokioIo::new(tcp), service).into_owned());
    tokio::pin!(served);
    // hyper waits without limit for the bytes that tell HTTP/2 from HTTP/1, so the first request has a limit of ours.
    let result = match tokio::time::timeout(IDLE_CONNECTION_MAX, &mut served).await {
        Ok(result) => result,
        Err(_) if asked.load(Ordering::Relaxed) => served.await,
        Err(_) => return,
    };
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_CONNECTION_MAX).keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    router: Router,
    process: Process,
) -> Result<Response, Infallible> {
    let version = request.version();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let mut response = router.oneshot(request).await?;
    if process.shutting_down() && version <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, extract::ConnectInfo, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };
    use tokio_util::sync::CancellationToken;

    use super::{SocketAddr, bind, serve};
    use crate::process::Process;

    async fn serving() -> (u16, CancellationToken, impl Future<Output = ()>) {
        let tcp = bind(0).await.unwrap();
        let (port, stop) = (tcp.local_addr().unwrap().port(), CancellationToken::new());
        let router = Router::new()
            .route("/who", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }));
        (port, stop.clone(), serve(tcp, router, Process::for_test("cart"), stop))
    }

    #[tokio::test]
    async fn http1_and_http2_are_served_and_the_peer_is_known() {
        let (port, stop, served) = serving().await;
        let clients = async {
            for builder in [reqwest::Client::builder(), reqwest::Client::builder().http2_prior_knowledge()] {
                let client = builder.no_proxy().build().unwrap();
                let answer = client.get(format!("http://127.0.0.1:{port}/who")).send().await.unwrap();
                assert_eq!(answer.text().await.unwrap(), "127.0.0.1");
            }
            stop.cancel();
        };
        tokio::join!(served, clients);
    }

    #[tokio::test]
    async fn a_drain_does_not_wait_for_idle_or_silent_connections() {
        let (port, stop, served) = serving().await;
        let clients = async {
            let mut idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            idle.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut some = [0; 8];
            idle.read_exact(&mut some).await.unwrap();
            let silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stop.cancel();
            (idle, silent)
        };
        let both = async { tokio::join!(served, clients) };
        tokio::time::timeout(Duration::from_secs(5), both).await.expect("the drain ends while both are connected");
    }
}
