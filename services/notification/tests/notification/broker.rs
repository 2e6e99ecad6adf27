//! The service on a real broker: both groups, dead letters of every consumer, and their replay.

use agora_events::{Envelope, topics};
use agora_kafka::{Config, Outgoing, Producer, ensure_topics};
use agora_notification::consumer::{GROUPS, handle};
use agora_topology::all_topics;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::FutureExt as _;
use serde_json::json;

use crate::shop::{Options, Shop, envelope, fresh, placed, until};

async fn broker(isolation_key: &str) -> Config {
    let config = Config::plain(&agora_testkit::kafka().await, isolation_key);
    ensure_topics(&config, &all_topics(), 3).await.unwrap();
    config
}

/// Consumes and publishes as the service does.
fn consume(shop: &Shop, config: &Config) {
    agora_outbox::relay(shop.db.clone(), Producer::new(config), &shop.process);
    for (consumer, topics) in GROUPS {
        let service = shop.service.clone();
        agora_outbox::consume(shop.db.clone(), config, consumer, topics, &shop.process, move |envelopes| {
            handle(service.clone(), envelopes).boxed()
        });
    }
}

fn outgoing(envelope: &Envelope) -> Outgoing {
    Outgoing {
        topic: topics::ORDER.name().into(),
        key: envelope.key.clone(),
        payload: serde_json::to_vec(envelope).unwrap(),
        trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    }
}

/// Defects of B (docs/DEFECTS.md): a failed event was in the dead letter queue twice, nobody read the queue, and a message that
/// was no JSON stopped its partition.
#[tokio::test(flavor = "multi_thread")]
async fn no9_each_failure_is_one_entry_with_its_headers_and_no10_its_replay_takes_effect_once() {
    let config = broker("letters").await;
    let shop = Shop::open_with(Options { kafka: Some(config.clone()), ..Options::default() }).await;
    let ada = shop.register("Ada").await;
    consume(&shop, &config);
    let producer = Producer::new(&config);
    let good = envelope(&placed(ada), 1);
    let junk = Outgoing { payload: b"not json".to_vec(), ..outgoing(&good) };
    let later = Envelope { version: 2, id: fresh(), ..good.clone() };
    let started = std::time::Instant::now();
    producer.send_all(&[junk, outgoing(&later), outgoing(&good)]).await.unwrap();
    until("the event after the poison is handled", async || shop.list(ada, "?type=ORDER_UPDATE").await["total"] == 1)
        .await;
    let stalled = started.elapsed();
    let entries = "select count(*) from dead_letter_entry";
    until("both failures are entries", async || shop.number(entries).await == 2).await;
    let letters = shop.public.get("/api/v1/admin/dead-letters").with(&shop.admin).await.expect(200).body;
    for letter in letters["items"].as_array().unwrap() {
        assert_eq!(letter["consumer"], "notification-critical");
        assert_eq!(letter["origin"]["topic"], "order-events");
        assert!(letter["origin"]["headers"]["traceparent"].as_str().unwrap().starts_with("00-4bf92f"), "{letter}");
    }
    assert!(stalled.as_secs() < 30, "the group joined and passed the poison in {stalled:?}");

    // What was given up because of a defect is mended and replayed: here, a dead letter of an event that can be handled.
    let replayable = envelope(&placed(ada), 1);
    let payload = serde_json::to_vec(&replayable).unwrap();
    let encoded = BASE64_STANDARD.encode(&payload);
    shop.execute(&format!(
        "insert into dead_letter_entry (id, kind, consumer, topic, partition, \"offset\", payload, reason, created_at) \
         values ('{}', 'message', 'notification-critical', 'order-events', 0, 99, decode('{encoded}', 'base64'), 'a defect', now())",
        replayable.id
    ))
    .await;
    let path = format!("/api/v1/admin/dead-letters/{}/replay", replayable.id);
    let replay = || shop.public.post(&path, json!({"reason": "mended"})).with(&shop.admin);
    // A broker that is slow to acknowledge is 503, and nothing is decided.
    until("the replay is accepted", async || {
        let answer = replay().await;
        assert!(matches!(answer.status, 200 | 503), "{}", answer.body);
        answer.status == 200
    })
    .await;
    until("the replayed event is handled", async || shop.list(ada, "?type=ORDER_UPDATE").await["total"] == 2).await;
    assert_eq!(replay().await.status, 409);
    shop.deliver_all(vec![replayable]).await;
    assert_eq!(shop.list(ada, "?type=ORDER_UPDATE").await["total"], 2);
    assert_eq!(shop.number(entries).await, 3);
    shop.process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no9_an_event_larger_than_the_queue_takes_is_an_entry_without_its_message() {
    let config = broker("large").await;
    let shop = Shop::open_with(Options { kafka: Some(config.clone()), ..Options::default() }).await;
    let ada = shop.register("Ada").await;
    consume(&shop, &config);
    let good = envelope(&placed(ada), 1);
    let large = Outgoing { payload: vec![b'x'; 800 * 1024], ..outgoing(&good) };
    Producer::new(&config).send_all(&[large, outgoing(&good)]).await.unwrap();
    until("the event after it is handled", async || shop.list(ada, "?type=ORDER_UPDATE").await["total"] == 1).await;
    until("it is an entry", async || {
        shop.number("select count(*) from dead_letter_entry where payload is null").await == 1
    })
    .await;
    assert_eq!(shop.number("select octet_length(payload)::bigint from dead_letter").await, 800 * 1024);
    shop.process.end().await;
}
