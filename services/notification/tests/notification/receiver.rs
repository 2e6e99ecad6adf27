//! A receiver of webhooks on this machine that misbehaves on request.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use agora_chassis::Process;
use agora_notification::clients::webhooks::sign;
use agora_vocab::Secret;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How a receiver treats a request that it has read.
#[derive(Clone, Debug)]
pub enum Behaviour {
    Answer(u16),
    /// An answer with a header.
    AnswerWith(u16, &'static str, String),
    /// A success that comes after this time.
    Slow(Duration),
    /// The connection ends without an answer.
    Lose,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// A receiver; clones share it.
#[derive(Clone)]
pub struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    /// The next ones; a success once there is none.
    behaviours: Arc<Mutex<VecDeque<Behaviour>>>,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// How many signatures the request has, and whether one is that of the secret.
    pub fn signatures(&self, secret: &str) -> (usize, bool) {
        let signatures: Vec<&str> = self.headers["webhook-signature"].split(' ').collect();
        let timestamp = self.headers["webhook-timestamp"].parse().unwrap();
        let expected = sign(&Secret::new(secret), self.id(), timestamp, &self.body).unwrap();
        (signatures.len(), signatures.contains(&expected.as_str()))
    }
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver =
            Self { port: listener.local_addr().unwrap().port(), received: Arc::default(), behaviours: Arc::default() };
        let (serving, process) = (receiver.clone(), Process::for_test("receiver"));
        process.clone().spawn("receiver", async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let serving = serving.clone();
                process.track(async move {
                    serving.serve(tcp).await;
                });
            }
            Ok(())
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// What the next requests get, in their order.
    pub fn behave(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.behaviours.lock().unwrap().extend(behaviours);
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The ids of what arrived, in the order of arrival.
    pub fn ids(&self) -> Vec<String> {
        self.received().iter().map(|received| received.id().to_owned()).collect()
    }

    async fn serve(&self, mut tcp: TcpStream) {
        let Some(received) = read(&mut tcp).await else { return };
        self.received.lock().unwrap().push(received);
        let behaviour = self.behaviours.lock().unwrap().pop_front().unwrap_or(Behaviour::Answer(200));
        let (status, header) = match behaviour {
            Behaviour::Answer(status) => (status, String::new()),
            Behaviour::AnswerWith(status, name, value) => (status, format!("{name}: {value}\r\n")),
            Behaviour::Slow(time) => {
                tokio::time::sleep(time).await;
                (200, String::new())
            }
            Behaviour::Lose => return,
        };
        let body = format!("answered {status}");
        let answer = format!("HTTP/1.1 {status} X\r\n{header}content-length: {}\r\n\r\n{body}", body.len());
        let _ = tcp.write_all(answer.as_bytes()).await;
    }
}

/// Reads one request. `None` if the connection ends before.
async fn read(tcp: &mut TcpStream) -> Option<Received> {
    let (mut bytes, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let headers: BTreeMap<String, String> = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            if body.len() >= headers["content-length"].parse().ok()? {
                return Some(Received { headers, body: body.to_owned() });
            }
        }
        match tcp.read(&mut some).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&some[..count]),
        }
    }
}
