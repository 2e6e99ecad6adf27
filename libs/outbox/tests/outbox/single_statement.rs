//! A change of one statement writes its rows, events and result together or not at all, under races and repetitions.

use agora_chassis::Process;
use agora_outbox::{
    Acquisition, DedupKey, DedupRecord, Error, IdempotencyLease, NewEvent, NewEvents, Outcome, StoredResponse,
    find_result, insert_result, write_once,
};
use agora_postgres::Db;
use agora_testkit::message_id;
use agora_vocab::Epoch;
use futures::future::join_all;
use serde_json::json;
use sqlx::Row as _;
use std::time::Duration;

use crate::fixture::{TestEvent, aggregate, database, pending};

const LEASE: Duration = Duration::from_secs(10);

async fn with_table() -> Db {
    let db = database().await;
    let mut connection = db.acquire().await.expect("a connection");
    let make = "create table place (version int not null); insert into place values (1)";
    sqlx::raw_sql(make).execute(&mut *connection).await.expect("a table");
    db
}

async fn version(db: &Db) -> i32 {
    let mut connection = db.acquire().await.expect("a connection");
    sqlx::query_scalar("select version from place").fetch_one(&mut *connection).await.expect("the place")
}

async fn acquire(db: &Db, dedup_key: &DedupKey) -> Acquisition {
    let mut tx = db.begin().await.expect("a transaction");
    let acquisition = IdempotencyLease::acquire(&mut tx, dedup_key, aggregate(9), LEASE).await.expect("acquiring");
    tx.commit().await.expect("committed");
    acquisition
}

fn answer(version: i32) -> StoredResponse {
    StoredResponse { status: 201, location: None, body: json!({ "version": version }) }
}

const RAISE: &str = "with changed as (update place set version = version + 1 where version = $1 returning version) \
    select version, outbox_append($2), dedup_complete($3), idempotency_complete($4, $5) from changed";

fn event_of(process: &Process, version: i32) -> NewEvents {
    let mut events = NewEvents::new();
    let (event, seq) = (TestEvent::It(version.into()), version.into());
    let event = NewEvent { event: &event, aggregate: aggregate(1), seq, correlation: None, causation: None };
    events.push(&*process.ids(), Epoch(0), event).expect("an event");
    events
}

/// Raises the version once per key, appends an event, and reads again if the version was changed concurrently.
async fn raise(db: &Db, process: &Process, dedup_key: &DedupKey) -> Result<Outcome<i32>, Error> {
    let mut connection = db.acquire().await?;
    loop {
        if let Some(stored) = find_result(&mut connection, dedup_key).await? {
            return Ok(Outcome::Duplicate(stored));
        }
        let version: i32 = sqlx::query_scalar("select version from place").fetch_one(&mut *connection).await?;
        let events = event_of(process, version);
        let raise = sqlx::query(RAISE)
            .bind(version)
            .bind(events.rows())
            .bind(DedupRecord::of(dedup_key, &(version + 1))?)
            .bind(aggregate(9))
            .bind(answer(version + 1).to_json()?);
        if let Some(raised) = write_once(&mut connection, raise, &events, &[]).await? {
            return Ok(Outcome::Applied(raised.try_get(0)?));
        }
    }
}

