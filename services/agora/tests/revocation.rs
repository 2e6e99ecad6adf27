//! Ended sessions, with the services as processes of their own and a real Redis: refused everywhere within two seconds.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use agora_testkit::{RedisServer, TestDatabase, TestKeys, free_port};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// Time in which every service refuses the tokens of an ended session.
const REVOKED_WITHIN: Duration = Duration::from_secs(2);
/// Timeout of every other wait.
const PATIENCE: Duration = Duration::from_mins(1);
const PASSWORD: &str = "correct horse battery";
const ADMIN: &str = "admin@example.com";

/// A process that is killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Gateway, user and cart, each a process; no broker.
struct Shop {
    redis: RedisServer,
    gateway: String,
    /// Public port of the cart, which no session ends at.
    cart: String,
    http: reqwest::Client,
    _processes: Vec<Process>,
    _databases: [TestDatabase; 2],
    _files: [NamedTempFile; 2],
}

struct Login {
    access: String,
    refresh: Value,
}

impl Shop {
    async fn open() -> Self {
        let (redis, keys) = (RedisServer::start(), TestKeys::new());
        let (jwks, signing) = (keys.jwks_file(), NamedTempFile::new().unwrap());
        std::fs::write(signing.path(), keys.signing_key_pem()).unwrap();
        let databases = [agora_testkit::postgres().await, agora_testkit::postgres().await];
        let ports = ["gateway", "user", "cart"].map(|service| (service, free_port()));
        let mut environment: BTreeMap<String, String> = [
            ("JWKS_FILE", jwks.path().to_str().unwrap()),
            ("SIGNING_KEY_FILE", signing.path().to_str().unwrap()),
            ("INTERNAL_SECRET", "0123456789abcdef0123456789abcdef"),
            ("ADMIN_EMAIL", ADMIN),
            ("ADMIN_PASSWORD", PASSWORD),
            ("KAFKA_BROKERS", "127.0.0.1:1"),
            ("REDIS_URL", redis.url().as_str()),
            ("USER_DATABASE_URL", databases[0].url().as_str()),
            ("CART_DATABASE_URL", databases[1].url().as_str()),
            ("CATALOG_INTERNAL_URL", "http://127.0.0.1:1"),
            ("RUST_LOG", "error"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for service in agora_topology::ALL.iter().filter(|service| service.behind_gateway) {
            let port = ports.iter().find(|(name, _)| *name == service.name).map_or(1, |(_, port)| *port);
            environment.insert(format!("{}_URL", service.name.to_uppercase()), format!("http://127.0.0.1:{port}"));
        }
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).no_proxy().build().unwrap();
        let migrated = command(&["migrate", "user", "cart"], &environment).status().unwrap();
        assert!(migrated.success());
        let mut processes = Vec::new();
        for (service, port) in ports {
            let (admin, internal) = (free_port().to_string(), free_port().to_string());
            let mut serve = command(&["serve", service], &environment);
            serve.env("PORT", port.to_string()).env("ADMIN_PORT", &admin).env("INTERNAL_PORT", internal);
            processes.push(Process(serve.spawn().unwrap()));
            let ready = format!("http://127.0.0.1:{admin}/readyz");
            until("the process is ready", PATIENCE, async || {
                http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200)
            })
            .await;
        }
        let [gateway, _, cart] = ports.map(|(_, port)| format!("http://127.0.0.1:{port}/api/v1"));
        let (processes, databases, files) = (processes, databases, [jwks, signing]);
        Self { redis, gateway, cart, http, _processes: processes, _databases: databases, _files: files }
    }

