//! Ways to send more than a client may: as many clients as one has headers, in other spellings, in bodies that are small for
//! what they become, in pages without an end.

use std::{
    io::Write as _,
    process::{Child, Stdio},
};

use agora_testkit::free_port;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use uuid::Uuid;

use crate::{
    family::Family,
    shop::{Process, comes_true},
    world::{self, World, text_of},
};

/// Requests that a process counted alone.
const UNSHARED: &str = "gateway_rate_limit_unshared_total";
/// The address that one client has behind the proxy.
const CLIENT: &str = "203.0.113.7";
/// Requests for products that it may send at once; one more follows after a minute.
const BURST: usize = 3;
const LIMITS: &str = r#"[{"name": "browsing", "key": "Address", "requestsPerMinute": 1, "burst": 3},
    {"name": "credentials", "key": "Address", "requestsPerMinute": 1, "burst": 2}]"#;

pub async fn attack(world: &World) -> Family {
    let mut family = Family::new("limits");
    let file = NamedTempFile::new().unwrap();
    file.as_file().write_all(LIMITS.as_bytes()).unwrap();
    let limited = Limited::start(world, &file).await;
    addresses(&limited, &mut family).await;
    credentials(&limited, &mut family).await;
    for (attack, request, status) in bodies(world) {
        family.expect(attack, status, world::answer(request).await.0);
    }
    pages(world, &mut family).await;
    family
}

/// A replica of the gateway behind one proxy, with limits.
struct Limited<'w> {
    world: &'w World,
    url: String,
    _process: Process,
}

impl<'w> Limited<'w> {
    async fn start(world: &'w World, limits: &NamedTempFile) -> Self {
        let (port, admin) = (free_port(), free_port());
        let mut command = world.shop.command(&["serve", "gateway"]);
        command.env("GATEWAY_PORT", port.to_string()).env("ADMIN_PORT", admin.to_string());
        command.env("TRUSTED_PROXIES", "1").env("RATE_LIMITS_FILE", limits.path()).stdin(Stdio::null());
        let process: Child = command.spawn().unwrap();
        let limited = Self { world, url: format!("http://127.0.0.1:{port}"), _process: Process(process) };
        let ready = format!("http://127.0.0.1:{admin}/readyz");
        let is_ready = async || world.shop.http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200);
        comes_true("the gateway with limits is ready", is_ready).await;
        limited.counts_in_redis(&format!("http://127.0.0.1:{admin}/metrics")).await;
        limited
    }

    /// Counts that a process begins by itself are forgotten once it counts in Redis.
    async fn counts_in_redis(&self, metrics: &str) {
        let (mut number, mut before) = (0, None);
        let shares = async || {
            number += 1;
            let address = format!("198.51.100.{}", number % 250 + 1);
            let get = self.request(Method::GET, "/api/v1/products").header("x-forwarded-for", address);
            world::answer(get).await;
            let shown = self.world.shop.http.get(metrics).send().await.unwrap().text().await.unwrap();
            let unshared = shown.lines().find_map(|line| line.strip_prefix(UNSHARED)).map(str::to_owned);
            let same = before.as_ref() == Some(&unshared);
            before = Some(unshared);
            same
        };
        comes_true("the gateway counts in Redis", shares).await;
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.world.shop.http.request(method, format!("{}{path}", self.url))
    }
}

/// A read of products with these headers.
fn products(limited: &Limited<'_>, headers: &[(&'static str, &str)]) -> RequestBuilder {
    let get = limited.request(Method::GET, "/api/v1/products");
    headers.iter().fold(get, |request, (name, value)| request.header(*name, *value))
}

