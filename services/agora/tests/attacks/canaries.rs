//! Secrets that a shop is given, searched for in everything that it writes afterwards: logs, spans and metrics that are
//! exported, every table of every database, every topic, commands to Redis, and the admin ports.

use std::{collections::BTreeMap, time::Duration};

use agora_kafka::{Config, ReadPositions, Reader};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::timeout;

use crate::{
    family::Family,
    shop::comes_true,
    world::{self, World, text_of},
};

const EMAIL: &str = "canary@example.com";
const PASSWORD: &str = "canary-3f81 zebra fjord";
const WRONG_PASSWORD: &str = "canary-77c2 wrong fjord";
const NEW_PASSWORD: &str = "canary-9d04 new fjord";
const LAST_PASSWORD: &str = "canary-b5e6 last fjord";
/// Test numbers of card schemes, as people write them.
const CARDS: [&str; 4] = ["4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"];
/// Settings whose values are secrets, by the end of their names.
const SECRET_SETTINGS: [&str; 4] = ["INTERNAL_SECRET", "ENCRYPTION_KEY", "ADMIN_PASSWORD", "_DATABASE_URL"];
/// Longest wait for the first message of all topics, and the time without one after which they are read to their ends.
const FIRST: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(2);
/// Messages of a partition that are read: more than a run writes.
const MESSAGES_MAX: u32 = 100_000;

/// What must be found nowhere, by what it is.
type Secrets = BTreeMap<String, String>;

/// What a shop writes to, and what was found there.
type Sinks = Vec<(String, String)>;

pub async fn search(world: &World) -> Family {
    let mut family = Family::new("secrets in logs, spans, metrics, tables, topics and Redis");
    let mut secrets = settings(world);
    let order = story(world, &mut secrets).await;
    cards(world, &mut secrets).await;
    settle(world, &order).await;
    let sinks = sinks(world).await;
    sees(world, &sinks, &order);
    for (what, secret) in &secrets {
        for (place, text) in &sinks {
            let found = forms(secret).into_iter().find(|form| text.contains(form.as_str()));
            family.expect(format!("{what} in {place}"), false, found.is_some());
        }
    }
    family
}

/// How a secret may be written: as it is, in an address, and as hexadecimal digits, like bytes of a table.
fn forms(secret: &str) -> [String; 3] {
    let digits = secret.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
    [secret.to_owned(), secret.replace(' ', "%20"), digits.collect()]
}

/// Secrets of the processes themselves, and the tokens of the users that attacked.
fn settings(world: &World) -> Secrets {
    let is_secret = |name: &str| SECRET_SETTINGS.iter().any(|end| name.ends_with(end));
    let mut secrets = Secrets::new();
    for (name, value) in world.shop.environment.iter().filter(|(name, _)| is_secret(name)) {
        let parts = if name.ends_with("INTERNAL_SECRET") {
            strings(&serde_json::from_str(value).expect("the keys of a service"))
        } else {
            // Of an address, the password.
            let login = value.split_once("://").and_then(|(_, rest)| Some(rest.split_once('@')?.0));
            vec![
                login
                    .and_then(|login| login.split_once(':'))
                    .map_or(value.as_str(), |(_, password)| password)
                    .to_owned(),
            ]
        };
        secrets.extend(parts.into_iter().enumerate().map(|(number, part)| (format!("{name} ({number})"), part)));
    }
    assert!(secrets.len() > 20, "settings with secrets: {:?}", secrets.keys());
    let pem = world.keys.signing_key_pem();
    let key = pem.lines().find(|line| !line.starts_with('-')).unwrap_or_default();
    secrets.insert("the key that signs tokens".to_owned(), key.to_owned());
    for (whose, token) in [("victim", &world.victim.token), ("attacker", &world.attacker), ("admin", &world.admin)] {
        secrets.insert(format!("the access token of the {whose}"), token.clone());
    }
    secrets
}

