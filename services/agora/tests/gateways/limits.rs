//! Limits of requests: counted by all replicas together, and by each alone while Redis is away.

use std::collections::BTreeMap;

use agora_testkit::RedisServer;
use reqwest::{Method, Response};
use tempfile::NamedTempFile;

use super::{Gateway, Shop, fresh_address, until};

const PRODUCTS: &str = "/api/v1/products";
const UNSHARED: &str = "gateway_rate_limit_unshared_total";

/// A shop whose replicas have limits, and no broker.
struct Limited {
    shop: Shop,
    file: NamedTempFile,
    redis: RedisServer,
}

impl Limited {
    async fn open(isolation_key: &str, limits: &str) -> Self {
        let (redis, file) = (RedisServer::start(), NamedTempFile::new().unwrap());
        std::fs::write(file.path(), limits).unwrap();
        let mut shop = Shop::open(&redis.url(), "127.0.0.1:1", isolation_key).await;
        shop.environment.insert("RATE_LIMITS_FILE".to_owned(), file.path().to_str().unwrap().to_owned());
        Self { shop, file, redis }
    }

    /// A replica that counts in Redis. There must be a limit of browsing.
    async fn start(&self) -> Gateway {
        let gateway = self.shop.start().await;
        let (mut n, mut unshared) = (10_000, u64::MAX);
        let shares = async || {
            n += 1;
            self.get(&gateway, PRODUCTS, &fresh_address(n), "").await;
            let before = unshared;
            unshared = self.shop.metric(&gateway, UNSHARED).await;
            unshared == before
        };
        until("the gateway counts in Redis", shares).await;
        gateway
    }

    /// A request through a proxy that saw this address.
    async fn get(&self, gateway: &Gateway, path: &str, from: &str, token: &str) -> Response {
        self.send(Method::GET, gateway, path, from, token).await
    }

    async fn send(&self, method: Method, gateway: &Gateway, path: &str, from: &str, token: &str) -> Response {
        let mut request = self.shop.http.request(method, format!("http://{}{path}", gateway.address));
        request = request.header("x-forwarded-for", from);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap()
    }

    /// How many requests of each status there are among `count`, sent to the replicas in turn.
    async fn statuses(&self, gateways: &[&Gateway], count: usize, from: &str) -> BTreeMap<u16, usize> {
        let mut statuses = BTreeMap::new();
        for gateway in gateways.iter().cycle().take(count) {
            let status = self.get(gateway, PRODUCTS, from, "").await.status().as_u16();
            *statuses.entry(status).or_default() += 1;
        }
        statuses
    }
}

fn header(answer: &Response, name: &str) -> u64 {
    answer.headers()[name].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn gw6_two_replicas_share_the_count_of_an_address_which_a_client_cannot_change() {
    let limits = r#"[{"name": "browsing", "key": "Address", "requestsPerMinute": 1, "burst": 10}]"#;
    let shop = Limited::open("gw6-shared", limits).await;
    let (first, second) = (shop.start().await, shop.start().await);
    let begin = shop.get(&first, PRODUCTS, "203.0.113.7", "").await;
    assert_eq!((begin.status().as_u16(), header(&begin, "ratelimit-limit")), (200, 10));
    assert_eq!(header(&begin, "ratelimit-remaining"), 9);
    assert_eq!(begin.headers()["ratelimit-policy"], "1;w=60;burst=10");

    let statuses = shop.statuses(&[&first, &second], 20, "203.0.113.7").await;
    assert_eq!(statuses, BTreeMap::from([(200, 9), (429, 11)]), "ten with the first one");
    // What a client writes itself stands before what the proxy adds.
    let statuses = shop.statuses(&[&first, &second], 5, "198.51.100.1, 203.0.113.7").await;
    assert_eq!(statuses, BTreeMap::from([(429, 5)]));
    assert_eq!(shop.statuses(&[&second], 1, "203.0.113.8").await, BTreeMap::from([(200, 1)]));

    let refused = shop.get(&second, PRODUCTS, "203.0.113.7", "").await;
    let retry_after = header(&refused, "retry-after");
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    assert_eq!(header(&refused, "ratelimit-remaining"), 0);
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&"RATE_LIMITED".into(), &429.into()), "{problem}");
    assert!(shop.shop.metric(&second, "gateway_rate_limited_total{class=\"browsing\",key=\"address\"}").await > 0);
}

#[tokio::test]
async fn gw6_a_client_that_rotates_through_its_network_of_ipv6_is_one_client() {
    let limits = r#"[{"name": "browsing", "key": "Address", "requestsPerMinute": 1, "burst": 4}]"#;
    let shop = Limited::open("gw6-ipv6", limits).await;
    let gateway = shop.start().await;
    let mut refused = 0;
    for host in 0..10 {
        let from = format!("2001:db8:1:2:{host}::{host}");
        refused += usize::from(shop.get(&gateway, PRODUCTS, &from, "").await.status() == 429);
    }
    assert_eq!(refused, 6);
    assert_eq!(shop.get(&gateway, PRODUCTS, "2001:db8:1:3::1", "").await.status(), 200, "another network");
}

