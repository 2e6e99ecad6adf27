//! The inbox is partitioned by the time in the ids of messages: what it does not remember never takes effect twice.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use agora_chassis::Process;
use agora_events::{Envelope, topics};
use agora_kafka::{Config, Producer};
use agora_outbox::{DedupKey, Failure, MIGRATIONS, StoreError, claim_key, consume, find_result};
use agora_postgres::Db;
use agora_testkit::{TestDatabase, message_id, postgres, postgres15};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::fixture::{broker, database, message, until};

/// The migration before which `inbox` is one table.
const BOUNDS: i64 = 102;
const DROP_ALL: &str = "do $$ declare name text; begin
    for name in select p.name from inbox_partition as p loop execute format('drop table %I', name); end loop; end $$";

/// The ids of a message made `days` ago and of one that is no UUIDv7, by the database.
async fn id_of(db: &Db, days: i32) -> Uuid {
    const ID: &str =
        "select overlay(uuid_from_time(now() - make_interval(days => $1))::text placing '7' from 15)::uuid";
    let mut connection = db.acquire().await.expect("a connection");
    sqlx::query_scalar(ID).bind(days).fetch_one(&mut *connection).await.expect("an id")
}

#[derive(Clone, Default)]
struct Handled {
    applied: Arc<Mutex<Vec<i64>>>,
    calls: Arc<AtomicU32>,
}

impl Handled {
    fn applied(&self) -> Vec<i64> {
        self.applied.lock().expect("no panic").clone()
    }
}

/// Applies events as the services do: in a transaction that claims the event's key.
fn start(db: &Db, config: &Config, handled: &Handled) -> Process {
    let (process, for_handler, handled) = (Process::for_test("cart"), db.clone(), handled.clone());
    consume(db.clone(), config, "cart", &[topics::ORDER], &process, move |envelopes| {
        let (db, handled) = (for_handler.clone(), handled.clone());
        Box::pin(async move {
            for envelope in envelopes {
                handled.calls.fetch_add(1, Ordering::Relaxed);
                apply(&db, &envelope, &handled).await.map_err(|error| match error {
                    StoreError::Unavailable(_) | StoreError::Running => Failure::Again(error.into()),
                    error => Failure::Poison(error.into()),
                })?;
            }
            Ok(())
        })
    });
    process
}

async fn apply(db: &Db, envelope: &Envelope, handled: &Handled) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    let known = claim_key::<()>(&mut tx, &DedupKey::Event { consumer: "cart", id: envelope.id }).await?;
    tx.commit().await?;
    if known.is_none() {
        handled.applied.lock().expect("no panic").push(envelope.seq);
    }
    Ok(())
}

