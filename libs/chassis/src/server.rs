//! Serving one port: accepts connections as far as there is room, and waits for those that serve a request when asked to
//! stop. Knows nothing of routes.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connection,
    connections::{ConnectionLimits, Connections},
    newcomers::{Newcomer, Newcomers, WaitLimits},
    process::Process,
    refusal,
    tls::ServerTls,
};

/// Limits of one port.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: ConnectionLimits,
    newcomers: WaitLimits,
    /// Clients at a time that are refused with an answer; more are closed.
    refusals: usize,
    /// Age at which a connection is replaced, so that clients that keep theirs find new pods within a minute.
    age: Duration,
}

const LIMITS: Limits = Limits {
    connections: ConnectionLimits { total: 1024, per_address: 768 },
    newcomers: WaitLimits { waiting: 1024, wait: Duration::from_secs(1) },
    refusals: 1024,
    age: Duration::from_secs(30),
};

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

/// What a port serves.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub router: Router,
    /// `None`: without encryption.
    pub tls: Option<ServerTls>,
}

impl From<Router> for Site {
    fn from(router: Router) -> Self {
        Self { router, tls: None }
    }
}

/// Serves until `stop`, then accepts no more, finishes the requests under way and returns. While the process is
/// shutting down, answers on HTTP/1 ask the client to leave the connection.
pub(crate) async fn serve(listener: TcpListener, site: impl Into<Site>, process: Process, stop: CancellationToken) {
    serve_within(LIMITS, listener, site, process, stop).await;
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    site: impl Into<Site>,
    process: Process,
    stop: CancellationToken,
) {
    let site = site.into();
    let (served, refused) = (TaskTracker::new(), TaskTracker::new());
    let answer = if site.tls.is_some() { refusal::ALERT } else { refusal::RESPONSE.as_bytes() };
    let refuse = |tcp| {
        metrics::counter!("http_connection_refused_total").increment(1);
        if refused.len() < limits.refusals {
            refused.spawn(refusal::refuse(tcp, answer));
        }
    };
    let connections = Connections::new(limits.connections);
    let mut newcomers = Newcomers::new(connections.clone(), limits.newcomers);
    loop {
        let decided = tokio::select! {
            () = stop.cancelled() => break,
            newcomer = accept(&listener, &connections) => newcomers.arrive(newcomer),
            decided = newcomers.decided() => Some(decided),
        };
        match decided {
            Some((Newcomer { tcp, peer }, Some(slot))) => {
                let context =
                    connection::Context { peer, site: site.clone(), process: process.clone(), age: limits.age };
                let tcp = slot.connection.watch(tcp);
                served.spawn(connection::serve(tcp, context, slot, stop.clone()));
            }
            Some((newcomer, None)) => refuse(newcomer.tcp),
            None => {}
        }
    }
    drop(listener);
    newcomers.into_waiting().for_each(|newcomer| refuse(newcomer.tcp));
    for tasks in [served, refused] {
        tasks.close();
        tasks.wait().await;
    }
}