/// All texts in a JSON value.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(members) => members.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// A user registers, mistypes the password, resets it, changes it, buys, pays, returns; an admin adds a webhook. Returns the
/// id of the order.
async fn story(world: &World, secrets: &mut Secrets) -> String {
    let mut keep = |what: &str, secret: &str| {
        assert!(!secret.is_empty(), "{what}");
        secrets.insert(what.to_owned(), secret.to_owned());
    };
    for (what, password) in [
        ("a password", PASSWORD),
        ("a wrong password", WRONG_PASSWORD),
        ("a reset password", NEW_PASSWORD),
        ("a changed password", LAST_PASSWORD),
    ] {
        keep(what, password);
    }
    let account = |password: &str| json!({ "email": EMAIL, "password": password });
    assert_eq!(send(world, "/auth/register", None, account(PASSWORD)).await.0, 201);
    assert_eq!(send(world, "/auth/login", None, account(WRONG_PASSWORD)).await.0, 401);
    assert_eq!(send(world, "/auth/login", None, account(PASSWORD)).await.0, 200);
    let reset = mailed_token(world).await;
    keep("the token of a password reset", &reset);
    let confirm = json!({ "token": reset, "newPassword": NEW_PASSWORD });
    assert_eq!(send(world, "/auth/password-reset/confirm", None, confirm).await.0, 204);
    let (status, tokens) = send(world, "/auth/login", None, account(NEW_PASSWORD)).await;
    assert_eq!(status, 200, "{tokens}");
    let (status, renewed) = send(world, "/auth/refresh", None, json!({ "refreshToken": tokens["refreshToken"] })).await;
    assert_eq!(status, 200, "{renewed}");
    for (which, tokens) in [("first", &tokens), ("second", &renewed)] {
        keep(&format!("the {which} refresh token"), text_of(&tokens["refreshToken"]));
        keep(&format!("the {which} access token"), text_of(&tokens["accessToken"]));
    }
    let token = text_of(&renewed["accessToken"]);
    let change = json!({ "currentPassword": NEW_PASSWORD, "newPassword": LAST_PASSWORD });
    assert_eq!(send(world, "/users/me/password", Some(token), change).await.0, 204);
    // A client that sends its token in the wrong place.
    assert_eq!(world.get(&format!("/products?access_token={token}"), token).await.0, 400);
    let guest = world::answer(world.shop.http.post(format!("{}/api/v1/guest-carts", world.shop.gateway))).await.1;
    keep("the token of a guest's cart", text_of(&guest["cartToken"]));
    let endpoint = json!({ "url": "https://canary.example/hook", "active": false });
    let (status, webhook) = send(world, "/admin/webhooks", Some(&world.admin), endpoint).await;
    assert_eq!(status, 201, "{webhook}");
    keep("the secret of a webhook", text_of(&webhook["secret"]));
    bought_and_returned(world, token).await
}

/// Buys two units, of which one goes back. Returns the id of the order.
async fn bought_and_returned(world: &World, token: &str) -> String {
    let (buyer, admin) = (Some(token), Some(world.admin.as_str()));
    let units = |units: u32| json!([{ "productId": world.victim.product, "quantity": units }]);
    let address = json!({ "street": "Fjord 1", "city": "Oslo", "country": "NO" });
    let order = json!({ "items": units(2), "shippingAddress": address });
    let (status, order) = send(world, "/orders", buyer, order).await;
    assert_eq!(status, 201, "{order}");
    let id = text_of(&order["id"]);
    let pay = json!({ "orderId": id, "method": "card", "token": "tok_ok" });
    let (status, payment) = send(world, "/payments", buyer, pay).await;
    assert_eq!((status, text_of(&payment["orderStatus"])), (201, "paid"), "{payment}");
    let path = format!("/orders/{id}");
    let parcel = json!({ "items": units(2), "carrier": "Parcel Post" });
    let (status, shipped) = send(world, &format!("{path}/shipments"), admin, parcel).await;
    assert_eq!(status, 201, "{shipped}");
    let parcel = text_of(&shipped["shipments"][0]["id"]);
    assert_eq!(send(world, &format!("{path}/shipments/{parcel}/deliver"), admin, json!({})).await.0, 200);
    let back = json!({ "items": units(1), "reason": "It is too bright" });
    let (status, requested) = send(world, &format!("{path}/returns"), buyer, back).await;
    assert_eq!(status, 201, "{requested}");
    let returned = text_of(&requested["returns"][0]["id"]);
    assert_eq!(send(world, &format!("{path}/returns/{returned}/accept"), admin, json!({})).await.0, 200);
    let receive = json!({ "resellable": true });
    assert_eq!(send(world, &format!("{path}/returns/{returned}/receive"), admin, receive).await.0, 200);
    comes_true("the price of the unit goes back", async || {
        world.get(&path, token).await.1["paymentStatus"] == "partially_refunded"
    })
    .await;
    id.to_owned()
}