async fn reasons(db: &Db) -> Vec<(i64, String)> {
    let mut connection = db.acquire().await.expect("a connection");
    let sql = "select \"offset\", reason from dead_letter order by \"offset\"";
    sqlx::query_as(sql).fetch_all(&mut *connection).await.expect("rows")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_older_than_deduplication_remembers_becomes_a_dead_letter_and_is_not_applied() {
    let (db, config) = (database().await, broker("replayed").await);
    let ids = [message_id(1), id_of(&db, 30).await, Uuid::from_u128(7), id_of(&db, -30).await, message_id(1)];
    let batch: Vec<_> = (1..).zip(ids).map(|(seq, id)| message(id, 1, seq)).collect();
    Producer::new(&config).send_all(&batch).await.expect("sent");
    let handled = Handled::default();
    let process = start(&db, &config, &handled);
    agora_outbox::sweep(db.clone(), &process);
    Producer::new(&config).send_all(&[message(message_id(2), 1, 6)]).await.expect("sent");

    until("the last message is applied", || async { handled.applied().contains(&6) }).await;

    assert_eq!(handled.applied(), [1, 6], "the fifth is a duplicate of the first");
    let reasons = reasons(&db).await;
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons.iter().all(|(_, reason)| reason.contains("older than deduplication remembers")), "{reasons:?}");
    process.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_for_a_partition_that_is_not_created_yet() {
    let (db, config) = (database().await, broker("unprovided").await);
    sqlx::raw_sql(DROP_ALL).execute(&mut *db.acquire().await.expect("a connection")).await.expect("dropped");
    Producer::new(&config).send_all(&[message(message_id(1), 1, 1)]).await.expect("sent");
    let handled = Handled::default();
    let process = start(&db, &config, &handled);
    until("the message was tried", || async { handled.calls.load(Ordering::Relaxed) > 1 }).await;
    assert!(handled.applied().is_empty());

    agora_outbox::sweep(db.clone(), &process);

    until("the message is applied", || async { handled.applied() == [1] }).await;
    assert!(reasons(&db).await.is_empty());
    process.end().await;
}

/// Migrates with the rows of an earlier release, each a minute older than a number of days; returns the number of rows that the
/// inbox holds then.
async fn migrate_with_rows(database: &TestDatabase) -> i64 {
    const ROWS: &str = "
        insert into inbox (consumer, event_id, value)
        select 'c', (lpad(to_hex((extract(epoch from now() - n * interval '1 day' - interval '1 minute') * 1000)::bigint), 12, '0')
                || '7000800000000000000a')::uuid, to_json(n)
        from generate_series(0, 20) as n;
        insert into inbox (consumer, event_id) select 'c', gen_random_uuid() from generate_series(1, 100)";
    let mut connection = PgConnection::connect(&database.url()).await.expect("a connection");
    for migration in MIGRATIONS.iter() {
        if migration.version == BOUNDS {
            sqlx::raw_sql(ROWS).execute(&mut connection).await.expect("rows");
        }
        sqlx::raw_sql(migration.sql.clone()).execute(&mut connection).await.expect("migrated");
    }
    sqlx::query_scalar("select count(*) from inbox").fetch_one(&mut connection).await.expect("a count")
}

#[tokio::test]
async fn the_inbox_of_an_earlier_release_becomes_the_first_partition_and_keeps_what_it_remembers() {
    for database in [postgres().await, postgres15().await] {
        assert_eq!(migrate_with_rows(&database).await, 14, "those of the last 14 days");
        let mut connection = PgConnection::connect(&database.url()).await.expect("a connection");
        let known: Vec<i32> = sqlx::query_scalar("select (value #>> '{}')::int from inbox order by 1")
            .fetch_all(&mut connection)
            .await
            .expect("rows");
        assert_eq!(known, (0..14).collect::<Vec<_>>());
        let create = "select inbox_create_partitions(now() - interval '14 days', now() + interval '22 days')";
        let created: i32 = sqlx::query_scalar(create).fetch_one(&mut connection).await.expect("created");
        assert!((2..=3).contains(&created), "{created}");
        let again: i32 = sqlx::query_scalar(create).fetch_one(&mut connection).await.expect("created");
        assert_eq!(again, 0);
    }
}

#[tokio::test]
async fn a_partition_that_is_being_read_is_dropped_later_and_writers_wait_for_a_moment_only() {
    const DROP: &str = "select inbox_drop_partitions(now() + interval '40 days')";
    let db = database().await;
    let mut reader = db.begin().await.expect("a transaction");
    let dedup_key = DedupKey::Event { consumer: "cart", id: message_id(1) };
    assert_eq!(find_result::<()>(&mut reader, &dedup_key).await.expect("looked up"), None);
    let mut connection = db.acquire().await.expect("a connection");

    let refused = sqlx::query(DROP).execute(&mut *connection).await.expect_err("held up");
    assert!(agora_postgres::unavailable(&refused), "{refused:?}");

    reader.commit().await.expect("committed");
    let dropped: i32 = sqlx::query_scalar(DROP).fetch_one(&mut *connection).await.expect("dropped");
    assert_eq!(dropped, 1);
}
