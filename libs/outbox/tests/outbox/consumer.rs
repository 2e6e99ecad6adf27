//! Every event is handled, in order, and takes effect once; what cannot be handled becomes a dead letter.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use agora_chassis::{
    Process,
    telemetry::{metrics_handle, series_value},
};
use agora_events::{DeadLetterEvent, Envelope, Topic, topics};
use agora_kafka::{Config, Outgoing, Producer};
use agora_outbox::{DedupKey, Failure, NewEvent, claim_key, consume, emit, relay};
use agora_postgres::{Db, unavailable};
use agora_testkit::message_id;
use agora_vocab::Epoch;
use uuid::Uuid;

use crate::fixture::{TestEvent, aggregate, broker, consume_all, database, message, until};

const TOPICS: &[Topic] = &[topics::ORDER];

/// What was handled, in order; an entry for each time that an effect was committed.
type Log = Arc<Mutex<Vec<(String, i64)>>>;

fn start<F>(db: &Db, config: &Config, log: &Log, refuse: F) -> Process
where
    F: Fn(&Envelope) -> Option<Failure> + Send + Sync + 'static,
{
    let process = Process::for_test("cart");
    let (for_handler, log, refuse) = (db.clone(), log.clone(), Arc::new(refuse));
    consume(db.clone(), config, "cart", TOPICS, &process, move |envelopes| {
        let (db, log, refuse) = (for_handler.clone(), log.clone(), refuse.clone());
        Box::pin(async move {
            for envelope in &envelopes {
                handle(&db, &log, &*refuse, envelope).await?;
            }
            Ok(())
        })
    });
    process
}

async fn handle(
    db: &Db,
    log: &Log,
    refuse: &(dyn Fn(&Envelope) -> Option<Failure> + Send + Sync),
    envelope: &Envelope,
) -> Result<(), Failure> {
    if let Some(failure) = refuse(envelope) {
        return Err(failure);
    }
    let effect = async {
        let mut tx = db.begin().await?;
        let dedup_key = DedupKey::Event { consumer: "cart", id: envelope.id };
        let repeated = claim_key::<()>(&mut tx, &dedup_key).await.map_err(|error| match error {
            agora_outbox::Error::Unavailable(error) => error,
            other => sqlx::Error::Protocol(other.to_string()),
        })?;
        tx.commit().await?;
        Ok::<_, sqlx::Error>(repeated.is_some())
    };
    match effect.await {
        Ok(repeated) => {
            if !repeated {
                log.lock().expect("no panic").push((envelope.key.clone(), envelope.seq));
            }
            Ok(())
        }
        Err(error) if unavailable(&error) => Err(Failure::Again(error.into())),
        Err(error) => Err(Failure::Poison(error.into())),
    }
}

fn messages(keys: u128, per_key: i64) -> Vec<Outgoing> {
    let places = (1..=per_key).flat_map(|seq| (0..keys).map(move |n| (n, seq)));
    (1..).zip(places).map(|(id, (n, seq))| message(message_id(id), n, seq)).collect()
}

