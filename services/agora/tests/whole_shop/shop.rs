//! A shop: the services as processes, with real databases, a real broker, a real Redis and a real mail server. For the test
//! programs that need all services.

use std::{
    collections::BTreeMap,
    fs::File,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use agora_keyring::KeySet;
use agora_testkit::{MailServer, TestDatabase, TestKeys, free_port, mail_server};
use agora_vocab::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tempfile::NamedTempFile;

pub const ADMIN: (&str, &str) = ("admin@example.com", "a long enough password");
/// Timeout of every wait in these tests.
pub const PATIENCE: Duration = Duration::from_mins(1);
const SERVICES: [&str; 8] = ["user", "catalog", "cart", "order", "payment", "notification", "recommendation", "search"];
/// The key from which the keys of all calls between services are derived.
pub const INTERNAL_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The services in processes such that every call between them goes over HTTP.
pub const FOUR_PROCESSES: &[&[&str]] =
    &[&["gateway"], &["order"], &["cart"], &["user", "catalog", "payment", "notification", "recommendation", "search"]];

/// A process that is killed with SIGKILL, without graceful shutdown, when it is dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What differs between shops.
pub struct Plan {
    /// The services of each process.
    pub layout: &'static [&'static [&'static str]],
    /// Settings in addition to those of every shop, or in place of them.
    pub settings: BTreeMap<String, String>,
    /// Where the processes write their logs; `None`: errors go where those of the test go.
    pub log: Option<File>,
}

pub struct Shop {
    pub processes: Vec<Process>,
    /// The services of each process.
    pub layout: &'static [&'static [&'static str]],
    /// Host and port of the admin port of each process.
    pub admins: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub databases: BTreeMap<&'static str, TestDatabase>,
    pub gateway: String,
    pub http: reqwest::Client,
    pub shoppers: AtomicU64,
    pub smtp: MailServer,
    log: Option<File>,
    _files: [NamedTempFile; 2],
}

impl Shop {
    /// A shop whose access tokens are signed by `keys`.
    pub async fn open_with(keys: &TestKeys, plan: Plan) -> Self {
        let Plan { layout, settings, log } = plan;
        let brokers = agora_testkit::kafka().await;
        let (jwks, signing) = (keys.jwks_file(), NamedTempFile::new().unwrap());
        std::fs::write(signing.path(), keys.signing_key_pem()).unwrap();
        let mut databases = BTreeMap::new();
        for service in SERVICES {
            databases.insert(service, agora_testkit::postgres().await);
        }
        let port = free_port();
        let mut environment = environment(&brokers, [&jwks, &signing], port);
        if layout.len() > 1 {
            own_keys(&mut environment);
        }
        environment.insert("REDIS_URL".to_owned(), agora_testkit::redis().await);
        for (service, database) in &databases {
            environment.insert(format!("{}_DATABASE_URL", service.to_uppercase()), database.url());
        }
        let smtp = mail_server().await;
        let mail = [("HOST", "127.0.0.1".to_owned()), ("PORT", smtp.port().to_string()), ("TLS", "Disable".to_owned())];
        environment.extend(mail.map(|(name, value)| (format!("SMTP_{name}"), value)));
        environment.insert("SMTP_FROM".to_owned(), "Shop <shop@example.com>".to_owned());
        environment.extend(settings);
        let gateway = format!("http://127.0.0.1:{port}");
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).no_proxy().build().unwrap();
        let kafka = agora_kafka::Config::plain(&brokers, &environment["ISOLATION_KEY"]);
        agora_kafka::ensure_topics(&kafka, &agora_topology::all_topics(), 3).await.unwrap();
        let (processes, admins, shoppers, files) = (Vec::new(), Vec::new(), AtomicU64::new(0), [jwks, signing]);
        let mut shop = Self {
            processes,
            layout,
            admins,
            environment,
            databases,
            gateway,
            http,
            shoppers,
            smtp,
            log,
            _files: files,
        };
        let migrated = shop.command(&["migrate", "all"]).status().unwrap();
        assert!(migrated.success());
        shop.start().await;
        shop
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agora"));
        command.args(arguments).envs(&self.environment).stdout(Stdio::null());
        if let Some(log) = &self.log {
            command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
        }
        command
    }

    pub async fn start(&mut self) {
        self.admins.clear();
        for services in self.layout {
            let admin_port = free_port().to_string();
            let mut command = self.command(&[&["serve"], *services].concat());
            self.processes.push(Process(command.env("ADMIN_PORT", &admin_port).spawn().unwrap()));
            self.admins.push(format!("127.0.0.1:{admin_port}"));
            let admin = format!("http://127.0.0.1:{admin_port}/readyz");
            let ready = async || self.http.get(&admin).send().await.is_ok_and(|answer| answer.status() == 200);
            comes_true("the process is ready", ready).await;
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, Value) {
        self.try_send(method, path, token, key, body).await.expect("an answer")
    }

    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.gateway));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        Some((answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)))
    }

    pub async fn login(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password });
        let (status, tokens) = self.send(Method::POST, "/auth/login", "", None, Some(&body)).await;
        assert_eq!(status, 200, "{tokens}");
        tokens["accessToken"].as_str().unwrap().to_owned()
    }

    pub async fn shopper(&self) -> String {
        let email = format!("shopper-{}@example.com", self.shoppers.fetch_add(1, Ordering::Relaxed));
        let body = json!({ "email": email, "password": "correct horse battery" });
        let (status, user) = self.send(Method::POST, "/auth/register", "", None, Some(&body)).await;
        assert_eq!(status, 201, "{user}");
        assert!(!user.to_string().contains("argon2"), "no hash leaves the service");
        self.login(&email, "correct horse battery").await
    }

    pub async fn product(&self, stock: i64) -> String {
        let admin = self.login(ADMIN.0, ADMIN.1).await;
        let body = json!({ "name": "Lamp", "price": { "amount": 1999, "currency": "EUR" }, "stock": stock, "category": "Lighting" });
        let (status, product) = self.send(Method::POST, "/products", &admin, None, Some(&body)).await;
        assert_eq!(status, 201, "{product}");
        product["id"].as_str().unwrap().to_owned()
    }

    /// Runs a query that returns one number on a service's database.
    pub async fn number(&self, service: &str, statement: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.databases[service].url()).await.unwrap();
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
    }
}

