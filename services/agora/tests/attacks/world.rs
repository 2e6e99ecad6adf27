//! The shop that is attacked, its users and what belongs to the one of them who is the victim.

use std::{
    collections::BTreeMap,
    fs::File,
    sync::atomic::{AtomicU64, Ordering},
};

use agora_api::{Method as RouteMethod, Route};
use agora_testkit::TestKeys;
use agora_vocab::{Role, UserId};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    shop::{ADMIN, FOUR_PROCESSES, Plan, Shop, comes_true},
    sinks::{Commands, Spans},
};

/// An id that nothing has.
pub const UNKNOWN: &str = "0192f0c1-0000-7000-8000-00000000dead";
/// The origin whose pages may read answers.
pub const ORIGIN: &str = "https://shop.example";

pub struct World {
    pub shop: Shop,
    pub keys: TestKeys,
    pub victim: Victim,
    /// Access token of a customer who is not the victim.
    pub attacker: String,
    /// The user id of the attacker.
    pub attacker_id: UserId,
    /// Access token of the first administrator.
    pub admin: String,
    /// Everything that the processes have logged.
    pub log: NamedTempFile,
    pub spans: Spans,
    pub commands: Commands,
    requests: AtomicU64,
}

/// A customer, and the ids of what is theirs.
pub struct Victim {
    pub token: String,
    pub id: String,
    pub product: String,
    pub address: String,
    pub session: String,
    pub cart_line: String,
    /// A paid order and its payment.
    pub order: String,
    pub payment: String,
    /// An order whose payment waits for its payer, and the challenge of the payment.
    pub challenge: String,
    pub notification: String,
}

impl World {
    pub async fn open() -> Self {
        let (keys, log, spans) = (TestKeys::new(), NamedTempFile::new().unwrap(), Spans::start().await);
        let commands = Commands::watch(&agora_testkit::redis().await).await;
        let settings = [
            ("RUST_LOG", "info".to_owned()),
            ("CORS_ORIGINS", ORIGIN.to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", spans.url()),
            ("PUBLIC_URL", ORIGIN.to_owned()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "2000".to_owned()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
        let plan = Plan { layout: FOUR_PROCESSES, settings, log: Some(File::create(log.path()).unwrap()) };
        let shop = Shop::open_with(&keys, plan).await;
        let (victim, attacker) = (Victim::in_shop(&shop).await, shop.shopper().await);
        let attacker_id = user_id(&shop, &attacker).await;
        let admin = shop.login(ADMIN.0, ADMIN.1).await;
        let requests = AtomicU64::new(0);
        Self { shop, keys, victim, attacker, attacker_id, admin, log, spans, commands, requests }
    }

    /// A token of an employee with this role alone.
    pub fn staff(&self, role: Role) -> String {
        self.keys.token(self.attacker_id, &[role])
    }

    /// A request to the gateway, with a new idempotency key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let key = format!("attack-{}", self.requests.fetch_add(1, Ordering::Relaxed));
        self.shop.http.request(method, format!("{}{path}", self.shop.gateway)).header("idempotency-key", key)
    }

    /// Sends a request of a route; a body goes with methods that have one.
    pub async fn ask(&self, route: Route, path: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
        let mut request = self.request(method(route.method), path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if matches!(route.method, RouteMethod::Post | RouteMethod::Put | RouteMethod::Patch) {
            request = request.json(body);
        }
        answer(request).await
    }

    /// Sends a body to a path below `/api/v1` with the token of the attacker.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(Method::POST, &format!("/api/v1{path}")).bearer_auth(&self.attacker).json(body)).await
    }

    /// The answer to a GET below `/api/v1` with this token.
    pub async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        answer(self.request(Method::GET, &format!("/api/v1{path}")).bearer_auth(token)).await
    }
}

impl Victim {
    async fn in_shop(shop: &Shop) -> Self {
        let (token, product) = (shop.shopper().await, shop.product(1000).await);
        let post = async |path: &str, key: &str, body: Value| {
            let (status, answer) = shop.send(Method::POST, path, &token, Some(key), Some(&body)).await;
            assert_eq!(status, 201, "{path}: {answer}");
            answer
        };
        let get = async |path: &str| shop.send(Method::GET, path, &token, None, None).await.1;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let items = json!({ "items": [{ "productId": product, "quantity": 1 }] });
        let address = json!({ "street": "Hidden 1", "city": "Berlin", "country": "DE" });
        let address = text(&post("/users/me/addresses", "address", address).await["id"]);
        let cart = post("/cart/items", "line", json!({ "productId": product, "quantity": 2 })).await;
        let order = post("/orders", "order", items.clone()).await;
        let pay = |order: &Value, token: &str| json!({ "orderId": order["id"], "method": "card", "token": token });
        let payment = post("/payments", "pay", pay(&order, "tok_ok")).await;
        assert_eq!(payment["status"], "captured", "{payment}");
        let second = post("/orders", "second", items).await;
        let waiting = post("/payments", "wait", pay(&second, "tok_action_required")).await;
        let challenge = text(&waiting["nextAction"]["url"]).rsplit('/').next().unwrap_or_default().to_owned();
        let mut notification = String::new();
        comes_true("the victim has a notification", async || {
            let list = get("/notifications").await;
            text_of(&list["items"][0]["id"]).clone_into(&mut notification);
            !notification.is_empty()
        })
        .await;
        let session = text(&get("/users/me/sessions").await["items"][0]["id"]);
        Self {
            id: user_id(shop, &token).await.to_string(),
            product,
            address,
            session,
            cart_line: text(&cart["items"][0]["id"]),
            order: text(&order["id"]),
            payment: text(&payment["id"]),
            challenge,
            notification,
            token,
        }
    }

