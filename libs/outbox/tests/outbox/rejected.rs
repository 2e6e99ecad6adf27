//! What the broker does not take holds up nothing else, is named by readiness, and can be sent again.

use std::time::{Duration, Instant};

use agora_chassis::{Process, telemetry::metrics_handle};
use agora_events::{Envelope, Event, Topic, topics};
use agora_kafka::{Config, Producer, ensure_topics, partition_of};
use agora_outbox::{NewEvent, emit, relay};
use agora_postgres::Db;
use agora_testkit::{KafkaServer, configure_topic, place_topic};
use agora_vocab::Epoch;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::fixture::{aggregate, append, arrived_in_order, broker, consume_all, database, pending, until};

/// Ten times what a broken row may delay the events of others.
const DELAY_MAX: Duration = Duration::from_secs(10);
const LIMIT_BYTES: usize = 2_000;

/// An event of products, of any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ProductText(String);

impl Event for ProductText {
    const TOPIC: Topic = topics::PRODUCT;
    const KINDS: &'static [&'static str] = &["test.text"];

    fn kind(&self) -> &'static str {
        "test.text"
    }

    fn data(&self) -> Result<Box<RawValue>, serde_json::Error> {
        to_raw_value(&self.0)
    }

    fn from_parts(_: &str, data: &RawValue) -> Result<Option<Self>, serde_json::Error> {
        serde_json::from_str(data.get()).map(|text| Some(Self(text)))
    }
}

/// A text that no compression makes small.
fn text(bytes: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).expect("small"))
    };
    std::iter::repeat_with(&mut next).filter(|char| !"\"\\".contains(*char)).take(bytes).collect()
}

/// Appends events of a product with these sizes, and as many of another topic.
async fn append_both(db: &Db, process: &Process, n: u128, sizes: &[usize]) {
    for (seq, size) in (1..).zip(sizes) {
        let mut tx = db.begin().await.expect("a transaction");
        append(&mut tx, process, n, seq).await;
        let event = ProductText(text(*size));
        let event = NewEvent { event: &event, aggregate: aggregate(n), seq, correlation: None, causation: None };
        emit(&mut tx, &*process.ids(), Epoch(0), event).await.expect("appending");
        tx.commit().await.expect("committed");
    }
}

async fn others_arrive(config: &Config, count: usize, what: &str) {
    let sent = Instant::now();
    let received = consume_all(config, topics::ORDER, |received| seqs(received).len() >= count).await;
    assert!(sent.elapsed() < DELAY_MAX, "{what} delayed the events of another topic by {:?}", sent.elapsed());
    arrived_in_order(&received, i64::try_from(count).expect("few"));
}

fn degraded(process: &Process, part: &str) -> bool {
    let report = process.readiness();
    report.degraded.iter().any(|waiting| waiting.name == "topic/product-events" && waiting.reason.contains(part))
}

/// The values of a metric that are not 0, as lines. A recorder must be installed before the values are set.
fn shown(metric: &str, service: &str) -> Vec<String> {
    let (start, service) = (format!("{metric}{{"), format!("service=\"{service}\""));
    let is_shown = |line: &&str| line.starts_with(&start) && line.contains(&service) && !line.ends_with(" 0");
    metrics_handle().render().lines().filter(is_shown).map(str::to_owned).collect()
}

/// Whether a metric has one value, and its labels contain these and a reason.
fn shows(metric: &str, service: &str, labels: &str, value: u32) -> bool {
    let lines = shown(metric, service);
    let [line] = &lines[..] else { return false };
    let reason = line.contains("reason=\"") && !line.contains("reason=\"\"");
    reason && line.contains(labels) && line.ends_with(&format!(" {value}"))
}

/// In the order of their first arrival: a batch that fails is sent again.
fn seqs(received: &[Envelope]) -> Vec<i64> {
    let mut seqs = Vec::new();
    for envelope in received {
        if !seqs.contains(&envelope.seq) {
            seqs.push(envelope.seq);
        }
    }
    seqs
}