/// Card numbers in every kind of place that a client can write to.
async fn cards(world: &World, secrets: &mut Secrets) {
    for card in CARDS {
        secrets.insert(format!("the card number {card}"), card.to_owned());
        let product = &world.victim.product;
        let one = json!([{ "productId": product, "quantity": 1 }]);
        let address = json!({ "street": card, "city": "B", "country": "DE" });
        let payment = json!({ "orderId": world.victim.order, "method": "card", "token": card });
        for (path, body) in [
            ("/auth/login", json!({ "email": card, "password": "x" })),
            ("/users/me/addresses", address.clone()),
            ("/orders", json!({ "items": one, "shippingAddress": address })),
            ("/orders", json!({ "items": one, "couponCode": card })),
            ("/orders", json!({ "items": one, "payment": { "method": "card", "token": card } })),
            ("/payments", payment),
            ("/cart/items", json!({ "productId": product, "quantity": 1, "variant": card })),
        ] {
            let (status, answer) = world.post(path, &body).await;
            assert_eq!(status, 422, "{path} with a card number: {answer}");
            assert!(!answer.to_string().contains(card), "{path} repeats a card number");
        }
        let profile = world.request(Method::PUT, "/api/v1/users/me").bearer_auth(&world.attacker);
        let profile = world::answer(profile.json(&json!({ "name": card }))).await;
        assert_eq!(profile.0, 422, "{profile:?}");
        // None of these has such a thing, which is no reason to write it down.
        let in_path = card.replace(' ', "-");
        world.get(&format!("/products/{in_path}"), &world.attacker).await;
        world.get(&format!("/nowhere/{in_path}"), &world.attacker).await;
        world.get(&format!("/orders?cursor={in_path}"), &world.attacker).await;
        let header = world.request(Method::GET, "/api/v1/products").header("x-request-id", in_path.as_str());
        assert_eq!(world::answer(header).await.0, 422);
        let query = json!({ "query": format!("{{ order(id: \"{card}\") {{ id }} }}") });
        world::answer(world.request(Method::POST, "/graphql").bearer_auth(&world.attacker).json(&query)).await;
    }
    secrets.insert("a card number with hyphens".to_owned(), "4111-1111-1111-1111".to_owned());
}

async fn send(world: &World, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
    let request = world.request(Method::POST, &format!("/api/v1{path}")).json(&body);
    world::answer(if let Some(token) = token { request.bearer_auth(token) } else { request }).await
}

/// Requests a password reset; returns the token of the mail.
async fn mailed_token(world: &World) -> String {
    assert_eq!(send(world, "/auth/password-reset", None, json!({ "email": EMAIL })).await.0, 202);
    let mut token = String::new();
    comes_true("the mail with the token arrives", async || {
        let mails = world.shop.smtp.mails();
        let own = mails.iter().filter(|mail| mail.to.iter().any(|to| to.contains(EMAIL)));
        let texts =
            own.filter(|mail| mail.header("subject") == "Set a new password").map(|mail| mail.part("text/plain"));
        let found = texts.filter_map(|text| Some(text.split("token=").nth(1)?.split_whitespace().next()?.to_owned()));
        token = found.last().unwrap_or_default();
        !token.is_empty()
    })
    .await;
    token
}

