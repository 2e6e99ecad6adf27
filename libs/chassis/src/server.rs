//! Serving one port: accepts connections as far as there is room, and waits for those that serve a request when asked to
//! stop. Knows nothing of routes.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connection,
    connections::{ConnectionLimits, Connections},
    process::Process,
};

/// Connections of one port.
const CONNECTIONS: ConnectionLimits = ConnectionLimits { total: 1024, per_address: 768, wait: Duration::from_secs(1) };

/// Pause after the system refused to give a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted; the system's own limit may be lower. With the 128 of the standard library, a client
/// that comes in a crowd is not noticed until it tries again after a second.
const BACKLOG: u32 = 4096;

/// Listens on every address of the machine, IPv6 and IPv4; IPv4 alone where there is no IPv6. Port 0: a free one. Panics
/// outside of a runtime.
pub fn bind(port: u16) -> io::Result<TcpListener> {
    match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied => {
            listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        result => result,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then accepts no more, finishes the requests under way and returns. While the process is
/// shutting down, answers on HTTP/1 ask the client to leave the connection.
pub(crate) async fn serve(listener: TcpListener, router: Router, process: Process, stop: CancellationToken) {
    serve_within(CONNECTIONS, listener, router, process, stop).await;
}

async fn serve_within(
    limits: ConnectionLimits,
    listener: TcpListener,
    router: Router,
    process: Process,
    stop: CancellationToken,
) {
    let (served, connections) = (TaskTracker::new(), Connections::new(limits));
    loop {
        let accepted = async {
            let (tcp, peer) = accept(&listener, &connections).await;
            Some((tcp, peer, connections.admit(peer.ip()).await?))
        };
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => {
                if let Some((tcp, peer, slot)) = accepted {
                    let served_for = connection::Context { peer, router: router.clone(), process: process.clone() };
                    served.spawn(connection::serve(tcp, served_for, slot, stop.clone()));
                }
            }
        }
    }
    drop(listener);
    served.close();
    served.wait().await;
}

async fn accept(listener: &TcpListener, connections: &Connections) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => return (tcp, SocketAddr::new(peer.ip().to_canonical(), peer.port())),
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted at the moment");
                connections.shed_one();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, extract::ConnectInfo, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };
    use tokio_util::sync::CancellationToken;

    use super::{ConnectionLimits, SocketAddr, bind, serve, serve_within};
    use crate::process::Process;

    fn serving() -> (u16, CancellationToken, impl Future<Output = ()>) {
        let tcp = bind(0).unwrap();
        let (port, stop) = (tcp.local_addr().unwrap().port(), CancellationToken::new());
        let router = Router::new()
            .route("/who", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }));
        (port, stop.clone(), serve(tcp, router, Process::for_test("cart"), stop))
    }

    #[tokio::test]
    async fn a_crowd_of_clients_connects_before_any_of_them_is_accepted() {
        let listener = bind(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let crowd = (0..400).map(|_| TcpStream::connect(("127.0.0.1", port)));
        let connected = tokio::time::timeout(Duration::from_secs(10), futures::future::join_all(crowd)).await;
        assert!(connected.unwrap().iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn http1_and_http2_are_served_and_the_peer_is_known() {
        let (port, stop, served) = serving();
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
        let (port, stop, served) = serving();
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

    /// Reads from the connection until it has seen `text` or the connection ends; returns what it has seen.
    async fn seen(tcp: &mut TcpStream, text: &str) -> String {
        let (mut all, mut some) = (Vec::new(), [0; 4096]);
        let reading = async {
            while let Ok(read @ 1..) = tcp.read(&mut some).await {
                all.extend_from_slice(&some[..read]);
                if String::from_utf8_lossy(&all).contains(text) {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("an answer or an end");
        String::from_utf8_lossy(&all).into_owned()
    }

    #[tokio::test]
    async fn a_head_over_the_limit_is_431_and_one_below_it_is_served() {
        let (port, stop, served) = serving();
        let clients = async {
            for (bytes, status) in [(15 << 10, "200"), (17 << 10, "431"), (400 << 10, "431")] {
                let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let head = format!("GET /who HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(bytes));
                // The server may close the connection before it has read everything.
                drop(tcp.write_all(head.as_bytes()).await);
                let answer = seen(&mut tcp, "\r\n\r\n").await;
                let refused_unseen = bytes > 100 << 10 && answer.is_empty();
                assert!(refused_unseen || answer.starts_with(&format!("HTTP/1.1 {status}")), "{bytes}: {answer}");
            }
            stop.cancel();
        };
        tokio::join!(served, clients);
    }

    #[tokio::test]
    async fn idle_connections_give_way_to_newcomers() {
        let tcp = bind(0).unwrap();
        let (port, stop) = (tcp.local_addr().unwrap().port(), CancellationToken::new());
        let router = Router::new().route("/who", get(|| async { "here" }));
        let limits = ConnectionLimits { total: 8, per_address: 6, wait: Duration::from_secs(1) };
        let served = serve_within(limits, tcp, router, Process::for_test("cart"), stop.clone());
        let clients = async {
            let mut crowd = Vec::new();
            for _ in 0..40 {
                let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tcp.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
                assert!(seen(&mut tcp, "here").await.starts_with("HTTP/1.1 200"), "each newcomer is served");
                crowd.push(tcp);
            }
            assert_eq!(seen(&mut crowd[0], "never").await, "", "the first was closed");
            stop.cancel();
        };
        tokio::join!(served, clients);
    }

    #[tokio::test]
    async fn a_client_that_is_refused_in_the_middle_of_its_upload_reads_the_answer() {
        let tcp = bind(0).unwrap();
        let (port, stop) = (tcp.local_addr().unwrap().port(), CancellationToken::new());
        let refuse = || async { (axum::http::StatusCode::PAYLOAD_TOO_LARGE, "too large") };
        let router = Router::new().route("/who", axum::routing::post(refuse));
        let served = serve(tcp, router, Process::for_test("cart"), stop.clone());
        let clients = async {
            const BYTES: usize = 3 << 20;
            let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            for _ in 0..2 {
                let head = format!("POST /who HTTP/1.1\r\nhost: x\r\ncontent-length: {BYTES}\r\n\r\n");
                tcp.write_all(head.as_bytes()).await.unwrap();
                for _ in 0..BYTES >> 16 {
                    tcp.write_all(&vec![b'x'; 1 << 16]).await.expect("the connection stays until all is sent");
                }
                assert!(seen(&mut tcp, "too large").await.starts_with("HTTP/1.1 413"));
            }
            stop.cancel();
        };
        tokio::join!(served, clients);
    }
}
