//! Live events of a user, from a real broker to clients of several replicas.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use agora_chassis::Process;
use agora_events::{Event, order::OrderEvent, topics};
use agora_kafka::{Outgoing, Producer, ensure_topics};
use agora_redis::{Redis, RevokedSession};
use agora_testkit::{RedisServer, TestKeys, envelope, message_id};
use agora_vocab::{Role, SessionId};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Gateway, Shop,
    stream_clients::{EventSource, Socket},
    until, user_id,
};

/// The gauge of open streams.
const OPEN: &str = "gateway_stream_open";
/// Time in which a stream ends whose session has ended.
const REVOKED_WITHIN: Duration = Duration::from_secs(2);

/// A shop with a broker.
struct Pushing {
    shop: Shop,
    producer: Producer,
    redis: RedisServer,
}

impl Pushing {
    async fn open(isolation_key: &str) -> Self {
        let (redis, brokers) = (RedisServer::start(), agora_testkit::kafka().await);
        let config = agora_kafka::Config::plain(&brokers, isolation_key);
        ensure_topics(&config, agora_topology::GATEWAY.consumes, 3).await.unwrap();
        let shop = Shop::open(&redis.url(), &brokers, isolation_key).await;
        Self { shop, producer: Producer::new(&config), redis }
    }

    /// A replica that reads the topics: it has sent a first event to a client.
    async fn start(&self) -> Gateway {
        const NOBODY: u128 = 999;
        let gateway = self.shop.start().await;
        let mut probe = EventSource::connect(&self.shop, &gateway, &self.shop.token(NOBODY), None).await;
        let mut n = message_id(0).as_u128();
        until("the gateway reads events", async || {
            n += 1;
            self.publish(Uuid::from_u128(n), NOBODY, 1).await;
            !probe.is_silent().await
        })
        .await;
        gateway
    }

    /// Writes that an order of the user was paid. All of one user are in one partition.
    async fn publish(&self, id: Uuid, user: u128, lines: usize) {
        self.producer.send_all(&[message(id, user, lines)]).await.unwrap();
    }
}

fn message(id: Uuid, user: u128, lines: usize) -> Outgoing {
    let key = user_id(user).to_string();
    let payload = serde_json::to_vec(&envelope(id, key.as_str(), &paid(user, lines))).unwrap();
    Outgoing { topic: topics::ORDER.name().to_owned(), key, payload, trace: None }
}

fn paid(user: u128, lines: usize) -> OrderEvent {
    let line = json!({
        "productId": Uuid::from_u128(4), "variant": "", "name": "Lamp ".repeat(100), "quantity": 1,
        "price": {"amount": 1999, "currency": "EUR"}, "category": null, "sellerId": Uuid::from_u128(5),
    });
    let data = json!({
        "orderId": Uuid::from_u128(2), "number": "A-1000001", "userId": user_id(user), "cartId": null, "hold": 1,
        "paymentId": null, "status": "paid", "paymentStatus": "paid", "items": vec![line; lines],
        "total": {"amount": 1999, "currency": "EUR"},
    });
    let data = serde_json::value::to_raw_value(&data).unwrap();
    OrderEvent::from_parts("order.paid", &data).unwrap().unwrap()
}

fn id(n: u64) -> Uuid {
    message_id(1_000_000 + n)
}

