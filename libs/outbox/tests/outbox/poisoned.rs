//! A message that no handler can apply becomes a dead letter at once, whatever bytes it holds, and its partition goes on.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agora_chassis::Process;
use agora_events::{DeadLetterEvent, Envelope, order::OrderEvent, topics};
use agora_kafka::{Outgoing, Producer};
use agora_outbox::{Failure, consume, relay};
use agora_postgres::Db;
use uuid::Uuid;

use crate::fixture::{aggregate, broker, consume_all, database, message, until};

/// Ten times what each message may hold up its partition.
const HELD_UP_MAX: Duration = Duration::from_secs(10);
const LARGE_BYTES: usize = 800_000;

fn envelope(kind: &str, data: &str) -> Vec<u8> {
    let key = aggregate(1);
    format!(
        r#"{{"id":"{key}","type":"{kind}","version":1,"time":"2026-01-01T00:00:00Z","key":"{key}","seq":1,"epoch":0,"data":{data}}}"#
    )
    .into_bytes()
}

fn poisons() -> Vec<(&'static str, Vec<u8>)> {
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    vec![
        ("a NUL in an id", envelope("order.paid", r#"{"orderId":"\u0000"}"#)),
        ("control characters in an id", envelope("order.paid", r#"{"orderId":"\u0007\u001b[31m\n"}"#)),
        ("a lone surrogate", envelope("order.paid", r#"{"orderId":"\ud800"}"#)),
        ("a NUL in an unknown field", envelope("order.paid", r#"{"\u0000":1}"#)),
        ("no UTF-8", vec![0xff, 0xfe, 0x00, 0x80]),
        ("only NULs", vec![0; 64]),
        ("nothing", Vec::new()),
        ("deep nesting", envelope("order.paid", &deep)),
        ("a number without end", envelope("order.paid", &"9".repeat(5_000))),
        ("large junk", vec![b'x'; LARGE_BYTES]),
        ("a large event", envelope("order.paid", &format!(r#"{{"orderId":"{}"}}"#, "\\u0000".repeat(LARGE_BYTES / 6)))),
    ]
}

/// Applies the test's events, and reads all others as order events, as the services do.
fn start(db: &Db, config: &agora_kafka::Config, applied: &Arc<Mutex<Vec<i64>>>) -> Process {
    let (process, applied) = (Process::for_test("cart"), applied.clone());
    consume(db.clone(), config, "cart", &[topics::ORDER], &process, move |envelopes| {
        let applied = applied.clone();
        Box::pin(async move { envelopes.iter().try_for_each(|envelope| apply(envelope, &applied)) })
    });
    process
}

fn apply(envelope: &Envelope, applied: &Mutex<Vec<i64>>) -> Result<(), Failure> {
    if envelope.kind == "test.happened" {
        let mut applied = applied.lock().expect("no panic");
        if !applied.contains(&envelope.seq) {
            applied.push(envelope.seq);
        }
        return Ok(());
    }
    match envelope.event::<OrderEvent>() {
        Err(error) => Err(Failure::Poison(error.into())),
        Ok(_) => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisoned_message_does_not_stop_its_partition_whatever_bytes_it_holds() {
    let (db, config) = (database().await, broker("bytes").await);
    let (producer, applied) = (Producer::new(&config), Arc::default());
    let process = start(&db, &config, &applied);
    relay(db.clone(), producer.clone(), &process);
    let good = |seq| message(Uuid::from_u128(u128::try_from(seq).expect("small")), 1, seq);
    producer.send_all(&[good(1)]).await.expect("sent");
    until("the partition moves", || async { applied.lock().expect("no panic").len() == 1 }).await;

    for ((name, poison), seq) in poisons().into_iter().zip(2..) {
        let poison = Outgoing { payload: poison, ..good(seq) };
        producer.send_all(&[poison, good(seq)]).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let sent = Instant::now();
        until(name, || async { applied.lock().expect("no panic").contains(&seq) }).await;
        assert!(sent.elapsed() < HELD_UP_MAX, "{name} held up its partition for {:?}", sent.elapsed());
    }

    let payloads: Vec<Vec<u8>> = sqlx::query_scalar("select payload from dead_letter order by \"offset\"")
        .fetch_all(&mut *db.acquire().await.expect("a connection"))
        .await
        .expect("rows");
    let expected: Vec<Vec<u8>> = poisons().into_iter().map(|(_, poison)| poison).collect();
    assert!(payloads == expected, "each poison is stored as it came, once");
    let events = consume_all(&config, topics::DEAD_LETTER, |events| events.len() >= expected.len()).await;
    for event in &events {
        let DeadLetterEvent::Dead(letter) = event.event().expect("readable").expect("known") else {
            panic!("another event")
        };
        assert!(!letter.metadata.reason.contains(char::is_control), "{:?}", letter.metadata.reason);
    }
    let referenced = events.iter().filter(|event| !event.data.get().contains("originalMessage")).count();
    assert_eq!(referenced, 2, "a large message is not copied into its dead letter's event");
    process.end().await;
}