fn in_order(log: &Log, keys: usize, per_key: i64) {
    let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (key, seq) in log.lock().expect("no panic").iter() {
        seen.entry(key.clone()).or_default().push(*seq);
    }
    assert_eq!(seen.len(), keys);
    for (key, seqs) in seen {
        assert_eq!(seqs, (1..=per_key).collect::<Vec<_>>(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_retried_blocks_only_its_partition_and_is_not_skipped() {
    let (db, config) = (database().await, broker("again").await);
    Producer::new(&config).send_all(&messages(12, 10)).await.expect("sent");
    let (log, slow) = (Log::default(), aggregate(5).to_string());
    let tries = Arc::new(Mutex::new(0));
    let (seen, others) = (log.clone(), tries.clone());
    let process = start(&db, &config, &log, move |envelope| {
        if envelope.key != slow || envelope.seq != 2 {
            return None;
        }
        let mut tries = others.lock().expect("no panic");
        *tries += 1;
        // Until an event of another partition was handled to the end, and then once more.
        let others_done = seen.lock().expect("no panic").iter().filter(|(_, seq)| *seq == 10).count() > 0;
        (*tries < 3 || !others_done).then(|| Failure::Again("not yet".into()))
    });

    until("all are handled", || async { log.lock().expect("no panic").len() >= 120 }).await;

    in_order(&log, 12, 10);
    assert!(*tries.lock().expect("no panic") >= 3);
    process.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unhandleable_message_becomes_a_dead_letter_and_the_partition_continues() {
    let (db, config) = (database().await, broker("poison").await);
    let producer = Producer::new(&config);
    let mut batch = messages(3, 4);
    let garbage = Outgoing { payload: b"\xff no JSON".to_vec(), ..batch[4].clone() };
    batch.insert(5, garbage.clone());
    producer.send_all(&batch).await.expect("sent");
    let log = Log::default();
    let poisoned = aggregate(1).to_string();
    let process = start(&db, &config, &log, move |envelope| {
        (envelope.key == poisoned && envelope.seq == 3).then(|| Failure::Poison("it has no price".into()))
    });
    relay(db.clone(), producer, &process);

    until("the rest is handled", || async { log.lock().expect("no panic").len() >= 11 }).await;
    let events = consume_all(&config, topics::DEAD_LETTER, |received| received.len() >= 2).await;

    let mut reasons: Vec<String> = events.iter().map(reason).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["it has no price", "no envelope: Syntax error at line 1 column 1"]);
    let mut connection = db.acquire().await.expect("a connection");
    let sql = "select event_id, payload from dead_letter where state = 'open' order by event_id nulls last";
    let rows: Vec<(Option<Uuid>, Vec<u8>)> = sqlx::query_as(sql).fetch_all(&mut *connection).await.expect("rows");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].0, events.iter().find_map(|envelope| envelope.causation_id));
    assert_eq!(rows[1], (None, garbage.payload));
    process.end().await;
}

fn reason(envelope: &Envelope) -> String {
    let DeadLetterEvent::Dead(letter) = envelope.event().expect("readable").expect("known") else {
        panic!("another event")
    };
    letter.metadata.reason
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_does_not_stop_the_consumer() {
    let (db, config) = (database().await, broker("panic").await);
    Producer::new(&config).send_all(&messages(1, 3)).await.expect("sent");
    let log = Log::default();
    let process = start(&db, &config, &log, |envelope| {
        assert_ne!(envelope.seq, 2, "a bug in a handler");
        None
    });

    until("the others are handled", || async { log.lock().expect("no panic").len() >= 2 }).await;

    let mut connection = db.acquire().await.expect("a connection");
    let sql = "select attempts from dead_letter";
    let attempts: Vec<i32> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await.expect("rows");
    assert_eq!(attempts, [5]);
    process.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_and_leaving_members_apply_every_event_once() {
    let (db, config) = (database().await, broker("members").await);
    let producer = Producer::new(&config);
    let batch = messages(9, 60);
    let (first_half, second_half) = batch.split_at(270);
    let log = Log::default();
    producer.send_all(first_half).await.expect("sent");
    let one = start(&db, &config, &log, |_| None);
    until("the first member works", || async { log.lock().expect("no panic").len() > 20 }).await;
    let two = start(&db, &config, &log, |_| None);
    producer.send_all(second_half).await.expect("sent");
    one.end().await;

    until("all are handled", || async { log.lock().expect("no panic").len() >= 540 }).await;
    two.end().await;
    in_order(&log, 9, 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ms4_handled_messages_are_committed_and_not_delivered_to_the_next_member() {
    let (db, config) = (database().await, broker("committed").await);
    let producer = Producer::new(&config);
    let batch = messages(3, 5);
    let (before, after) = batch.split_at(12);
    producer.send_all(before).await.expect("sent");
    let log = Log::default();
    let first = start(&db, &config, &log, |_| None);
    until("the first batch is handled", || async { log.lock().expect("no panic").len() >= 12 }).await;
    first.end().await;

    let given = Arc::new(Mutex::new(Vec::new()));
    let giving = given.clone();
    let second = start(&db, &config, &log, move |envelope| {
        giving.lock().expect("no panic").push(envelope.seq);
        None
    });
    producer.send_all(after).await.expect("sent");
    until("the rest is handled", || async { log.lock().expect("no panic").len() >= 15 }).await;

    assert_eq!(*given.lock().expect("no panic"), [5, 5, 5]);
    second.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn de11_a_group_that_is_behind_shows_its_lag_until_it_has_caught_up() {
    metrics_handle();
    let (db, config) = (database().await, broker("lag").await);
    Producer::new(&config).send_all(&messages(3, 4)).await.expect("sent");
    let (process, stopped) = (Process::for_test("lagging"), Arc::new(AtomicBool::new(true)));
    let stop = stopped.clone();
    consume(db, &config, "lagging", TOPICS, &process, move |_| {
        let stopped = stop.load(Ordering::SeqCst);
        Box::pin(async move { if stopped { Err(Failure::Again("not yet".into())) } else { Ok(()) } })
    });
    let shows = |series: &'static str, value: f64| async move { series_value(series) == Some(value) };
    let lag = "kafka_consumergroup_lag{consumergroup=\"lagging\",topic=\"order-events\"}";

    until("the lag is shown", || shows(lag, 12.0)).await;
    assert_eq!(series_value("kafka_connection_status{service=\"lagging\"}"), Some(1.0));
    stopped.store(false, Ordering::SeqCst);

    until("no lag is shown", || shows(lag, 0.0)).await;
    let errors = series_value("processing_errors_total{service=\"lagging\",error_type=\"again\"}");
    assert!(errors.is_some_and(|errors| errors >= 3.0), "each of three partitions was tried: {errors:?}");
    process.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn de10_each_failed_attempt_to_handle_an_event_is_counted_by_its_kind() {
    metrics_handle();
    let (db, config) = (database().await, broker("errors").await);
    let mut batch = messages(1, 2);
    let garbage = Outgoing { payload: b"\xff no JSON".to_vec(), ..batch[0].clone() };
    batch.push(garbage);
    Producer::new(&config).send_all(&batch).await.expect("sent");
    let process = Process::for_test("failing");
    consume(db, &config, "failing", TOPICS, &process, |envelopes| {
        let first = envelopes.iter().any(|envelope| envelope.seq == 1);
        let failure = if first { Failure::Poison("no".into()) } else { Failure::Defect("no".into()) };
        Box::pin(async move { Err(failure) })
    });
    let count =
        |kind: &str| series_value(&format!("processing_errors_total{{service=\"failing\",error_type=\"{kind}\"}}"));

    until("the last message failed", || async { count("malformed").is_some() }).await;

    assert_eq!((count("poison"), count("defect"), count("malformed")), (Some(1.0), Some(5.0), Some(1.0)));
    process.end().await;
}

/// Appends an event for each of the batch that no event caused.
async fn answer(db: &Db, process: &Process, envelopes: &[Envelope]) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    for cause in envelopes.iter().filter(|envelope| envelope.causation_id.is_none()) {
        let event = TestEvent::It(cause.seq);
        let (seq, causation) = (cause.seq, Some(cause.id));
        let answer = NewEvent { event: &event, aggregate: aggregate(9), seq, correlation: None, causation };
        emit(&mut tx, &*process.ids(), Epoch::default(), answer).await?;
    }
    tx.commit().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn de14_an_event_that_an_event_of_a_batch_causes_belongs_to_that_events_trace() {
    let (db, config) = (database().await, broker("traces").await);
    let trace_of = |seq: i64| format!("{seq:032x}");
    let mut batch = messages(1, 6);
    for (message, seq) in batch.iter_mut().zip(1..) {
        let mut envelope: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
        envelope["trace"] = format!("00-{}-00f067aa0ba902b7-01", trace_of(seq)).into();
        message.payload = envelope.to_string().into_bytes();
    }
    Producer::new(&config).send_all(&batch).await.expect("sent");
    let process = Process::for_test("tracing");
    let (for_handler, of_handler) = (db.clone(), process.clone());
    consume(db.clone(), &config, "tracing", TOPICS, &process, move |envelopes| {
        let (db, process) = (for_handler.clone(), of_handler.clone());
        Box::pin(async move { answer(&db, &process, &envelopes).await.map_err(|error| Failure::Again(error.into())) })
    });
    relay(db, Producer::new(&config), &process);

    let caused = |envelope: &&Envelope| envelope.causation_id.is_some();
    let received = consume_all(&config, topics::ORDER, |all| all.iter().filter(caused).count() >= 6).await;
    for answer in received.iter().filter(caused) {
        let trace = answer.trace.as_deref().expect("a trace");
        assert_eq!(trace.split('-').nth(1), Some(trace_of(answer.seq).as_str()), "{trace}");
    }
    process.end().await;
}