fn ids(values: &[Value]) -> Vec<String> {
    values.iter().map(|value| value["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn gw18_every_replica_sends_a_user_their_events_and_no_other_users() {
    let shop = Pushing::open("gw18-all").await;
    let (first, second) = (shop.start().await, shop.start().await);
    let token = shop.shop.token(1);
    let mut events = EventSource::connect(&shop.shop, &first, &token, None).await;
    let mut socket = Socket::connect(&second, &token, "").await;
    shop.publish(id(1), 2, 1).await;
    shop.publish(id(2), 1, 1).await;

    let event = events.next().await.unwrap();
    assert_eq!((event.kind.as_str(), &event.data["id"]), ("order.paid", &json!(id(2))));
    assert_eq!(event.data["data"]["status"], "paid");
    assert_eq!(event.data["data"].get("hold"), None, "internals stay in the shop");
    assert_eq!(event.data["cursor"], event.id.as_str());
    let message = socket.next().await.unwrap();
    assert_eq!((&message["id"], &message["type"]), (&json!(id(2)), &json!("order.paid")));
    assert!(events.is_silent().await);

    let url = format!("http://{}/api/v1/events", first.address);
    assert_eq!(shop.shop.http.get(&url).send().await.unwrap().status(), 401);
    let in_url = shop.shop.http.get(format!("{url}?access_token={token}")).send().await.unwrap();
    assert_eq!(in_url.status(), 401, "a token in the URL is none");
    assert_eq!(Socket::try_connect(&first, "forged", "", "https://shop.example", None).await.err().unwrap(), 401);
    let evil = Socket::try_connect(&first, &token, "", "https://evil.example", None).await;
    assert_eq!(evil.err().unwrap(), 403);
    socket.send("hello").await;
    assert_eq!(socket.next().await.unwrap_err(), Some(1008), "a client has nothing to say");
}

#[tokio::test]
async fn gw18_a_subscription_of_graphql_gets_the_orders_of_its_user_alone() {
    const PAGE: &str = "https://shop.example";
    let shop = Pushing::open("gw18-graphql").await;
    let (gateway, token) = (shop.start().await, shop.shop.token(1));
    let mut socket = Socket::try_graphql(&gateway, &token, PAGE).await.unwrap();
    socket.send(r#"{"type": "connection_init"}"#).await;
    assert_eq!(socket.next().await.unwrap(), json!({ "type": "connection_ack" }));
    let orders = r#"{"type": "subscribe", "id": "a", "payload": {
        "query": "subscription { orders { event number total { amount } } }"}}"#;
    socket.send(orders).await;
    socket.send(r#"{"type": "subscribe", "id": "b", "payload": {"query": "{ me { id } }"}}"#).await;
    let refused = socket.next().await.unwrap();
    assert_eq!((&refused["type"], &refused["id"]), (&json!("next"), &json!("b")));
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "NOT_A_SUBSCRIPTION");
    assert_eq!(socket.next().await.unwrap(), json!({ "type": "complete", "id": "b" }));

    shop.publish(id(1), 2, 1).await;
    shop.publish(id(2), 1, 1).await;
    let update = socket.next().await.unwrap();
    assert_eq!((&update["type"], &update["id"]), (&json!("next"), &json!("a")));
    let order = json!({ "event": "order.paid", "number": "A-1000001", "total": { "amount": 1999 } });
    assert_eq!(update["payload"]["data"], json!({ "orders": order }));
    until("its operations share one stream", async || shop.shop.metric(&gateway, OPEN).await == 1).await;

    socket.send("hello").await;
    assert_eq!(socket.next().await.unwrap_err(), Some(1002), "no message of the protocol");
    assert_eq!(Socket::try_graphql(&gateway, "forged", PAGE).await.err().unwrap(), 401);
    assert_eq!(Socket::try_graphql(&gateway, &token, "https://evil.example").await.err().unwrap(), 403);
}

#[tokio::test]
async fn gw18_a_client_goes_on_after_its_last_event_at_any_replica_or_gets_a_reset() {
    let shop = Pushing::open("gw18-resume").await;
    let (first, second) = (shop.start().await, shop.start().await);
    let token = shop.shop.token(1);
    let mut events = EventSource::connect(&shop.shop, &first, &token, None).await;
    shop.publish(id(1), 1, 1).await;
    let last = events.next().await.unwrap();
    drop(events);
    for n in 2..=4 {
        shop.publish(id(n), 1, 1).await;
    }
    let missed = [id(2), id(3), id(4)].map(|id| id.to_string());
    for gateway in [&first, &second] {
        let mut again = EventSource::connect(&shop.shop, gateway, &token, Some(&last.id)).await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(again.next().await.unwrap().data);
        }
        assert_eq!(ids(&seen), missed);
        let mut socket = Socket::connect(gateway, &token, &format!("?lastEventId={}", id(3))).await;
        // By the id alone, events of the moments before may come again.
        while socket.next().await.unwrap()["id"] != json!(id(4)) {}
        let mut unknown = Socket::connect(gateway, &token, &format!("?lastEventId={}", id(99))).await;
        assert_eq!(unknown.next().await.unwrap(), json!({ "type": "reset" }));
        let mut strangers = EventSource::connect(&shop.shop, gateway, &shop.shop.token(2), Some(&last.id)).await;
        assert_eq!(strangers.next().await.unwrap().kind, "reset", "another user's event");
    }
    // A replica that starts now has read the events before.
    let third = shop.start().await;
    until("the new replica has read what was before it", async || {
        let mut again = EventSource::connect(&shop.shop, &third, &token, Some(&last.id)).await;
        again.next().await.unwrap().data["id"] == json!(id(2))
    })
    .await;
    let wrong = shop.shop.http.get(format!("http://{}/api/v1/events?lastEventId=seven", first.address));
    let wrong: Value = wrong.bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!((&wrong["status"], &wrong["details"][0]["field"]), (&json!(400), &json!("lastEventId")));
}