/// One request more than the client may send, in all the ways in which it may look like that of another one.
fn disguised(limited: &Limited<'_>) -> Vec<(&'static str, RequestBuilder)> {
    let own = ("x-forwarded-for", CLIENT);
    let with = |headers: &[(&'static str, &str)]| products(limited, headers);
    let get = |path: &str| limited.request(Method::GET, path).header(own.0, own.1);
    let query = json!({ "query": "{ products { items { id } } }" });
    vec![
        ("one more", with(&[own])),
        ("another address before one's own", with(&[("x-forwarded-for", "198.51.100.1, 203.0.113.7")])),
        ("another address in a header before", with(&[("x-forwarded-for", "198.51.100.2"), own])),
        ("one's own address with a port", with(&[("x-forwarded-for", "203.0.113.7:4711")])),
        ("one's own address as IPv6", with(&[("x-forwarded-for", "::ffff:203.0.113.7")])),
        ("X-Real-IP", with(&[own, ("x-real-ip", "198.51.100.3")])),
        ("Forwarded", with(&[own, ("forwarded", "for=198.51.100.4")])),
        ("X-Client-IP", with(&[own, ("x-client-ip", "198.51.100.5"), ("true-client-ip", "198.51.100.5")])),
        ("CF-Connecting-IP", with(&[own, ("cf-connecting-ip", "198.51.100.6")])),
        ("X-Originating-IP", with(&[own, ("x-originating-ip", "127.0.0.1"), ("x-remote-ip", "127.0.0.1")])),
        ("another user agent", with(&[own, ("user-agent", "Googlebot/2.1")])),
        ("a token of an admin", with(&[own]).bearer_auth(&limited.world.admin)),
        ("HEAD", limited.request(Method::HEAD, "/api/v1/products").header(own.0, own.1)),
        ("a query", get("/api/v1/products?limit=1")),
        ("an invented query", get("/api/v1/products?x=1")),
        ("another route of the class", get("/api/v1/categories")),
        ("a path that no route has", get("/api/v1/product%73")),
        ("a compatibility route", get("/products")),
        ("GraphQL", limited.request(Method::POST, "/graphql").header(own.0, own.1).json(&query)),
    ]
}

async fn addresses(limited: &Limited<'_>, family: &mut Family) {
    for _ in 0..BURST {
        let allowed = products(limited, &[("x-forwarded-for", CLIENT)]);
        assert_eq!(world::answer(allowed).await.0, 200, "the client may send {BURST} requests");
    }
    for (attack, request) in disguised(limited) {
        family.expect(attack, 429, world::answer(request).await.0);
    }
    let other = products(limited, &[("x-forwarded-for", "203.0.113.8")]);
    assert_eq!(world::answer(other).await.0, 200, "another client is not limited");
}

/// Guesses of a password, by REST and by GraphQL in turn.
async fn credentials(limited: &Limited<'_>, family: &mut Family) {
    let (address, body) =
        ("203.0.113.9", json!({ "email": "shopper-1@example.com", "password": "wrong horse battery" }));
    let login = || limited.request(Method::POST, "/api/v1/auth/login").header("x-forwarded-for", address).json(&body);
    for _ in 0..2 {
        assert_eq!(world::answer(login()).await.0, 401);
    }
    family.expect("one more guess", 429, world::answer(login()).await.0);
    let alias = limited.request(Method::POST, "/auth/login").header("x-forwarded-for", address).json(&body);
    family.expect("a guess by a compatibility route", 429, world::answer(alias).await.0);
    let input = "{ email: \"shopper-1@example.com\", password: \"wrong\" }";
    let query = json!({ "query": format!("mutation {{ signin(input: {input}) {{ tokenType }} }}") });
    let graphql = limited.request(Method::POST, "/graphql").header("x-forwarded-for", address).json(&query);
    let (status, answer) = world::answer(graphql).await;
    let code = text_of(&answer["errors"][0]["extensions"]["code"]).to_owned();
    family.expect("a guess by GraphQL", (200, "RATE_LIMITED".to_owned()), (status, code));
    let refresh = limited.request(Method::POST, "/api/v1/auth/refresh").header("x-forwarded-for", address);
    family.expect("another route of credentials", 429, world::answer(refresh.json(&json!({}))).await.0);
}

/// Bodies of a login: larger than they may be, or than they look.
fn bodies(world: &World) -> Vec<(&'static str, RequestBuilder, u16)> {
    let post = || world.request(Method::POST, "/api/v1/auth/login");
    let json_body = |body: String| post().header("content-type", "application/json").body(body);
    let many = format!("{{\"email\":[{}0]}}", "0,".repeat(2_100));
    let deep = format!("{{\"email\":{}0{}}}", "[".repeat(200), "]".repeat(200));
    let pieces = futures::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 10])));
    let endless = post().header("content-type", "application/json").body(reqwest::Body::wrap_stream(pieces));
    let email = "a".repeat(4 << 10);
    vec![
        ("a large body", json_body(" ".repeat(16 << 10)), 413),
        ("a large body without a length", endless, 413),
        ("many values", json_body(many), 413),
        ("deep values", json_body(deep), 400),
        ("a bomb of gzip", json_body("{}".to_owned()).header("content-encoding", "gzip"), 415),
        ("nested encodings", json_body("{}".to_owned()).header("content-encoding", "gzip, gzip, gzip"), 415),
        ("another charset", json_body("\u{feff}{}".to_owned()), 400),
        ("duplicate members", json_body(r#"{"email":"a@b.c","email":"d@e.f","password":"x"}"#.to_owned()), 422),
        ("a long address", post().json(&json!({ "email": email, "password": "x" })), 401),
        ("an array for an object", json_body("[\"a@b.c\",\"x\"]".to_owned()), 422),
        ("NUL", post().json(&json!({ "email": "a\u{0}@b.c", "password": "x" })), 422),
        ("no JSON", json_body("email=a".to_owned()), 400),
    ]
}

async fn pages(world: &World, family: &mut Family) {
    let ids: Vec<String> = (0..101).map(|number| Uuid::from_u128(number).to_string()).collect();
    for (path, status) in [
        ("/products?limit=101".to_owned(), 422),
        ("/products?limit=0".to_owned(), 422),
        ("/products?limit=-1".to_owned(), 422),
        ("/products?limit=1e9".to_owned(), 400),
        ("/products?limit=99999999999999999999".to_owned(), 400),
        ("/products?limit=1&limit=100".to_owned(), 400),
        ("/orders?limit=101".to_owned(), 422),
        ("/orders?cursor=%25".to_owned(), 400),
        (format!("/orders?ids={}", ids.join(",")), 422),
        ("/payments?limit=101".to_owned(), 422),
        ("/notifications?limit=101".to_owned(), 422),
        (format!("/notifications?q={}", "a".repeat(201)), 422),
    ] {
        let shown: String = path.chars().take(60).collect();
        family.expect(shown, status, world.get(&path, &world.attacker).await.0);
    }
    let stock = world.post("/products/stock", &json!({ "ids": ids })).await.0;
    family.expect("the stock of too many products", 422, stock);
    let lines: Vec<Value> = ids.iter().map(|id| json!({ "productId": id, "quantity": 1 })).collect();
    family.expect("an order of too many lines", 422, world.post("/orders", &json!({ "items": lines })).await.0);
}
