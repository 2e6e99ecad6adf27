//! Members that join and leave under a backlog: every event takes effect, and no partition stands still.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use agora_chassis::Process;
use agora_events::topics;
use agora_kafka::{Config, Outgoing, Producer};
use agora_outbox::consume;
use agora_postgres::Db;
use uuid::Uuid;

use crate::fixture::{broker, database, message, until};

const KEYS: u128 = 9;
const PER_KEY: i64 = 400;
/// So slow that partitions are paused all the time.
const EVENT_TIME: Duration = Duration::from_millis(2);

/// The events that took effect, by key.
#[derive(Clone, Default)]
struct Effects(Arc<Mutex<BTreeMap<String, BTreeSet<i64>>>>);

impl Effects {
    fn count(&self) -> usize {
        self.0.lock().expect("no panic").values().map(BTreeSet::len).sum()
    }
}

/// A member and the number of events that it handled.
fn member(db: &Db, config: &Config, effects: &Effects) -> (Process, Arc<AtomicUsize>) {
    let (process, effects, handled) = (Process::for_test("cart"), effects.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = handled.clone();
    consume(db.clone(), config, "cart", &[topics::ORDER], &process, move |envelopes| {
        let (effects, counted) = (effects.clone(), counted.clone());
        Box::pin(async move {
            for envelope in envelopes {
                tokio::time::sleep(EVENT_TIME).await;
                counted.fetch_add(1, Ordering::Relaxed);
                effects.0.lock().expect("no panic").entry(envelope.key).or_default().insert(envelope.seq);
            }
            Ok(())
        })
    });
    (process, handled)
}

fn backlog() -> Vec<Outgoing> {
    let id = |n: u128, seq: i64| Uuid::from_u128(n * 1_000_000 + u128::try_from(seq).expect("positive"));
    (1..=PER_KEY).flat_map(|seq| (0..KEYS).map(move |n| message(id(n, seq), n, seq))).collect()
}

async fn handles(what: &str, (_, handled): &(Process, Arc<AtomicUsize>)) {
    let before = handled.load(Ordering::Relaxed);
    until(what, || async { handled.load(Ordering::Relaxed) > before + 70 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ms5_scaling_from_one_to_two_to_one_to_three_members_loses_and_stops_nothing() {
    let (db, config) = (database().await, broker("scaling").await);
    Producer::new(&config).send_all(&backlog()).await.expect("sent");
    let effects = Effects::default();
    let one = member(&db, &config, &effects);
    handles("the first member works", &one).await;
    let two = member(&db, &config, &effects);
    handles("the second member works", &two).await;
    two.0.end().await;
    handles("the first member goes on", &one).await;
    let others = [member(&db, &config, &effects), member(&db, &config, &effects)];

    let total = usize::try_from(KEYS).expect("few") * usize::try_from(PER_KEY).expect("few");
    until("every event takes effect", || async { effects.count() == total }).await;
    for (process, _) in [one].into_iter().chain(others) {
        process.end().await;
    }
}