/// Waits until what happened has arrived everywhere.
async fn settle(world: &World, order: &str) {
    for service in ["user", "catalog", "cart", "order", "payment"] {
        let sent = async || world.shop.number(service, "select count(*) from outbox").await == 0;
        comes_true(&format!("the events of {service} have left"), sent).await;
    }
    comes_true("the spans of the order have arrived", async || world.spans.text().contains(order)).await;
    // Longer than spans and metrics are held back.
    tokio::time::sleep(Duration::from_secs(6)).await;
}

async fn sinks(world: &World) -> Sinks {
    let log = std::fs::read(world.log.path()).unwrap();
    let mut sinks = vec![
        ("the logs".to_owned(), String::from_utf8_lossy(&log).into_owned()),
        ("exported spans and metrics".to_owned(), world.spans.text()),
        ("commands to Redis".to_owned(), world.commands.text()),
        ("the topics".to_owned(), topics(world).await),
    ];
    for (service, database) in &world.shop.databases {
        sinks.push((format!("the database of {service}"), tables(&database.admin_url()).await));
    }
    for (services, admin) in world.shop.layout.iter().zip(&world.shop.admins) {
        for path in ["metrics", "info", "readyz", "livez"] {
            let shown = world.shop.http.get(format!("http://{admin}/{path}")).send().await.unwrap();
            sinks.push((format!("/{path} of {}", services[0]), shown.text().await.unwrap()));
        }
    }
    sinks
}

/// All rows of all tables of a database, in every schema.
async fn tables(url: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables = "select format('%I.%I', schemaname, tablename) from pg_tables \
        where schemaname not in ('pg_catalog', 'information_schema')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    let mut all = String::new();
    for table in tables {
        let rows = format!("select r::text from {table} as r");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.unwrap();
        all.push_str(&table);
        rows.iter().for_each(|row| all.push_str(row));
    }
    all
}

/// All messages of all topics: keys, values and headers.
async fn topics(world: &World) -> String {
    let environment = &world.shop.environment;
    let config = Config::plain(&environment["KAFKA_BROKERS"], &environment["ISOLATION_KEY"]);
    let topics = agora_topology::all_topics();
    let reader = Reader::new(&config, "attacks", &topics, ReadPositions::default(), MESSAGES_MAX).unwrap();
    reader.assign().await.unwrap();
    let (mut all, mut patience) = (String::new(), FIRST);
    while let Ok(message) = timeout(patience, reader.recv()).await {
        let message = message.unwrap();
        patience = SILENCE;
        let headers = message.headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_slice()]);
        let parts = [message.key.as_deref().unwrap_or_default(), message.payload.as_slice()].into_iter().chain(headers);
        for part in parts {
            all.push_str(&String::from_utf8_lossy(part));
            all.push('\n');
        }
    }
    all
}

/// A search that finds nothing says something only of places where it finds what is there.
fn sees(world: &World, sinks: &Sinks, order: &str) {
    let known = [
        ("the logs", "/api/v1/orders"),
        ("exported spans and metrics", order),
        ("commands to Redis", world.shop.environment["ISOLATION_KEY"].as_str()),
        ("the topics", order),
        ("the database of user", EMAIL),
        ("the database of catalog", world.victim.product.as_str()),
        ("the database of cart", world.victim.product.as_str()),
        ("the database of order", order),
        ("the database of payment", order),
        ("the database of notification", world.victim.id.as_str()),
        ("the database of search", world.victim.product.as_str()),
        ("/metrics of gateway", "/api/v1/orders"),
    ];
    for (place, text) in known {
        let found = sinks.iter().find(|(name, _)| name == place).unwrap_or_else(|| panic!("{place} is not searched"));
        assert!(found.1.contains(text), "{place} does not contain {text}, which it must");
    }
}