    async fn send(&self, method: Method, url: String, token: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    async fn login(&self, email: &str) -> Login {
        let body = json!({ "email": email, "password": PASSWORD });
        let (status, tokens) = self.send(Method::POST, format!("{}/auth/login", self.gateway), "", Some(body)).await;
        assert_eq!(status, 200, "{tokens}");
        Login { access: tokens["accessToken"].as_str().unwrap().to_owned(), refresh: tokens["refreshToken"].clone() }
    }

    async fn register(&self, email: &str) {
        let body = json!({ "email": email, "password": PASSWORD });
        let (status, user) = self.send(Method::POST, format!("{}/auth/register", self.gateway), "", Some(body)).await;
        assert_eq!(status, 201, "{user}");
    }

    async fn logout(&self, login: &Login) {
        let body = json!({ "refreshToken": login.refresh });
        assert_eq!(self.send(Method::POST, format!("{}/auth/logout", self.gateway), "", Some(body)).await.0, 204);
    }

    /// Status of the shopper's cart: by the gateway, and by the cart's own port.
    async fn carts(&self, login: &Login) -> [u16; 2] {
        let by_gateway = self.send(Method::GET, format!("{}/cart", self.gateway), &login.access, None).await;
        let directly = self.send(Method::GET, format!("{}/cart", self.cart), &login.access, None).await;
        [by_gateway.0, directly.0]
    }

    async fn refused_within(&self, time: Duration, login: &Login) {
        until("both refuse the token of the ended session", time, async || self.carts(login).await == [401, 401]).await;
    }
}

fn command(arguments: &[&str], environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agora"));
    command.args(arguments).envs(environment).stdout(Stdio::null());
    command
}

async fn until(what: &str, time: Duration, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < time, "{what}: not within {time:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn id7_an_ended_session_is_refused_everywhere_within_two_seconds_whatever_happens_to_redis() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let (stays, out, listed) =
        (shop.login("ada@example.com").await, shop.login("ada@example.com").await, shop.login("ada@example.com").await);
    assert_eq!(shop.carts(&stays).await, [200, 200]);
    assert_eq!(shop.carts(&out).await, [200, 200]);

    shop.logout(&out).await;
    shop.refused_within(REVOKED_WITHIN, &out).await;

    // The user blocks a device from another one.
    let sessions = format!("{}/users/me/sessions", shop.gateway);
    let (_, all) = shop.send(Method::GET, sessions.clone(), &listed.access, None).await;
    let id = all["items"].as_array().unwrap().iter().find(|one| one["current"] == true).unwrap()["id"].clone();
    let ended = shop.send(Method::DELETE, format!("{sessions}/{}", id.as_str().unwrap()), &stays.access, None).await;
    assert_eq!(ended.0, 204);
    shop.refused_within(REVOKED_WITHIN, &listed).await;
    assert_eq!(shop.carts(&stays).await, [200, 200]);

    // Without Redis shoppers go on shopping, and what is known stays known.
    let late = shop.login("ada@example.com").await;
    shop.redis.stop();
    assert_eq!(shop.carts(&stays).await, [200, 200]);
    assert_eq!(shop.carts(&out).await, [401, 401]);
    shop.logout(&late).await;
    assert_eq!(shop.carts(&late).await, [200, 200], "accepted until Redis is back or the token expires");
    let new = shop.login("ada@example.com").await;
    assert_eq!(shop.carts(&new).await, [200, 200]);

    // The server comes back empty.
    shop.redis.resume();
    shop.refused_within(PATIENCE, &late).await;
    assert_eq!(shop.carts(&out).await, [401, 401]);
    assert_eq!(shop.carts(&new).await, [200, 200]);
    shop.logout(&new).await;
    shop.refused_within(REVOKED_WITHIN, &new).await;
}

#[tokio::test]
async fn id7_a_blocked_user_is_refused_everywhere_within_two_seconds() {
    let shop = Shop::open().await;
    shop.register("eve@example.com").await;
    let (admin, eve) = (shop.login(ADMIN).await, shop.login("eve@example.com").await);
    assert_eq!(shop.carts(&eve).await, [200, 200]);
    let (_, page) = shop.send(Method::GET, format!("{}/admin/users?limit=1", shop.gateway), &admin.access, None).await;
    let path = format!("{}/admin/users/{}/status", shop.gateway, page["items"][0]["id"].as_str().unwrap());
    let blocked = shop.send(Method::PUT, path, &admin.access, Some(json!({ "status": "blocked" }))).await;
    assert_eq!((blocked.0, &blocked.1["email"]), (200, &json!("eve@example.com")));
    shop.refused_within(REVOKED_WITHIN, &eve).await;
    assert_eq!(shop.carts(&admin).await, [200, 200]);
}
