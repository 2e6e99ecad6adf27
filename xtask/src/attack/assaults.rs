//! The attacks, each bounded in number and time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::client::{address, ask, connect, get, once, post, status};
use super::shop::Shop;

const JSON_ROUNDS: u32 = 10;
const JSON_AT_ONCE: u32 = 8;
const HEADS: u32 = 700;
const HEAD_BYTES: usize = 400 << 10;
const SOCKETS: u32 = 4_200;
/// Connections from one address.
const SOCKETS_OF_ONE: u32 = 50;
const SLOW_BODIES: u32 = 500;
const SLOW_MAX: Duration = Duration::from_secs(15);
const UPLOADS: u32 = 50;
const UPLOAD_BYTES: usize = 3 << 20;
const READS_AT_ONCE: u32 = 2_000;
const GUESSES_AT_ONCE: u32 = 400;
const GUESSING: Duration = Duration::from_secs(5);
const HONEST_LOGINS: u32 = 15;
const PASSWORD: &str = "correct horse battery";

const LOGIN: &str = "/api/v1/auth/login";

#[derive(Debug, Clone, Copy)]
pub enum Assault {
    Json,
    Heads,
    Sockets,
    SlowBodies,
    Uploads,
    Reads,
    Guesses,
}

/// What the attackers saw.
pub struct Outcome {
    pub text: String,
    /// Half of the honest logins took at most this, at rest and meanwhile.
    pub login: Option<(Duration, Duration)>,
}

/// How often each status came; `None` for a connection that ended without an answer.
type Statuses = BTreeMap<Option<u16>, usize>;

impl Assault {
    pub const ALL: [Self; 7] =
        [Self::Json, Self::Heads, Self::Sockets, Self::SlowBodies, Self::Uploads, Self::Reads, Self::Guesses];

    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON of many shapes, 8 at once",
            Self::Heads => "700 unfinished heads of 400 kB",
            Self::Sockets => "4,200 idle connections",
            Self::SlowBodies => "500 bodies of a byte a second",
            Self::Uploads => "50 uploads of 3 MB",
            Self::Reads => "2,000 reads at once",
            Self::Guesses => "400 wrong logins at once, repeated for 5 s",
        }
    }

    pub async fn run(self, shop: &Shop) -> Result<Outcome> {
        let to = shop.gateway;
        let seen = match self {
            Self::Json => json_shapes(to).await,
            Self::Heads => all(0..HEADS, |client| unfinished_head(client, to)).await,
            Self::Sockets => return idle_sockets(to).await,
            Self::SlowBodies => all(0..SLOW_BODIES, |client| slow_body(client, to)).await,
            Self::Uploads => all(0..UPLOADS, |client| upload(client, to)).await,
            Self::Reads => {
                let read = get("/api/v1/products?limit=20");
                all(0..READS_AT_ONCE, |client| once(address(client), to, &read)).await
            }
            Self::Guesses => return guesses(to).await,
        };
        Ok(Outcome { text: shown(&seen), login: None })
    }
}

