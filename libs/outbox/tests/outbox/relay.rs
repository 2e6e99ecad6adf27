//! Committed events arrive in order per aggregate, also when a relay or the broker crashes.

use std::time::{Duration, Instant};

use agora_chassis::Process;
use agora_events::topics;
use agora_kafka::{Config, Producer, ensure_topics};
use agora_outbox::{MIGRATIONS, relay};
use agora_postgres::Db;
use agora_testkit::{KafkaServer, postgres};

use crate::fixture::{
    PARTITIONS, TestEvent, aggregate, append, arrived_in_order, broker, consume_all, database, pending, until,
};

fn start_relay(db: &Db, config: &Config) -> Process {
    let process = Process::for_test("order");
    relay(db.clone(), Producer::new(config), &process);
    process
}

/// Writers of several aggregates at once, each with its events in order, some transactions rolled back.
async fn write(db: &Db, aggregates: u128, per_key: i64) {
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..aggregates {
        let (db, process) = (db.clone(), Process::for_test("order"));
        writers.spawn(async move {
            for seq in 1..=per_key {
                if (seq + i64::try_from(n).expect("few")) % 7 == 0 {
                    let mut tx = db.begin().await.expect("a transaction");
                    append(&mut tx, &process, n, seq).await;
                    tx.rollback().await.expect("rolled back");
                }
                let mut tx = db.begin().await.expect("a transaction");
                append(&mut tx, &process, n, seq).await;
                tx.commit().await.expect("committed");
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ms3_every_committed_event_arrives_in_order_with_two_relays() {
    const AGGREGATES: u128 = 24;
    const PER_KEY: i64 = 30;
    let (db, config) = (database().await, broker("competing").await);
    let relays = [start_relay(&db, &config), start_relay(&db, &config)];

    write(&db, AGGREGATES, PER_KEY).await;

    let total = usize::try_from(PER_KEY).expect("few") * usize::try_from(AGGREGATES).expect("few");
    let received = consume_all(&config, topics::ORDER, |received| received.len() >= total).await;
    arrived_in_order(&received, PER_KEY);
    assert_eq!(received.len(), total, "no relay crashed, so there are no duplicates");
    until("the outbox is emptied", || async { pending(&db).await == 0 }).await;
    let one = received.iter().find(|envelope| envelope.seq == 3).expect("a third event");
    assert_eq!((one.epoch, one.version, one.kind.as_str()), (2, 1, "test.happened"));
    assert_eq!(one.event::<TestEvent>().expect("readable"), Some(TestEvent::It(3)));
    assert_eq!(one.correlation_id.map(|id| id.to_string()).as_ref(), Some(&one.key));
    for relay in relays {
        relay.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_relay_sends_an_event_soon() {
    const FACTS: i64 = 6;
    let (db, config) = (database().await, broker("idle").await);
    let process = start_relay(&db, &config);
    write(&db, 1, 1).await;
    until("the relay has its client", || async { pending(&db).await == 0 }).await;

    let mut waited = Duration::ZERO;
    for seq in 2..2 + FACTS {
        // The looks after the last event grow rare meanwhile.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        let mut tx = db.begin().await.expect("a transaction");
        append(&mut tx, &process, 0, seq).await;
        tx.commit().await.expect("committed");
        let appended = Instant::now();
        until("the event is sent", || async { pending(&db).await == 0 }).await;
        waited += appended.elapsed();
    }
    process.end().await;

    // Looks that come round by themselves would find an event after half a second on average.
    assert!(waited < Duration::from_millis(200 * FACTS.unsigned_abs()), "{waited:?} for {FACTS} events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_between_sending_and_committing_only_sends_twice() {
    const PER_KEY: i64 = 5;
    let database = postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let config = broker("dying").await;
    write(&db, 4, PER_KEY).await;
    // The relay may send and delete these rows, but not commit.
    let mut block = db.begin().await.expect("a transaction");
    sqlx::raw_sql(WAIT_BEFORE_COMMIT)
        .execute(&mut *db.acquire().await.expect("a connection"))
        .await
        .expect("a trigger");
    sqlx::query("select pg_advisory_xact_lock(7)").execute(&mut *block).await.expect("locked");

    let process = start_relay(&db, &config);
    let sent_once = consume_all(&config, topics::ORDER, |received| received.len() >= 20).await;
    arrived_in_order(&sent_once, PER_KEY);
    until("the relay waits to commit", || async { committing(&db).await == 1 }).await;
    // Waits for the end of the session: soon after it, another one of the relay waits in its place.
    let kill = "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
        where query ilike 'commit%' and wait_event = 'advisory'";
    database.as_admin(kill).await;
    block.rollback().await.expect("unlocked");

    until("the outbox is emptied", || async { pending(&db).await == 0 }).await;
    let sent_twice = consume_all(&config, topics::ORDER, |received| received.len() >= 40).await;
    arrived_in_order(&sent_twice, PER_KEY);
    process.end().await;
}

const WAIT_BEFORE_COMMIT: &str = "
    create function wait_before_commit() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock(7);
        return null;
    end $$;
    create constraint trigger wait_before_commit after delete on outbox
        deferrable initially deferred for each row execute function wait_before_commit()";

async fn committing(db: &Db) -> i64 {
    let sql = "select count(*) from pg_stat_activity where query ilike 'commit%' and wait_event = 'advisory'";
    let mut connection = db.acquire().await.expect("a connection");
    sqlx::query_scalar(sql).fetch_one(&mut *connection).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ms7_events_wait_while_the_broker_is_unreachable_and_arrive_when_it_is_back() {
    const PER_KEY: i64 = 10;
    let server = KafkaServer::start();
    let config = Config::plain(&server.brokers(), "away");
    ensure_topics(&config, &[topics::ORDER], PARTITIONS).await.expect("making topics");
    let db = database().await;
    let process = start_relay(&db, &config);
    write(&db, 1, 1).await;
    until("the first event is sent", || async { pending(&db).await == 0 }).await;

    server.stop();
    let mut tx = db.begin().await.expect("a transaction");
    for n in 1..9 {
        for seq in 1..=PER_KEY {
            append(&mut tx, &process, n, seq).await;
        }
    }
    tx.commit().await.expect("the broker is not needed to commit");
    let degraded = || async { process.readiness().degraded.iter().any(|waiting| waiting.name == "kafka") };
    until("the broker is listed as degraded", degraded).await;
    assert_eq!(pending(&db).await, 80);
    server.resume();

    until("the outbox is emptied", || async { pending(&db).await == 0 }).await;
    let first = aggregate(0).to_string();
    let complete = |received: &[agora_events::Envelope]| {
        (1..9).all(|n| {
            let key = aggregate(n).to_string();
            received.iter().any(|envelope| envelope.key == key && envelope.seq == PER_KEY)
        })
    };
    let mut received = consume_all(&config, topics::ORDER, complete).await;
    received.retain(|envelope| envelope.key != first);
    arrived_in_order(&received, PER_KEY);
    process.end().await;
}

/// Connections of this machine to a port, as the kernel lists them.
fn connections_to(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let remote = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let to_port = |line: &&str| {
        let mut columns = line.split_whitespace().skip(2);
        columns.next().is_some_and(|address| address.ends_with(&remote)) && columns.next() == Some(ESTABLISHED)
    };
    tables.iter().flat_map(|table| table.lines()).filter(to_port).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ms9_every_batch_of_a_process_is_sent_over_the_same_connections() {
    const BATCHES: i64 = 40;
    let (db, server) = (database().await, KafkaServer::start());
    let config = Config::plain(&server.brokers(), "connections");
    ensure_topics(&config, &[topics::ORDER], PARTITIONS).await.expect("making topics");
    let port = server.brokers().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    assert_eq!(connections_to(port), 0);
    let process = start_relay(&db, &config);
    let send_one = async |seq| {
        let mut tx = db.begin().await.expect("a transaction");
        append(&mut tx, &process, 1, seq).await;
        tx.commit().await.expect("committed");
        until("the event is sent", || async { pending(&db).await == 0 }).await;
        connections_to(port)
    };
    let first = send_one(1).await;
    // One to the address of the settings, one to the address that the broker gives.
    assert!((1..=2).contains(&first), "{first}");
    for seq in 2..=BATCHES {
        assert_eq!(send_one(seq).await, first, "after {seq} batches");
    }
    process.end().await;
    until("an ended process has no connection", || async { connections_to(port) == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn de10_events_are_counted_by_kind_once_the_broker_has_them() {
    agora_chassis::telemetry::metrics_handle();
    let (db, config) = (database().await, broker("counted").await);
    let process = Process::for_test("counting");
    agora_outbox::relay(db.clone(), Producer::new(&config), &process);
    write(&db, 2, 3).await;
    until("the outbox is emptied", || async { pending(&db).await == 0 }).await;
    process.end().await;
    let count = "domain_event_total{service=\"counting\",kind=\"test.happened\"}";
    assert_eq!(agora_chassis::telemetry::series_value(count), Some(6.0));
}
