//! A test event, and helpers that append and consume it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use agora_chassis::Process;
use agora_events::{Envelope, Event, Topic, topics};
use agora_kafka::{Config, Consumer, Outgoing, ensure_topics};
use agora_outbox::{MIGRATIONS, NewEvent, emit};
use agora_postgres::{Db, Tx};
use agora_testkit::postgres;
use agora_vocab::Epoch;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

pub const PARTITIONS: i32 = 3;
pub const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum TestEvent {
    #[serde(rename = "test.happened")]
    It(i64),
}

impl Event for TestEvent {
    const TOPIC: Topic = topics::ORDER;
    const KINDS: &'static [&'static str] = &["test.happened"];

    fn kind(&self) -> &'static str {
        "test.happened"
    }

    fn data(&self) -> Result<Box<RawValue>, serde_json::Error> {
        let Self::It(seq) = self;
        to_raw_value(seq)
    }

    fn from_parts(kind: &str, data: &RawValue) -> Result<Option<Self>, serde_json::Error> {
        if kind == "test.happened" { serde_json::from_str(data.get()).map(|seq| Some(Self::It(seq))) } else { Ok(None) }
    }
}

pub async fn database() -> Db {
    Db::for_test(&postgres().await.url(), &MIGRATIONS).await
}

/// The test process's broker with topics of this test's own.
pub async fn broker(isolation_key: &str) -> Config {
    let config = Config::plain(&agora_testkit::kafka().await, isolation_key);
    ensure_topics(&config, &[topics::ORDER, topics::DEAD_LETTER], PARTITIONS).await.expect("making topics");
    config
}

pub fn aggregate(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_a1b2_c3d4_7000_8000_0000_0000_0000 + n * 0x1_0001)
}

pub async fn append(tx: &mut Tx, process: &Process, n: u128, seq: i64) {
    let event = TestEvent::It(seq);
    let event =
        NewEvent { event: &event, aggregate: aggregate(n), seq, correlation: Some(aggregate(n)), causation: None };
    emit(tx, &*process.ids(), Epoch(2), event).await.expect("appending");
}

/// The envelope of an event, as another service would have sent it.
pub fn message(id: Uuid, n: u128, seq: i64) -> Outgoing {
    let key = aggregate(n).to_string();
    let envelope = Envelope {
        id,
        kind: "test.happened".into(),
        version: 1,
        time: time::OffsetDateTime::UNIX_EPOCH,
        key: key.clone(),
        seq,
        epoch: 0,
        trace: None,
        correlation_id: None,
        causation_id: None,
        data: to_raw_value(&seq).expect("JSON"),
    };
    let payload = serde_json::to_vec(&envelope).expect("JSON");
    Outgoing { topic: topics::ORDER.name().into(), key, payload, trace: None }
}

/// Everything that arrived from the beginning, in the order of arrival per key, until `enough` says so.
pub async fn consume_all(config: &Config, topic: Topic, enough: impl Fn(&[Envelope]) -> bool) -> Vec<Envelope> {
    static EARS: AtomicU32 = AtomicU32::new(0);
    let group = format!("ears-{}", EARS.fetch_add(1, Ordering::Relaxed));
    let consumer = Consumer::new(config, &group, &[topic]).expect("joining");
    let (mut received, give_up) = (Vec::new(), Instant::now() + PATIENCE);
    while !enough(&received) {
        match tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("something arrives") {
            Ok(incoming) => received.push(serde_json::from_slice(&incoming.payload).expect("an envelope")),
            // A broker is away, perhaps one of several: the client goes on with the others.
            Err(error) => assert!(Instant::now() < give_up, "{error:?}"),
        }
    }
    received
}

/// Asserts that each key's events arrived at least once and, duplicates aside, in order and without gaps.
pub fn arrived_in_order(received: &[Envelope], per_key: i64) {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for envelope in received {
        let last = last.entry(&envelope.key).or_default();
        assert!(envelope.seq <= *last + 1, "{} came after {last} of {}", envelope.seq, envelope.key);
        *last = envelope.seq.max(*last);
    }
    assert!(last.values().all(|last| *last == per_key), "{last:?}");
}

pub async fn pending(db: &Db) -> i64 {
    let mut connection = db.acquire().await.expect("a connection");
    sqlx::query_scalar("select count(*) from outbox").fetch_one(&mut *connection).await.expect("a count")
}

pub async fn until<F: Future<Output = bool>>(what: &str, done: impl Fn() -> F) {
    let give_up = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < give_up, "{what}: not in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