fn shown(seen: &Statuses) -> String {
    let one = |(status, count): (&Option<u16>, &usize)| match status {
        Some(status) => format!("{count} × {status}"),
        None => format!("{count} × closed"),
    };
    seen.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// All clients at once.
async fn all<F: Future<Output = Option<u16>>>(
    clients: impl IntoIterator<Item = u32>,
    act: impl Fn(u32) -> F,
) -> Statuses {
    let mut seen = Statuses::new();
    for status in join_all(clients.into_iter().map(act)).await {
        *seen.entry(status).or_default() += 1;
    }
    seen
}

/// Bodies up to 1 MiB that are small for what they become in memory, as large as each route takes and larger.
fn shapes() -> Vec<String> {
    let sizes = [4 << 10, 8_000, 60_000, 1_000_000];
    let shape = |unit: &str, close: &str, bytes: usize| format!("[{}{close}]", unit.repeat(bytes / unit.len() - 1));
    let of_size = |bytes: usize| {
        [
            shape("{\"a\":{}},", "{}", bytes),
            shape("0,", "0", bytes),
            shape("[],", "[]", bytes),
            shape("\"\",", "\"\"", bytes),
            "[".repeat(bytes),
            "{\"a\":".repeat(bytes / 5),
            format!("{{\"email\":\"{}\"}}", "a".repeat(bytes - 12)),
            format!("{{\"email\":\"{}\"}}", "\\u0041".repeat(bytes / 6 - 2)),
        ]
    };
    sizes.into_iter().flat_map(of_size).collect()
}

async fn json_shapes(to: SocketAddr) -> Statuses {
    let mut seen = Statuses::new();
    for path in [LOGIN, "/auth/login", "/api/v1/products/stock", "/s3/users"] {
        for body in shapes() {
            let request = post(path, &body);
            for round in 0..JSON_ROUNDS {
                let clients = round * JSON_AT_ONCE..(round + 1) * JSON_AT_ONCE;
                for (status, count) in all(clients, |client| once(address(client), to, &request)).await {
                    *seen.entry(status).or_default() += count;
                }
            }
        }
    }
    seen
}

async fn unfinished_head(client: u32, to: SocketAddr) -> Option<u16> {
    let mut tcp = connect(address(client), to).await.ok()?;
    let head = format!("GET /api/v1/products HTTP/1.1\r\nhost: x\r\nx-long: {}", "x".repeat(HEAD_BYTES));
    ask(&mut tcp, head.as_bytes()).await
}

async fn slow_body(client: u32, to: SocketAddr) -> Option<u16> {
    let mut tcp = connect(address(client), to).await.ok()?;
    let head = post(LOGIN, &" ".repeat(4 << 10));
    let (head, _) = head.split_once("\r\n\r\n")?;
    tcp.write_all(format!("{head}\r\n\r\n").as_bytes()).await.ok()?;
    let (mut reading, mut writing) = tcp.into_split();
    let sending = async {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let answered = status(&mut reading);
    tokio::select! {
        status = answered => status,
        () = sending => None,
        () = tokio::time::sleep(SLOW_MAX) => None,
    }
}

async fn upload(client: u32, to: SocketAddr) -> Option<u16> {
    let mut tcp = connect(address(client), to).await.ok()?;
    // A client that only reads after it has sent everything: a reset before that is what it must not see.
    tcp.write_all(post(LOGIN, &"x".repeat(UPLOAD_BYTES)).as_bytes()).await.ok()?;
    status(&mut tcp).await
}

async fn idle_sockets(to: SocketAddr) -> Result<Outcome> {
    let read = get("/health");
    let mut kept = Vec::new();
    let mut seen = Statuses::new();
    for client in 0..SOCKETS {
        let mut tcp = connect(address(client / SOCKETS_OF_ONE * 256 + 1), to).await.context("a newcomer")?;
        *seen.entry(ask(&mut tcp, read.as_bytes()).await).or_default() += 1;
        kept.push(tcp);
    }
    // They stay while newcomers read.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(Outcome { text: shown(&seen), login: None })
}

async fn guesses(to: SocketAddr) -> Result<Outcome> {
    let account = |name: &str, password: &str| json!({"email": name, "password": password}).to_string();
    let mut honest = Vec::new();
    for client in 0..HONEST_LOGINS {
        let from = address(0x00f0_0000 + client * 256);
        let name = format!("honest{client}@example.com");
        let registered = once(from, to, &post("/api/v1/auth/register", &account(&name, PASSWORD))).await;
        ensure!(registered == Some(201), "an account could not be registered: {registered:?}");
        honest.push((from, post(LOGIN, &account(&name, PASSWORD))));
    }
    let at_rest = logins(to, &honest).await?;
    let guess = post(LOGIN, &account("victim@example.com", "wrong horse"));
    let guessing = async {
        let (started, mut seen) = (Instant::now(), Statuses::new());
        while started.elapsed() < GUESSING {
            for (status, count) in all(0..GUESSES_AT_ONCE, |client| once(address(client), to, &guess)).await {
                *seen.entry(status).or_default() += count;
            }
        }
        seen
    };
    let (seen, meanwhile) = tokio::join!(guessing, logins(to, &honest));
    let meanwhile = meanwhile?;
    let text = format!(
        "{}; half of the honest logins took {} ms at rest and {} ms meanwhile",
        shown(&seen),
        at_rest.as_millis(),
        meanwhile.as_millis()
    );
    Ok(Outcome { text, login: Some((at_rest, meanwhile)) })
}

/// Logs in once for each account, one after the other; returns the median.
async fn logins(to: SocketAddr, accounts: &[(IpAddr, String)]) -> Result<Duration> {
    let mut took = Vec::new();
    for (from, login) in accounts {
        let started = Instant::now();
        let status = once(*from, to, login).await;
        ensure!(status == Some(200), "an honest login was answered with {status:?}");
        took.push(started.elapsed());
    }
    took.sort();
    took.get(took.len() / 2).copied().context("no login")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_shown_with_their_counts() {
        assert_eq!(shown(&Statuses::from([(Some(413), 2), (None, 1)])), "1 × closed, 2 × 413");
    }

    #[test]
    fn no_shape_is_larger_than_a_mebibyte() {
        assert!(shapes().iter().all(|body| (1..=1 << 20).contains(&body.len())));
    }
}