async fn seqs_of_products(config: &Config, count: usize) -> Vec<i64> {
    seqs(&consume_all(config, topics::PRODUCT, |received| seqs(received).len() >= count).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_event_is_set_aside_and_all_others_are_sent_in_order() {
    let (db, config) = (database().await, broker("rejected").await);
    ensure_topics(&config, &[topics::PRODUCT], 1).await.expect("a topic");
    let (brokers, topic) = (agora_testkit::kafka().await, config.topic(topics::PRODUCT));
    configure_topic(&brokers, &topic, &format!("max.message.bytes={LIMIT_BYTES}"));
    metrics_handle();
    let process = Process::for_test("rejected");
    // Larger than the topic allows, and larger than the client sends at all.
    append_both(&db, &process, 1, &[10, 10, 5_000, 10, 1_500, 1_200_000, 10, 1_500]).await;
    relay(db.clone(), Producer::new(&config), &process);

    others_arrive(&config, 8, "a rejected event").await;
    until("the outbox is emptied", || async { pending(&db).await == 0 }).await;
    assert_eq!(seqs_of_products(&config, 6).await, [1, 2, 4, 5, 7, 8]);
    let sql = "select seq from outbox_set_aside where reason like '%size too large%' order by id";
    let aside: Vec<i64> =
        sqlx::query_scalar(sql).fetch_all(&mut *db.acquire().await.expect("a connection")).await.expect("rows");
    assert_eq!(aside, [3, 6]);
    until("readiness names the topic and the reason", || async { degraded(&process, "2 events are set aside") }).await;
    assert!(degraded(&process, "size too large"), "{:?}", process.readiness());
    let counted = shows("outbox_set_aside_total", "rejected", "reason=\"MessageSizeTooLarge\"", 2);
    assert!(counted, "{:?}", shown("outbox_set_aside_total", "rejected"));
    assert!(shown("outbox_set_aside", "rejected")[0].contains("topic=\"product-events\""));

    sqlx::query("delete from outbox_set_aside where seq = 6")
        .execute(&mut *db.acquire().await.expect("a connection"))
        .await
        .expect("discarded");
    configure_topic(&brokers, &topic, "max.message.bytes=1000000");
    let again: i64 = sqlx::query_scalar("select outbox_resend('product-events')")
        .fetch_one(&mut *db.acquire().await.expect("a connection"))
        .await
        .expect("sent again");
    assert_eq!(again, 1);
    assert_eq!(seqs_of_products(&config, 7).await, [1, 2, 4, 5, 7, 8, 3]);
    until("nothing is degraded", || async { process.readiness().degraded.is_empty() }).await;
    process.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_missing_topic_wait_and_other_topics_flow() {
    let (db, config) = (database().await, broker("missing").await);
    metrics_handle();
    let process = Process::for_test("missing");
    append_both(&db, &process, 1, &[10, 10, 10]).await;
    relay(db.clone(), Producer::new(&config), &process);

    others_arrive(&config, 3, "a missing topic").await;
    until("readiness names the topic", || async { degraded(&process, "events wait in the outbox") }).await;
    let held = || async { shows("outbox_topic_held", "missing", "topic=\"product-events\"", 1) };
    until("the metric names the topic and the reason", held).await;
    until("only its events are left", || async { pending(&db).await == 3 }).await;

    ensure_topics(&config, &[topics::PRODUCT], 1).await.expect("a topic");
    assert_eq!(seqs_of_products(&config, 3).await, [1, 2, 3]);
    until("the outbox is emptied", || async { pending(&db).await == 0 }).await;
    until("nothing is degraded", || async { process.readiness().degraded.is_empty() }).await;
    until("the metric is 0", || async { shown("outbox_topic_held", "missing").is_empty() }).await;
    process.end().await;
}

/// Products in a topic of two partitions, by their partition.
fn products_of(partition: i32, count: usize) -> Vec<u128> {
    let of = |n: &u128| partition_of(&aggregate(*n).to_string(), 2) == partition;
    (0..).filter(of).take(count).collect()
}

/// Waits until the events `seqs` of each product have arrived, and asserts that none came before an earlier one.
async fn products_arrive(config: &Config, products: &[u128], last: i64) {
    let keys: Vec<String> = products.iter().map(|n| aggregate(*n).to_string()).collect();
    let of = |received: &[Envelope], key: &str| -> Vec<i64> {
        seqs(&received.iter().filter(|envelope| envelope.key == key).cloned().collect::<Vec<_>>())
    };
    let all = |received: &[Envelope]| keys.iter().all(|key| of(received, key).contains(&last));
    let received = consume_all(config, topics::PRODUCT, all).await;
    for key in &keys {
        assert_eq!(of(&received, key), (1..=last).collect::<Vec<_>>(), "{key}");
    }
}

async fn append_products(db: &Db, process: &Process, products: &[u128], seq: i64) {
    for n in products {
        let mut tx = db.begin().await.expect("a transaction");
        let event = ProductText(text(10));
        let event = NewEvent { event: &event, aggregate: aggregate(*n), seq, correlation: None, causation: None };
        emit(&mut tx, &*process.ids(), Epoch(0), event).await.expect("appending");
        tx.commit().await.expect("committed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_without_a_leader_holds_up_no_other_of_its_topic_and_no_other_topic() {
    let first = KafkaServer::start();
    let (db, config) = (database().await, Config::plain(&first.brokers(), "leaderless"));
    ensure_topics(&config, &[topics::ORDER], 1).await.expect("a topic");
    metrics_handle();
    let process = Process::for_test("leaderless");
    relay(db.clone(), Producer::new(&config), &process);
    let mut tx = db.begin().await.expect("a transaction");
    append(&mut tx, &process, 1, 1).await;
    tx.commit().await.expect("committed");
    // The broker's topic of consumer groups is created on the first broker, before there is another one.
    others_arrive(&config, 1, "the start of the broker").await;
    let second = first.start_second();
    place_topic(&first.brokers(), &config.topic(topics::PRODUCT), "1,2");
    let (alive, lost) = (products_of(0, 5), products_of(1, 5));
    append_products(&db, &process, &[&alive[..], &lost[..]].concat(), 1).await;
    until("the outbox is emptied", || async { pending(&db).await == 0 }).await;

    second.stop();
    for seq in 2..=3 {
        append_products(&db, &process, &[&lost[..], &alive[..]].concat(), seq).await;
    }
    let stopped = Instant::now();
    products_arrive(&config, &alive, 3).await;
    assert!(stopped.elapsed() < DELAY_MAX, "a lost partition held up another one for {:?}", stopped.elapsed());
    until("readiness names the partition", || async { degraded(&process, "events of partition 1 wait") }).await;
    let blocked = || async { shows("outbox_partition_blocked", "leaderless", "partition=\"1\"", 1) };
    until("the metric names the partition and the reason", blocked).await;
    until("only the events of the lost partition are left", || async { pending(&db).await == 10 }).await;
    append_products(&db, &process, &alive, 4).await;
    let appended = Instant::now();
    products_arrive(&config, &alive, 4).await;
    assert!(appended.elapsed() < DELAY_MAX, "a lost partition held up later events for {:?}", appended.elapsed());

    second.resume();
    products_arrive(&config, &lost, 3).await;
    until("the outbox is emptied", || async { pending(&db).await == 0 }).await;
    until("nothing is degraded", || async { process.readiness().degraded.is_empty() }).await;
    until("the metric is 0", || async { shown("outbox_partition_blocked", "leaderless").is_empty() }).await;
    process.end().await;
}
