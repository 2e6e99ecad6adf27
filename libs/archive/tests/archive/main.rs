//! The archive on a real broker: what is in the files after failures, and who can read them.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod bucket;
mod crash;
mod duckdb;
mod lines;
mod s3_server;

use std::time::{Duration, Instant};

use agora_chassis::{Process, SystemClock, SystemIds};
use agora_events::{
    topics,
    user::{Account, Preferences, UserEvent},
};
use agora_kafka::{Config as Kafka, Outgoing, Producer, ensure_topics};
use agora_vocab::{Clock as _, Ids as _, UserId};

/// Timeout of every wait in these tests.
const PATIENCE: Duration = Duration::from_mins(1);
const PARTITIONS: i32 = 3;

/// The broker with the topics of a shop of its own.
async fn broker(isolation_key: &str) -> Kafka {
    let kafka = Kafka::plain(&agora_testkit::kafka().await, isolation_key);
    ensure_topics(&kafka, &topics::ALL, PARTITIONS).await.unwrap();
    kafka
}

/// Sends events of users; each is `hours` older than the one before, up to three hours.
async fn send(producer: &Producer, numbers: std::ops::Range<i64>) {
    let now = SystemClock.now();
    let event = |n: i64| {
        let account = Account {
            user_id: UserId::new(SystemIds.next()),
            email: format!("u{n}@example.com"),
            name: None,
            preferences: Preferences::default(),
            blocked: false,
        };
        let mut envelope = agora_testkit::envelope(SystemIds.next(), n.to_string(), &UserEvent::Registered(account));
        envelope.time = now - time::Duration::hours(n % 3);
        let payload = serde_json::to_vec(&envelope).unwrap();
        Outgoing { topic: topics::USER.name().into(), key: n.to_string(), payload, trace: None }
    };
    producer.send_all(&numbers.map(event).collect::<Vec<_>>()).await.unwrap();
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Why a process says that its archive is degraded.
fn reported(process: &Process) -> Option<String> {
    let degraded = process.readiness().degraded;
    degraded.into_iter().find(|waiting| waiting.name == "archive").map(|waiting| waiting.reason)
}
