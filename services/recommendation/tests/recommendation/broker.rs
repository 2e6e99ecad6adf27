//! The whole service on a real broker: from events to events, and past what cannot be handled.

use std::{collections::BTreeMap, time::Instant};

use agora_chassis::{Process, settings_from};
use agora_events::{Envelope, recommendation::RecommendationEvent, topics};
use agora_kafka::{Config, Consumer, Outgoing, Producer, ensure_topics};
use agora_postgres::Db;
use agora_recommendation::MIGRATIONS;
use agora_testkit::{TestKeys, migrated_postgres};
use agora_vocab::{OrderId, ProductId};

use crate::shop::{PATIENCE, created, fresh, placed, stock, until, user};

/// Ten times what a message may hold up its partition.
const HELD_UP_S_MAX: u64 = 10;

fn outgoing(envelope: &Envelope) -> Outgoing {
    let topic = match envelope.kind.split_once('.').unwrap().0 {
        "order" => topics::ORDER,
        "product" => topics::PRODUCT,
        _ => topics::INVENTORY,
    };
    raw(topic.name(), &envelope.key, serde_json::to_vec(envelope).unwrap())
}

fn raw(topic: &str, key: &str, payload: Vec<u8>) -> Outgoing {
    Outgoing { topic: topic.to_owned(), key: key.to_owned(), payload, trace: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn re12_a_purchase_leads_to_one_event_and_what_cannot_be_handled_holds_nothing_up() {
    let (brokers, redis) = (agora_testkit::kafka().await, agora_testkit::redis().await);
    let (database, isolation_key) = (migrated_postgres(&MIGRATIONS).await, fresh().to_string());
    let kafka = Config::plain(&brokers, &isolation_key);
    let all = [topics::ORDER, topics::PRODUCT, topics::INVENTORY, topics::RECOMMENDATION, topics::DEAD_LETTER];
    ensure_topics(&kafka, &all, 1).await.unwrap();
    let jwks = TestKeys::new().jwks_file();
    let pairs = [
        ("DATABASE_URL", database.url()),
        ("KAFKA_BROKERS", brokers),
        ("REDIS_URL", redis),
        ("ISOLATION_KEY", isolation_key),
        ("JWKS_FILE", jwks.path().to_str().unwrap().to_owned()),
        ("TOKEN_ISSUER", TestKeys::ISSUER.to_owned()),
        ("TOKEN_AUDIENCE", TestKeys::AUDIENCE.to_owned()),
    ];
    let pairs: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value)).into();
    let config = settings_from("recommendation", &pairs, agora_recommendation::Config::read).unwrap();
    let process = Process::for_test("recommendation");
    agora_recommendation::build(config, &process).await;

    let (lamp, torch, me) = (ProductId::new(fresh()), ProductId::new(fresh()), user());
    let order = placed(OrderId::new(fresh()), me, &[lamp]);
    let later = Envelope { version: 2, ..order.clone() };
    let poison = [
        raw("order-events", "k", b"not JSON".to_vec()),
        raw("order-events", "k", vec![b'x'; 800_000]),
        outgoing(&later),
        outgoing(&Envelope { kind: "order.teleported".into(), ..later.clone() }),
    ];
    let producer = Producer::new(&kafka);
    let catalog = [created(lamp, 1, "Lamp", "Lighting"), created(torch, 1, "Torch", "Lighting"), stock(torch, 1, 3)];
    producer.send_all(&catalog.iter().map(outgoing).collect::<Vec<_>>()).await.unwrap();
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let count = async |sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut *db.acquire().await.unwrap()).await.unwrap()
    };
    until("the catalog is known", async || count("select count(*) from product where name <> ''").await == 2).await;

    let started = Instant::now();
    producer.send_all(&poison).await.unwrap();
    producer.send_all(&[outgoing(&order)]).await.unwrap();
    until("the order counts", async || count("select count(*) from purchase where counted").await == 1).await;
    assert!(started.elapsed().as_secs() < HELD_UP_S_MAX, "{:?}", started.elapsed());
    assert_eq!(count("select count(*) from dead_letter").await, 3, "an unknown type is skipped");

    let consumer = Consumer::new(&kafka, "reader", &[topics::RECOMMENDATION]).unwrap();
    let received = tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap();
    let envelope: Envelope = serde_json::from_slice(&received.payload).unwrap();
    let Some(RecommendationEvent::Changed(changed)) = envelope.event().unwrap() else { panic!("another event") };
    assert_eq!((changed.user_id, changed.version, envelope.seq, envelope.key), (me, 1, 1, me.to_string()));
    let names: Vec<_> = changed.recommendations.iter().map(|product| product.name.as_str()).collect();
    assert_eq!(names, ["Torch"]);
    process.end().await;
}
