//! A service that records requests, and a readable log.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use serde_json::json;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    time::{sleep, timeout},
};

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Responds to a call; `None` for the default response.
pub type Answer = fn(&Call) -> Option<Response>;

#[derive(Clone)]
struct Shared {
    calls: Arc<Mutex<Vec<Call>>>,
    go_on: Arc<Notify>,
    answer: Answer,
}

/// A service on a socket of its own.
pub struct Upstream {
    port: u16,
    shared: Shared,
}

impl Upstream {
    pub async fn start() -> Self {
        Self::answering(|_| None).await
    }

    pub async fn answering(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(&listener.local_addr().unwrap(), answer, async { listener })
    }

    /// Reads the first requests and closes their connections without an answer.
    pub async fn that_hangs_up_on_the_first(requests: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(&listener.local_addr().unwrap(), |_| None, async move {
            for _ in 0..requests {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let mut some = [0; 64];
                assert!(tcp.read(&mut some).await.unwrap() > 0);
            }
            listener
        })
    }

    /// Answers no attempt to connect for this time, like the address of a deleted pod: the system drops attempts while the
    /// queue of a listener is full.
    pub async fn silent_for(time: Duration) -> Self {
        const DROPPED_AFTER: Duration = Duration::from_millis(100);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(tcp) = timeout(DROPPED_AFTER, TcpStream::connect(address)).await {
            queue.push(tcp.unwrap());
        }
        Self::serve(&address, |_| None, async move {
            sleep(time).await;
            drop(queue);
            listener
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    fn serve(
        address: &SocketAddr,
        answer: Answer,
        listener: impl Future<Output = TcpListener> + Send + 'static,
    ) -> Self {
        let shared = Shared { calls: Arc::default(), go_on: Arc::default(), answer };
        let router = Router::new().fallback(note).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener.await, router).await });
        Self { port: address.port(), shared }
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// Removes and returns the calls so far as "GET /path".
    pub fn take(&self) -> Vec<String> {
        let calls = std::mem::take(&mut *self.shared.calls.lock().unwrap());
        calls.into_iter().map(|call| format!("{} {}", call.method, call.target)).collect()
    }

    /// Ends a slow response.
    pub fn go_on(&self) {
        self.shared.go_on.notify_one();
    }
}

async fn note(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // A body that ends early is not recorded.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let call = Call {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let answer = (shared.answer)(&call);
    let slow = call.target.ends_with("/slow");
    let command = call.method == "POST";
    shared.calls.lock().unwrap().push(call);
    match answer {
        Some(answer) => answer,
        None if slow => slowly(shared.go_on),
        None if command => made(),
        None => agora_web::Json(json!({ "made": false })).into_response(),
    }
}

fn made() -> Response {
    (StatusCode::CREATED, [("location", "/api/v1/orders/made")], agora_web::Json(json!({ "made": true })))
        .into_response()
}

/// Sends the first part at once, the second when notified.
fn slowly(go_on: Arc<Notify>) -> Response {
    let first = futures::stream::once(async { Ok::<_, io::Error>("first") });
    let second = futures::stream::once(async move {
        go_on.notified().await;
        Ok("second")
    });
    Body::from_stream(first.chain(second)).into_response()
}

/// Collects log lines.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Log lines of the whole process from now on. A thread's own subscriber is not enough: `tracing` caches a callsite's
    /// interest for all threads.
    pub fn of_all_tests() -> Self {
        static LOG: LazyLock<Log> = LazyLock::new(|| {
            let log = Log::default();
            let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
            tracing::subscriber::set_global_default(lines.finish()).unwrap();
            log
        });
        LOG.clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
