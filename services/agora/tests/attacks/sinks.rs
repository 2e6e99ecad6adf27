//! Where what a shop knows may end up outside of it or for long: spans and metrics that are exported, and commands to Redis.
//! Each is kept as it arrived, and searched as text.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, body::Bytes, extract::DefaultBodyLimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Bytes that were received, in the order of arrival.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<u8>>>);

impl Received {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }
}

/// A receiver of OTLP over gRPC, which accepts everything. Texts are in the messages as they are.
pub struct Spans {
    address: SocketAddr,
    received: Received,
}

impl Spans {
    /// Answers each call with an empty message and success.
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    pub async fn start() -> Self {
        /// The frame of an empty message: not compressed, 0 bytes.
        const EMPTY: [u8; 5] = [0; 5];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, received) = (listener.local_addr().unwrap(), Received::default());
        let stored = received.clone();
        let export = move |body: Bytes| {
            stored.lock().extend_from_slice(&body);
            async { ([("content-type", "application/grpc"), ("grpc-status", "0")], EMPTY.to_vec()) }
        };
        let router = Router::new().fallback(export).layer(DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn text(&self) -> String {
        self.received.text()
    }
}

/// Every command that Redis executes, of all clients.
pub struct Commands(Received);

impl Commands {
    /// Records from now on. `url` is `redis://<host>:<port>`.
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of the test")]
    pub async fn watch(url: &str) -> Self {
        let mut redis = TcpStream::connect(url.trim_start_matches("redis://")).await.unwrap();
        redis.write_all(b"MONITOR\r\n").await.unwrap();
        let received = Received::default();
        let stored = received.clone();
        tokio::spawn(async move {
            let mut some = vec![0; 16 << 10];
            while let Ok(read @ 1..) = redis.read(&mut some).await {
                stored.lock().extend_from_slice(&some[..read]);
            }
        });
        Self(received)
    }

    pub fn text(&self) -> String {
        self.0.text()
    }
}