#[tokio::test]
async fn gw18_a_stream_ends_within_two_seconds_of_its_session_and_at_the_end_of_its_token() {
    let shop = Pushing::open("gw18-ends").await;
    let gateway = shop.start().await;
    let redis = Redis::connect(&agora_redis::Config::fixed(&shop.redis.url(), "gw18-ends"), &Process::for_test("user"));
    until("Redis answers", async || redis.publish_revoked(&[], true).await.is_ok()).await;
    let session = SessionId::new(Uuid::from_u128(77));
    let mut claims = TestKeys::claims(user_id(1), &[Role::Customer]);
    claims["sid"] = json!(session);
    let token = shop.shop.keys.sign(&claims);
    let mut socket = Socket::connect(&gateway, &token, "").await;
    let mut events = EventSource::connect(&shop.shop, &gateway, &token, None).await;
    let ends = claims["exp"].as_i64().unwrap();
    assert!(redis.publish_revoked(&[RevokedSession { session, ends }], false).await.unwrap());
    let begun = Instant::now();
    assert_eq!(socket.next().await.unwrap_err(), Some(4002));
    assert!(begun.elapsed() < REVOKED_WITHIN, "{:?}", begun.elapsed());
    let end = events.next().await.unwrap();
    assert_eq!((end.kind.as_str(), &end.data["code"]), ("end", &json!(4002)));
    assert_eq!(events.next().await, None);
    assert_eq!(Socket::try_connect(&gateway, &token, "", "https://shop.example", None).await.err().unwrap(), 401);

    // 900 s is the lifetime of a token.
    claims["sid"] = json!(SessionId::new(Uuid::from_u128(78)));
    claims["exp"] = json!(ends - 900 + 4);
    let mut short = Socket::connect(&gateway, &shop.shop.keys.sign(&claims), "").await;
    let begun = Instant::now();
    assert_eq!(short.next().await.unwrap_err(), Some(4001));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn gw18_a_client_that_reads_too_slowly_is_closed_with_a_code_and_holds_up_no_other() {
    const EVENTS: u64 = 400;
    let shop = Pushing::open("gw18-slow").await;
    let gateway = shop.start().await;
    let token = shop.shop.token(1);
    let slow = Socket::try_connect(&gateway, &token, "", "https://shop.example", Some(4096)).await;
    let mut slow = slow.unwrap();
    let mut fast = Socket::connect(&gateway, &token, "").await;
    let reading = async {
        for _ in 0..EVENTS {
            fast.next().await.unwrap();
        }
    };
    let writing = async {
        let all: Vec<Outgoing> = (0..EVENTS).map(|n| message(id(n), 1, 100)).collect();
        for some in all.chunks(20) {
            shop.producer.send_all(some).await.unwrap();
        }
    };
    let waiting = async {
        let ended = async || shop.shop.metric(&gateway, "gateway_stream_ended_total{reason=\"slow\"}").await > 0;
        until("the slow client is found", ended).await;
        let mut received = 0;
        loop {
            match slow.next().await {
                Ok(_) => received += 1,
                Err(code) => break (received, code),
            }
        }
    };
    let ((), (), (received, code)) = tokio::join!(reading, writing, waiting);
    assert!(received < EVENTS, "{received}");
    assert_eq!(code, Some(4003));
}

#[tokio::test]
async fn gw18_a_thousand_idle_streams_take_no_place_of_requests_and_little_memory() {
    const STREAMS: u128 = 1_000;
    const STREAMS_OF_USER: u128 = 10;
    const MEMORY_MAX_KIB: u64 = 48 << 10;
    let shop = Pushing::open("gw18-idle").await;
    let gateway = shop.start().await;
    let before = resident_kib(&gateway);
    let (shop, gateway) = (&shop, &gateway);
    let sockets = stream::iter(0..STREAMS).map(|n| async move {
        let token = shop.shop.token(1_000 + n / STREAMS_OF_USER);
        Socket::connect(gateway, &token, "").await
    });
    let sockets: Vec<Socket> = sockets.buffer_unordered(20).collect().await;
    until("all are open", async || shop.shop.metric(gateway, OPEN).await == 1_000).await;
    let one_more = Socket::try_connect(gateway, &shop.shop.token(1_000), "", "https://shop.example", None).await;
    assert_eq!(one_more.err().unwrap(), 429, "an account has a limit of its own");
    // More requests at once than a port that counted the streams could take from one address.
    let requests = stream::iter(0..500).map(|_| async move {
        let answer = shop.shop.http.get(format!("http://{}/api/v1/products", gateway.address)).send().await;
        answer.unwrap().status().as_u16()
    });
    let statuses: Vec<u16> = requests.buffer_unordered(100).collect().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let grown = resident_kib(gateway).saturating_sub(before);
    assert!(grown < MEMORY_MAX_KIB, "{grown} KiB");
    drop(sockets);
    until("the streams are closed", async || shop.shop.metric(gateway, OPEN).await == 0).await;
}

#[tokio::test]
async fn gw18_a_replica_that_ends_sends_its_clients_to_others() {
    let shop = Pushing::open("gw18-shutdown").await;
    let gateway = shop.start().await;
    let token = shop.shop.token(1);
    let mut socket = Socket::connect(&gateway, &token, "").await;
    let mut events = EventSource::connect(&shop.shop, &gateway, &token, None).await;
    let pid = gateway.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(socket.next().await.unwrap_err(), Some(1001));
    assert_eq!(events.next().await.unwrap().data["code"], json!(1001));
    assert_eq!(Socket::try_connect(&gateway, &token, "", "https://shop.example", None).await.err().unwrap(), 503);
}

fn resident_kib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}