#[tokio::test]
async fn gw6_requests_are_counted_by_account_and_by_the_class_of_their_route() {
    let limits = r#"[{"name": "browsing", "key": "Address", "requestsPerMinute": 100},
                     {"name": "cart", "key": "User", "requestsPerMinute": 1, "burst": 2},
                     {"name": "credentials", "key": "Address", "requestsPerMinute": 1, "burst": 1}]"#;
    let shop = Limited::open("gw6-account", limits).await;
    let (first, second) = (shop.start().await, shop.start().await);
    let (one, other) = (shop.shop.token(1), shop.shop.token(2));
    let cart = async |gateway: &Gateway, from: &str, token: &str| {
        shop.get(gateway, "/api/v1/cart", from, token).await.status().as_u16()
    };
    assert_eq!([cart(&first, "203.0.113.1", &one).await, cart(&second, "203.0.113.2", &one).await], [200; 2]);
    assert_eq!(cart(&first, "203.0.113.3", &one).await, 429, "whatever its address is");
    assert_eq!(cart(&first, "203.0.113.3", &other).await, 200);
    let orders = shop.get(&first, "/api/v1/orders", "203.0.113.3", &one).await;
    assert_eq!(orders.status(), 200, "another class");
    let login = async |gateway: &Gateway, from: &str| {
        shop.send(Method::POST, gateway, "/api/v1/auth/login", from, "").await.status().as_u16()
    };
    assert_eq!([login(&first, "203.0.113.9").await, login(&second, "203.0.113.9").await], [201, 429]);
    assert_eq!(login(&second, "203.0.113.10").await, 201);
    let health = shop.get(&first, "/health", "203.0.113.9", "").await;
    assert!(!health.headers().contains_key("ratelimit-limit"), "a load balancer is not counted");
}

#[tokio::test]
async fn gw6_a_call_for_a_field_of_graphql_counts_like_a_request_of_its_route() {
    let limits = r#"[{"name": "browsing", "key": "Address", "requestsPerMinute": 100},
                     {"name": "credentials", "key": "Address", "requestsPerMinute": 1, "burst": 1}]"#;
    let shop = Limited::open("gw6-graphql", limits).await;
    let gateway = shop.start().await;
    let signin = async |from: &str| -> serde_json::Value {
        let query = r#"mutation { signin(input: { email: "ada@example.com", password: "x" }) { __typename } }"#;
        let request = shop.shop.http.post(format!("http://{}/graphql", gateway.address));
        let request = request.header("x-forwarded-for", from).json(&serde_json::json!({ "query": query }));
        let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        answer["errors"][0]["extensions"]["code"].clone()
    };
    // The service answers an object without tokens, which is no session.
    assert_eq!([signin("203.0.113.9").await, signin("203.0.113.9").await], ["INTERNAL", "RATE_LIMITED"]);
    assert_eq!(signin("203.0.113.10").await, "INTERNAL", "another address");
    let login = shop.send(Method::POST, &gateway, "/api/v1/auth/login", "203.0.113.10", "").await;
    assert_eq!(login.status(), 429, "counted together with REST");
    let read = shop.get(&gateway, "/api/v1/products", "203.0.113.9", "").await;
    assert_eq!(read.status(), 200);
}

#[tokio::test]
async fn gw6_each_replica_counts_for_itself_while_redis_is_away_and_with_the_others_afterwards() {
    let limits = r#"[{"name": "browsing", "key": "Address", "requestsPerMinute": 1, "burst": 3}]"#;
    let shop = Limited::open("gw6-away", limits).await;
    let (first, second) = (shop.start().await, shop.start().await);
    shop.redis.stop();
    for gateway in [&first, &second] {
        let statuses = shop.statuses(&[gateway], 5, "203.0.113.7").await;
        assert_eq!(statuses, BTreeMap::from([(200, 3), (429, 2)]), "no request fails because Redis is away");
        assert!(shop.shop.metric(gateway, UNSHARED).await > 0);
    }
    shop.redis.resume();
    let mut n = 0;
    let shared = async || {
        n += 1;
        shop.statuses(&[&first, &second], 6, &fresh_address(n)).await == BTreeMap::from([(200, 3), (429, 3)])
    };
    until("the replicas count together again", shared).await;
}

#[tokio::test]
async fn gw6_limits_are_taken_over_without_a_restart_and_unusable_ones_are_not() {
    let limit =
        |burst: u32| format!(r#"[{{"name": "browsing", "key": "Address", "requestsPerMinute": 1, "burst": {burst}}}]"#);
    let shop = Limited::open("gw6-file", &limit(2)).await;
    let gateway = shop.start().await;
    let shown = async |from: &str| header(&shop.get(&gateway, PRODUCTS, from, "").await, "ratelimit-limit");
    assert_eq!(shown("203.0.113.1").await, 2);
    std::fs::write(shop.file.path(), limit(7)).unwrap();
    let mut n = 0;
    until("the new limit holds", async || {
        n += 1;
        shown(&fresh_address(n)).await == 7
    })
    .await;
    std::fs::write(shop.file.path(), "[{}]").unwrap();
    until("the unusable file is reported", async || {
        let readiness = shop.shop.http.get(format!("{}/readyz", gateway.admin)).send().await.unwrap();
        readiness.text().await.unwrap().contains("RATE_LIMITS_FILE")
    })
    .await;
    assert_eq!(shown("203.0.113.2").await, 7);
}