fn dedup_keys() -> [DedupKey; 3] {
    let request =
        DedupKey::Request { scope: "user".into(), key: "k".into(), route: "POST /x".into(), hash: [0xA7; 32] };
    [request, DedupKey::Event { consumer: "cart", id: message_id(1) }, DedupKey::Command { id: message_id(1) }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_concurrent_duplicates_one_is_applied() {
    let (db, process) = (with_table().await, Process::for_test("order"));
    for (already, dedup_key) in (1..).zip(dedup_keys()) {
        let done = join_all((0..50).map(|_| raise(&db, &process, &dedup_key))).await;
        let done: Vec<_> = done.into_iter().collect::<Result<_, _>>().expect("no error");
        assert_eq!(done.iter().filter(|done| !done.is_duplicate()).count(), 1, "{dedup_key:?}");
        assert!(done.iter().all(|done| done.into_inner() == already + 1), "{dedup_key:?}: {done:?}");
        assert_eq!((version(&db).await, pending(&db).await), (already + 1, already.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_different_keys_apply_one_after_another_with_gapless_events() {
    let (db, process) = (with_table().await, Process::for_test("order"));
    let dedup_keys: Vec<_> = (0..50).map(|n| DedupKey::Command { id: message_id(n) }).collect();
    let done = join_all(dedup_keys.iter().map(|dedup_key| raise(&db, &process, dedup_key))).await;
    let mut versions: Vec<_> = done.into_iter().map(|done| done.expect("no error")).map(Outcome::into_inner).collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..52).collect::<Vec<_>>());
    assert_eq!(pending(&db).await, 50);
}

#[tokio::test]
async fn a_change_that_does_not_apply_writes_no_event_result_or_response() {
    let (db, process) = (with_table().await, Process::for_test("order"));
    let [request, _, command] = dedup_keys();
    assert_eq!(acquire(&db, &request).await, Acquisition::Started { recovery_id: aggregate(9) });
    let mut connection = db.acquire().await.expect("a connection");
    let events = event_of(&process, 1);
    let changed: Option<i32> = sqlx::query_scalar(RAISE)
        .bind(6)
        .bind(events.rows())
        .bind(DedupRecord::of(&command, &1).expect("a value"))
        .bind(aggregate(9))
        .bind(answer(1).to_json().expect("JSON"))
        .fetch_optional(&mut *connection)
        .await
        .expect("a statement");
    assert_eq!(changed, None);
    assert_eq!(find_result::<i32>(&mut connection, &command).await.expect("reading"), None);
    drop(connection);
    let mut tx = db.begin().await.expect("a transaction");
    let running = IdempotencyLease::acquire(&mut tx, &request, aggregate(9), LEASE).await.expect("acquiring");
    assert!(matches!(running, Acquisition::InProgress { .. }), "{running:?}");
    assert_eq!(pending(&db).await, 0);
}

#[tokio::test]
async fn a_lease_is_completed_with_its_change() {
    let (db, process) = (with_table().await, Process::for_test("order"));
    let [request, ..] = dedup_keys();
    assert_eq!(acquire(&db, &request).await, Acquisition::Started { recovery_id: aggregate(9) });
    raise(&db, &process, &DedupKey::None).await.expect("raising");
    let mut tx = db.begin().await.expect("a transaction");
    let answered = IdempotencyLease::acquire(&mut tx, &request, aggregate(9), LEASE).await.expect("acquiring");
    assert_eq!(answered, Acquisition::Completed(answer(2)));
}

#[tokio::test]
async fn an_empty_result_is_stored_once() {
    let db = database().await;
    let mut connection = db.acquire().await.expect("a connection");
    for dedup_key in dedup_keys() {
        assert!(insert_result(&mut connection, &dedup_key, &()).await.expect("keeping"), "{dedup_key:?}");
        assert_eq!(find_result::<()>(&mut connection, &dedup_key).await.expect("reading"), Some(()), "{dedup_key:?}");
        assert!(!insert_result(&mut connection, &dedup_key, &()).await.expect("keeping"), "{dedup_key:?}");
    }
}

#[tokio::test]
async fn a_duplicate_changes_nothing_without_a_lookup_before() {
    const CHANGE: &str = "with changed as (update place set version = version + 1 where dedup_is_new($1) returning version), \
        stored as (select dedup_complete($1) from changed) select exists (select from stored)";
    let db = with_table().await;
    let mut connection = db.acquire().await.expect("a connection");
    let mut changed = async |dedup_key: &DedupKey| -> bool {
        let change = sqlx::query_scalar(CHANGE).bind(DedupRecord::of(dedup_key, &1).expect("a value"));
        change.fetch_one(&mut *connection).await.expect("a statement")
    };
    for dedup_key in dedup_keys() {
        assert_eq!((changed(&dedup_key).await, changed(&dedup_key).await), (true, false), "{dedup_key:?}");
    }
    assert_eq!((changed(&DedupKey::None).await, changed(&DedupKey::None).await), (true, true));
}
