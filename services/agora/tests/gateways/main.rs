//! Replicas of the gateway, each a process, with a real Redis and a real Kafka: limits that they share, and live events.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod limits;
mod push;
mod stream_clients;

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use agora_testkit::{TestKeys, free_port};
use agora_vocab::{Role, UserId};
use axum::{
    Router,
    http::{Method, StatusCode},
    response::IntoResponse as _,
};
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Another address at each number.
fn fresh_address(n: u32) -> String {
    format!("198.51.{}.{}", n / 250, n % 250)
}

/// Timeout of every wait that has no limit of its own.
const PATIENCE: Duration = Duration::from_mins(1);

/// A replica, which is killed when it is dropped.
struct Gateway {
    process: Child,
    /// `127.0.0.1:<port>`
    address: String,
    admin: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What replicas have in common.
struct Shop {
    keys: TestKeys,
    http: reqwest::Client,
    environment: BTreeMap<String, String>,
    _jwks: NamedTempFile,
}

impl Shop {
    /// Every service is one that answers 200 to reads and 201 to commands.
    async fn open(redis: &str, brokers: &str, isolation_key: &str) -> Self {
        let keys = TestKeys::new();
        let (jwks, service) = (keys.jwks_file(), service().await);
        let mut environment: BTreeMap<String, String> = [
            ("JWKS_FILE", jwks.path().to_str().unwrap()),
            ("TOKEN_ISSUER", TestKeys::ISSUER),
            ("TOKEN_AUDIENCE", TestKeys::AUDIENCE),
            ("KAFKA_BROKERS", brokers),
            ("REDIS_URL", redis),
            ("ISOLATION_KEY", isolation_key),
            ("CORS_ORIGINS", "https://shop.example"),
            ("TRUSTED_PROXIES", "1"),
            ("RUST_LOG", "error"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for row in agora_topology::ALL.iter().filter(|row| row.behind_gateway) {
            environment.insert(format!("{}_URL", row.name.to_uppercase()), service.clone());
        }
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        Self { keys, http, environment, _jwks: jwks }
    }

    async fn start(&self) -> Gateway {
        let (port, admin_port) = (free_port(), free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_agora"));
        command.args(["serve", "gateway"]).envs(&self.environment).stdout(Stdio::null());
        command.env("PORT", port.to_string()).env("ADMIN_PORT", admin_port.to_string());
        let gateway = Gateway {
            process: command.spawn().unwrap(),
            address: format!("127.0.0.1:{port}"),
            admin: format!("http://127.0.0.1:{admin_port}"),
        };
        let ready = format!("{}/readyz", gateway.admin);
        until("the gateway is ready", async || {
            self.http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        gateway
    }

    fn token(&self, user: u128) -> String {
        self.keys.token(user_id(user), &[Role::Customer])
    }

    /// A number of the metrics of a replica; 0 if it was never counted.
    async fn metric(&self, gateway: &Gateway, series: &str) -> u64 {
        let shown = self.http.get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
        let line = shown.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |number| number.trim().parse().unwrap())
    }
}

fn user_id(user: u128) -> UserId {
    UserId::new(Uuid::from_u128(user))
}

#[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
async fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = |method: Method| async move {
        let status = if method == Method::POST { StatusCode::CREATED } else { StatusCode::OK };
        (status, agora_web::Json(json!({}))).into_response()
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    address
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