    /// The path of a route with ids of the victim for its parameters; `None` if it has a parameter for which the victim has
    /// nothing.
    pub fn path(&self, route: Route) -> Option<String> {
        let own = self.ids();
        let known = own.iter().filter(|(prefix, _)| route.path.starts_with(**prefix));
        let (_, id) = known.max_by_key(|(prefix, _)| prefix.len())?;
        Some(filled(route, id))
    }

    /// Beginnings of paths, up to the first parameter, and the id of the victim that stands for it.
    fn ids(&self) -> BTreeMap<&'static str, &str> {
        [
            ("/api/v1/users/{", self.id.as_str()),
            ("/api/v1/admin/users/{", self.id.as_str()),
            ("/api/v1/products/{", self.product.as_str()),
            ("/api/v1/users/me/addresses/{", self.address.as_str()),
            ("/api/v1/users/me/sessions/{", self.session.as_str()),
            ("/api/v1/cart/items/{", self.cart_line.as_str()),
            ("/api/v1/orders/{", self.order.as_str()),
            ("/api/v1/payments/{", self.payment.as_str()),
            ("/api/v1/payments/challenges/{", self.challenge.as_str()),
            ("/api/v1/notifications/{", self.notification.as_str()),
        ]
        .into()
    }
}

/// The path of a route with `first` for its first parameter and an id that nothing has for the others.
pub fn filled(route: Route, first: &str) -> String {
    let mut values = std::iter::once(first).chain(std::iter::repeat(UNKNOWN));
    let segments = route.path.split('/').map(|segment| {
        let value = if segment.starts_with('{') { values.next() } else { None };
        value.unwrap_or(segment)
    });
    segments.collect::<Vec<_>>().join("/")
}

pub fn method(method: RouteMethod) -> Method {
    match method {
        RouteMethod::Get => Method::GET,
        RouteMethod::Post => Method::POST,
        RouteMethod::Put => Method::PUT,
        RouteMethod::Patch => Method::PATCH,
        RouteMethod::Delete => Method::DELETE,
    }
}

/// Status and body; `Null` if the body is no JSON.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

pub fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn user_id(shop: &Shop, token: &str) -> UserId {
    let (status, user) = shop.send(Method::GET, "/users/me", token, None, None).await;
    assert_eq!(status, 200, "{user}");
    text_of(&user["id"]).parse().unwrap()
}