async fn accept(listener: &TcpListener, connections: &Connections) -> Newcomer {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => return Newcomer { tcp, peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()) },
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
    use std::{sync::Arc, time::Duration};

    use axum::{Router, extract::ConnectInfo, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpSocket, TcpStream},
        sync::Notify,
        time::Instant,
    };
    use tokio_util::sync::CancellationToken;

    use super::{BACKLOG, ConnectionLimits, LIMITS, Limits, SocketAddr, WaitLimits, bind, serve, serve_within};
    use crate::{connections::ABANDONED_MAX, process::Process};

    fn serving() -> (u16, CancellationToken, impl Future<Output = ()>) {
        let tcp = bind(0).unwrap();
        let (port, stop) = (tcp.local_addr().unwrap().port(), CancellationToken::new());
        let router = Router::new()
            .route("/who", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }));
        (port, stop.clone(), serve(tcp, router, Process::for_test("cart"), stop))
    }

    #[tokio::test]
    async fn a_port_is_open_on_ipv6_and_on_ipv4() {
        let listener = bind(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // A machine without IPv6 does not have the address.
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            TcpStream::connect(("::1", port)).await.unwrap();
        }
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

    /// CVE-2023-44487: a client that resets each request at once has any number of them done.
    #[tokio::test]
    async fn gw14_a_client_of_http2_that_abandons_too_many_requests_loses_its_connection() {
        let (tcp, stop, begun) = (bind(0).unwrap(), CancellationToken::new(), Arc::new(Notify::new()));
        let port = tcp.local_addr().unwrap().port();
        let noticed = begun.clone();
        let endless = get(|| async move {
            noticed.notify_one();
            std::future::pending::<()>().await;
        });
        let peer = get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.port().to_string() });
        let router = Router::new().route("/endless", endless).route("/port", peer);
        let served = serve(tcp, router, Process::for_test("cart"), stop.clone());
        let clients = async {
            let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
            let own_port = async || {
                let answer = client.get(format!("http://127.0.0.1:{port}/port")).send().await?;
                answer.text().await
            };
            let abandon = async || {
                let request = client.get(format!("http://127.0.0.1:{port}/endless")).send();
                tokio::select! {
                    // The connection may end below it.
                    _ = request => {}
                    () = begun.notified() => {}
                }
            };
            let first = own_port().await.unwrap();
            for _ in 0..ABANDONED_MAX / 2 {
                abandon().await;
            }
            assert_eq!(own_port().await.unwrap(), first, "some may be abandoned");
            let other = async {
                loop {
                    abandon().await;
                    if own_port().await.is_ok_and(|port| port != first) {
                        break;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(20), other).await.expect("another connection");
            stop.cancel();
        };
        tokio::join!(served, clients);
    }

    #[tokio::test]
    async fn rs3_a_drain_does_not_wait_for_idle_or_silent_connections() {
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
        let limits = Limits { connections: ConnectionLimits { total: 8, per_address: 6 }, ..LIMITS };
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

    /// A response that goes on until `ended` or until the client leaves.
    fn endless(ended: &CancellationToken) -> axum::response::Response {
        let parts = futures::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![b'x'; 1 << 16]));
        let mut response = axum::response::Response::new(axum::body::Body::from_stream(parts));
        response.extensions_mut().insert(crate::LongLived::until(ended.clone()));
        response
    }

    #[tokio::test]
    async fn gw18_a_response_without_an_end_takes_no_place_of_a_request() {
        let tcp = bind(0).unwrap();
        let (port, stop, ended) =
            (tcp.local_addr().unwrap().port(), CancellationToken::new(), CancellationToken::new());
        let streams = ended.clone();
        let router = Router::new()
            .route("/who", get(|| async { "here" }))
            .route("/events", get(move || async move { endless(&streams) }));
        let connections = ConnectionLimits { total: 1, per_address: 1 };
        let limits = Limits { connections, age: Duration::from_millis(100), ..LIMITS };
        let served = serve_within(limits, tcp, router, Process::for_test("cart"), stop.clone());
        let clients = async {
            let mut streams = Vec::new();
            for _ in 0..20 {
                let mut stream = connect_from("127.0.0.1", port, "/events").await;
                assert!(seen(&mut stream, "xxx").await.contains("connection: close"), "of HTTP/1 it is the last one");
                streams.push(stream);
            }
            let mut other = connect_from("127.0.0.1", port, "/who").await;
            assert!(seen(&mut other, "here").await.starts_with("HTTP/1.1 200"));
            drop(other);
            // No client reads, and the connections end nevertheless.
            ended.cancel();
            stop.cancel();
            streams
        };
        let both = async { tokio::join!(served, clients) };
        tokio::time::timeout(Duration::from_secs(10), both).await.expect("a stream whose client reads nothing is cut");
    }

    #[tokio::test]
    async fn gw18_a_connection_can_be_upgraded_to_another_protocol_and_is_none_of_the_port_then() {
        let tcp = bind(0).unwrap();
        let (port, stop) = (tcp.local_addr().unwrap().port(), CancellationToken::new());
        let process = Process::for_test("cart");
        let tasks = process.clone();
        let upgrade = move |mut request: axum::extract::Request| async move {
            let upgraded = hyper::upgrade::on(&mut request);
            tasks.spawn("echo", async move {
                let mut io = hyper_util::rt::TokioIo::new(upgraded.await?);
                let mut some = [0; 5];
                io.read_exact(&mut some).await?;
                io.write_all(&some).await?;
                Ok(())
            });
            let headers = [("connection", "upgrade"), ("upgrade", "echo")];
            (axum::http::StatusCode::SWITCHING_PROTOCOLS, headers)
        };
        let router = Router::new().route("/echo", get(upgrade)).route("/who", get(|| async { "here" }));
        let connections = ConnectionLimits { total: 1, per_address: 1 };
        let served = serve_within(Limits { connections, ..LIMITS }, tcp, router, process.clone(), stop.clone());
        let clients = async {
            let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let mut upgraded = socket;
            let head = "GET /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
            upgraded.write_all(head.as_bytes()).await.unwrap();
            let answer = seen(&mut upgraded, "\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("connection: upgrade"), "{answer}");
            let mut other = connect_from("127.0.0.1", port, "/who").await;
            assert!(seen(&mut other, "here").await.starts_with("HTTP/1.1 200"));
            stop.cancel();
            upgraded.write_all(b"hello").await.unwrap();
            assert_eq!(seen(&mut upgraded, "hello").await, "hello");
        };
        tokio::join!(served, clients);
        process.end().await;
    }

    async fn connect_from(address: &str, port: u16, request: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        let mut tcp = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        tcp.write_all(format!("GET {request} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        tcp
    }

    #[derive(Default)]
    struct BusyRequest {
        begun: Notify,
        ends: Notify,
    }

    /// A port for one connection.
    fn one_place(
        wait: Duration,
        request: &Arc<BusyRequest>,
    ) -> (u16, CancellationToken, impl Future<Output = ()> + use<>) {
        places(1, 1, wait, request)
    }

    /// A port for so many connections, and so many clients that wait.
    fn places(
        total: usize,
        waiting: usize,
        wait: Duration,
        request: &Arc<BusyRequest>,
    ) -> (u16, CancellationToken, impl Future<Output = ()> + use<>) {
        let tcp = bind(0).unwrap();
        let (port, stop) = (tcp.local_addr().unwrap().port(), CancellationToken::new());
        let request = request.clone();
        let busy = get(|| async move {
            request.begun.notify_one();
            request.ends.notified().await;
        });
        let router = Router::new().route("/who", get(|| async { "here" })).route("/busy", busy);
        let connections = ConnectionLimits { total, per_address: 1 };
        let limits = Limits { connections, newcomers: WaitLimits { waiting, wait }, ..LIMITS };
        (port, stop.clone(), serve_within(limits, tcp, router, Process::for_test("cart"), stop))
    }

    #[tokio::test]
    async fn one_that_waits_for_a_place_holds_up_none_that_is_answered_without() {
        let request = Arc::new(BusyRequest::default());
        let (port, stop, served) = one_place(Duration::from_mins(1), &request);
        let clients = async {
            let mut busy = connect_from("127.0.0.1", port, "/busy").await;
            request.begun.notified().await;
            let mut waiting = connect_from("127.0.0.2", port, "/who").await;
            let mut same_address = connect_from("127.0.0.1", port, "/who").await;
            assert!(seen(&mut same_address, "}").await.contains("TOO_MANY_CONNECTIONS"));
            let mut beyond = connect_from("127.0.0.3", port, "/who").await;
            let refused = seen(&mut beyond, "}").await;
            assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
            request.ends.notify_one();
            assert!(seen(&mut busy, "\r\n\r\n").await.starts_with("HTTP/1.1 200"));
            assert!(
                seen(&mut waiting, "here").await.starts_with("HTTP/1.1 200"),
                "has the place of the one that is idle"
            );
            stop.cancel();
        };
        tokio::join!(served, clients);
    }

    #[tokio::test]
    async fn one_that_waits_too_long_is_refused_with_an_answer_and_so_is_one_that_waits_at_the_end() {
        let request = Arc::new(BusyRequest::default());
        for wait in [Duration::from_millis(1), Duration::from_mins(1)] {
            let (port, stop, served) = one_place(wait, &request);
            let clients = async {
                let busy = connect_from("127.0.0.1", port, "/busy").await;
                request.begun.notified().await;
                let mut waiting = connect_from("127.0.0.2", port, "/who").await;
                if wait > Duration::from_secs(1) {
                    let mut beyond = connect_from("127.0.0.3", port, "/who").await;
                    assert!(seen(&mut beyond, "}").await.contains("TOO_MANY_CONNECTIONS"), "behind the one that waits");
                    stop.cancel();
                }
                assert!(seen(&mut waiting, "}").await.contains("TOO_MANY_CONNECTIONS"));
                stop.cancel();
                drop(busy);
            };
            tokio::join!(served, clients);
        }
    }

    #[tokio::test]
    async fn the_last_one_to_come_gets_the_next_place() {
        let request = Arc::new(BusyRequest::default());
        let (port, stop, served) = places(1, 2, Duration::from_mins(1), &request);
        let clients = async {
            let busy = connect_from("127.0.0.1", port, "/busy").await;
            request.begun.notified().await;
            let mut first = connect_from("127.0.0.2", port, "/who").await;
            let mut last = connect_from("127.0.0.3", port, "/who").await;
            let mut beyond = connect_from("127.0.0.4", port, "/who").await;
            assert!(seen(&mut beyond, "}").await.contains("TOO_MANY_CONNECTIONS"), "behind the two that wait");
            request.ends.notify_one();
            assert!(seen(&mut last, "here").await.starts_with("HTTP/1.1 200"));
            let unanswered = first.try_read(&mut [0; 1]).unwrap_err();
            assert_eq!(unanswered.kind(), std::io::ErrorKind::WouldBlock, "the first still waits");
            drop(last);
            assert!(seen(&mut first, "here").await.starts_with("HTTP/1.1 200"));
            stop.cancel();
            drop(busy);
        };
        tokio::join!(served, clients);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_client_of_a_burst_is_answered_by_a_process_that_is_busy_for_longer_than_an_idle_connection_stays() {
        const CLIENTS: u8 = 240;
        let tcp = bind(0).unwrap();
        let (port, stop) = (tcp.local_addr().unwrap().port(), CancellationToken::new());
        // Blocks a thread of the runtime, as the work of many requests does.
        let router = Router::new().route(
            "/who",
            get(|| async {
                std::thread::sleep(Duration::from_millis(10));
                "here"
            }),
        );
        let connections = ConnectionLimits { total: 60, per_address: 40 };
        let newcomers = WaitLimits { waiting: 60, wait: Duration::from_secs(1) };
        let limits = Limits { connections, newcomers, ..LIMITS };
        let served = serve_within(limits, tcp, router, Process::for_test("cart"), stop.clone());
        let clients = async {
            let ask = async |client: u8| {
                let mut tcp = connect_from(&format!("127.0.1.{client}"), port, "/who").await;
                let head = seen(&mut tcp, "\r\n\r\n").await;
                let refused = head.starts_with("HTTP/1.1 503") && head.contains("\r\nretry-after: 1\r\n");
                assert!(refused || head.starts_with("HTTP/1.1 200"), "client {client}: {head:?}");
                usize::from(refused)
            };
            let refused: usize = futures::future::join_all((1..=CLIENTS).map(ask)).await.into_iter().sum();
            assert!(refused < usize::from(CLIENTS) - 60, "{refused}: those that have a place are served");
            stop.cancel();
        };
        tokio::join!(served, clients);
    }

    #[tokio::test]
    async fn rs3_a_request_that_has_arrived_when_its_connection_is_closed_is_answered() {
        const REQUEST: &[u8] = b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n";
        let request = Arc::new(BusyRequest::default());
        let (port, stop, served) = places(1, 1, Duration::from_mins(1), &request);
        let clients = async {
            let mut idle = connect_from("127.0.0.1", port, "/who").await;
            assert!(seen(&mut idle, "here").await.starts_with("HTTP/1.1 200"));
            // Long enough to give way to the newcomer, which comes at the same moment as the request.
            tokio::time::sleep(Duration::from_millis(150)).await;
            let newcomer = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            assert_eq!(idle.try_write(REQUEST).unwrap(), REQUEST.len());
            let answer = seen(&mut idle, "here").await;
            assert!(answer.contains("TOO_MANY_CONNECTIONS") || answer.ends_with("here"), "{answer:?}");
            drop((idle, newcomer));

            let mut idle = connect_from("127.0.0.1", port, "/who").await;
            assert!(seen(&mut idle, "here").await.starts_with("HTTP/1.1 200"));
            assert_eq!(idle.try_write(REQUEST).unwrap(), REQUEST.len());
            stop.cancel();
            assert!(seen(&mut idle, "here").await.starts_with("HTTP/1.1 200"), "it came before the end");
        };
        tokio::join!(served, clients);
    }

    /// Serves its number on a port that it shares with others.
    fn replica(number: u8, port: u16, age: Duration) -> (u16, CancellationToken, impl Future<Output = ()>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseport(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        let (port, stop) = (socket.local_addr().unwrap().port(), CancellationToken::new());
        let tcp = socket.listen(BACKLOG).unwrap();
        let router = Router::new().route("/", get(move || async move { number.to_string() }));
        let limits = Limits { age, ..LIMITS };
        (port, stop.clone(), serve_within(limits, tcp, router, Process::for_test("cart"), stop))
    }

    #[tokio::test]
    async fn rs11_a_new_replica_gets_half_of_its_share_within_two_ages_of_a_connection_and_no_request_fails() {
        const CLIENTS: usize = 96;
        const AGE: Duration = Duration::from_millis(500);
        let (port, stop, first) = replica(1, 0, AGE);
        let (_, stop_second, second) = replica(2, port, AGE);
        // A connection without a request is closed at its age, here after 400 ms: an idle one is let go before.
        let client = reqwest::Client::builder().no_proxy().pool_idle_timeout(AGE / 5).build().unwrap();
        let ask = async || {
            let answer = client.get(format!("http://127.0.0.1:{port}/")).send().await.expect("an answer");
            answer.text().await.expect("its body")
        };
        let until = async |end: Instant| {
            let one = async || {
                let mut by_third = [0_u32; 2];
                while Instant::now() < end {
                    by_third[usize::from(ask().await == "3")] += 1;
                }
                by_third
            };
            let counts = futures::future::join_all((0..CLIENTS).map(|_| one())).await;
            counts.into_iter().fold([0, 0], |sum, of| [sum[0] + of[0], sum[1] + of[1]])
        };
        let clients = async {
            assert_eq!(until(Instant::now() + AGE / 2).await[1], 0);
            let (_, stop_third, third) = replica(3, port, AGE);
            let shares = async {
                let [others, third] = until(Instant::now() + AGE * 2).await;
                assert!(third * 6 >= others + third, "{third} of {} requests", others + third);
                [stop, stop_second, stop_third].iter().for_each(CancellationToken::cancel);
            };
            tokio::join!(third, shares);
        };
        tokio::join!(first, second, clients);
    }
}
