//! A server behind a pooler that gives a session to each transaction is refused at the first probe.
#![expect(clippy::expect_used, reason = "what a test cannot do without ends it")]

use std::time::{Duration, Instant};

use agora_chassis::{Process, WatchedSecret};
use agora_postgres::{Config, connect};
use sqlx::migrate::Migrator;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

/// The process id of the one session that all connections of the pooler share.
const SHARED_PID: &str = "4711";

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// The answer to a simple query: one row for a `select`, nothing for a command.
fn answer(sql: &str) -> Vec<u8> {
    if !sql.contains("pg_backend_pid") {
        return [message(b'C', b"SET\0"), ready()].concat();
    }
    let column = [b"pid\0".as_slice(), &[0; 4], &[0; 2], &23_u32.to_be_bytes(), &[0, 4], &[0xFF; 4], &[0; 2]].concat();
    let length = u32::try_from(SHARED_PID.len()).expect("short");
    let value = [&length.to_be_bytes()[..], SHARED_PID.as_bytes()].concat();
    let rows =
        [message(b'T', &[&[0, 1], &column[..]].concat()), message(b'D', &[&[0, 1], &value[..]].concat())].concat();
    [rows, message(b'C', b"SELECT 1\0"), ready()].concat()
}

/// Speaks as much of the protocol as the probe uses.
async fn serve(mut client: TcpStream) -> std::io::Result<()> {
    let startup = client.read_u32().await?;
    client.read_exact(&mut vec![0; startup as usize - 4]).await?;
    let version = message(b'S', b"server_version\x0018.0\0");
    client.write_all(&[message(b'R', &[0; 4]), version, message(b'K', &[0; 8]), ready()].concat()).await?;
    loop {
        let kind = client.read_u8().await?;
        let length = client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).await?;
        match kind {
            b'Q' => client.write_all(&answer(&String::from_utf8_lossy(&body))).await?,
            b'S' => client.write_all(&ready()).await?,
            _ => return Ok(()),
        }
    }
}

#[tokio::test]
async fn a_transaction_pooler_is_refused_at_the_first_probe_and_named() {
    let pooler = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("postgres://u:p@{}/d?sslmode=disable", pooler.local_addr().expect("an address"));
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        let mut clients = tokio::task::JoinSet::new();
        while let Ok((client, _)) = pooler.accept().await {
            clients.spawn(serve(client));
        }
    });
    let process = Process::for_test("catalog");
    connect(&Config::new(WatchedSecret::fixed(url), 4, None), &MIGRATIONS, &process).await;

    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        let report = process.readiness();
        if report.gates.iter().any(|gate| gate.reason.contains("pool_mode=transaction")) {
            break;
        }
        assert!(Instant::now() < give_up, "{report:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process.end().await;
}