/// The environment of `serve all` without database URLs.
fn environment(brokers: &str, [jwks, signing]: [&NamedTempFile; 2], gateway: u16) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = [
        ("JWKS_FILE", jwks.path().to_str().unwrap()),
        ("SIGNING_KEY_FILE", signing.path().to_str().unwrap()),
        ("TOKEN_ISSUER", TestKeys::ISSUER),
        ("TOKEN_AUDIENCE", TestKeys::AUDIENCE),
        ("INTERNAL_SECRET", INTERNAL_SECRET),
        ("ADMIN_EMAIL", ADMIN.0),
        ("ADMIN_PASSWORD", ADMIN.1),
        ("KAFKA_BROKERS", brokers),
        ("PAYMENT_PROVIDER", "Simulator"),
        ("ENCRYPTION_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("LEGACY_ALIASES", "Enabled"),
        ("DATABASE_POOL_SIZE", "5"),
        // Each of few shoppers orders in every round, and a killed process leaves orders unpaid for a while.
        ("ORDER_UNPAID_ORDERS_MAX", "1000"),
        ("RUST_LOG", "error"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    // The tests share a broker.
    environment.insert("ISOLATION_KEY".to_owned(), format!("shop-{gateway}"));
    environment.insert("GATEWAY_PORT".to_owned(), gateway.to_string());
    for service in SERVICES {
        let (public, internal, name) = (free_port(), free_port(), service.to_uppercase());
        environment.insert(format!("{name}_PORT"), public.to_string());
        environment.insert(format!("{name}_INTERNAL_PORT"), internal.to_string());
        environment.insert(format!("{name}_URL"), format!("http://127.0.0.1:{public}"));
        environment.insert(format!("{name}_INTERNAL_URL"), format!("http://127.0.0.1:{internal}"));
    }
    environment
}

/// Replaces the secret of all services by the keys of each service's own callers and callees, as the operator does.
fn own_keys(environment: &mut BTreeMap<String, String>) {
    let master = environment.remove("INTERNAL_SECRET").unwrap();
    let all = KeySet::parse(&Secret::new(master));
    for row in agora_topology::ALL.iter().filter(|row| row.reads("INTERNAL_SECRET")) {
        let tokens = agora_topology::OWN_TOKENS.contains(&row.name).then_some(row.name);
        let own = all.restricted(row.pairs(), agora_topology::LINKS.contains(&row.name), tokens);
        environment.insert(format!("{}_INTERNAL_SECRET", row.name.to_uppercase()), own.expose().to_owned());
    }
}

pub async fn comes_true(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
