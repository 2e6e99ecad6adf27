//! A cause takes effect once, whatever races, repeats or fails.

use agora_chassis::Process;
use agora_outbox::{DedupKey, Error, Outcome, claim_key, find_result, store_result};
use agora_postgres::{Db, constraint};
use agora_testkit::message_id;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{append, database, pending};

fn request(key: &str, hash: u8) -> DedupKey {
    DedupKey::Request { scope: "user".into(), key: key.into(), route: "POST /x".into(), hash: [hash; 32] }
}

async fn with_table() -> Db {
    let db = database().await;
    let mut connection = db.acquire().await.expect("a connection");
    sqlx::query("create table effect (n int)").execute(&mut *connection).await.expect("a table");
    db
}

async fn effects(db: &Db) -> i64 {
    let mut connection = db.acquire().await.expect("a connection");
    sqlx::query_scalar("select count(*) from effect").fetch_one(&mut *connection).await.expect("a count")
}

/// A use case: an effect whose answer is its number.
async fn work(db: &Db, dedup_key: &DedupKey, n: i32) -> Result<Outcome<i32>, Error> {
    let mut tx = db.begin().await?;
    if let Some(stored) = claim_key(&mut tx, dedup_key).await? {
        return Ok(Outcome::Duplicate(stored));
    }
    sqlx::query("insert into effect (n) values ($1)").bind(n).execute(&mut *tx).await?;
    store_result(&mut tx, dedup_key, &n).await?;
    tx.commit().await?;
    Ok(Outcome::Applied(n))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_concurrent_requests_with_one_key_one_is_executed_and_all_return_its_result() {
    let db = with_table().await;
    let dedup_key = request("k", 1);
    let answers = join_all((0..100).map(|n| work(&db, &dedup_key, n))).await;
    let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>().expect("no error");
    assert_eq!(answers.iter().filter(|answer| !answer.is_duplicate()).count(), 1);
    assert_eq!(effects(&db).await, 1);
    let first = answers[0].into_inner();
    assert!(answers.iter().all(|answer| answer.into_inner() == first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_deliveries_of_one_event_or_command_one_takes_effect() {
    let db = with_table().await;
    let event = DedupKey::Event { consumer: "cart", id: message_id(1) };
    let command = DedupKey::Command { id: message_id(1) };
    for dedup_key in [event, command] {
        let answers = join_all((0..100).map(|n| work(&db, &dedup_key, n))).await;
        let first = answers.iter().filter(|answer| matches!(answer, Ok(Outcome::Applied(_)))).count();
        assert_eq!(first, 1, "{dedup_key:?}");
        assert!(answers.iter().all(Result::is_ok));
    }
    assert_eq!(effects(&db).await, 2);
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_and_another_scope_or_route_is_another_key() {
    let db = with_table().await;
    work(&db, &request("k", 1), 1).await.expect("the first");
    assert!(matches!(work(&db, &request("k", 2), 2).await, Err(Error::Mismatch)));
    let other = |scope: &str, route: &str| DedupKey::Request {
        scope: scope.into(),
        key: "k".into(),
        route: route.into(),
        hash: [2; 32],
    };
    assert_eq!(work(&db, &other("another", "POST /x"), 3).await.expect("another user"), Outcome::Applied(3));
    assert_eq!(work(&db, &other("user", "POST /y"), 4).await.expect("another route"), Outcome::Applied(4));
}

#[tokio::test]
async fn a_rolled_back_change_leaves_its_key_unclaimed() {
    let db = with_table().await;
    for dedup_key in [request("k", 1), DedupKey::Command { id: message_id(1) }] {
        let mut tx = db.begin().await.expect("a transaction");
        assert_eq!(claim_key::<i32>(&mut tx, &dedup_key).await.expect("free"), None);
        store_result(&mut tx, &dedup_key, &1).await.expect("stored");
        drop(tx);
        assert_eq!(work(&db, &dedup_key, 2).await.expect("free again"), Outcome::Applied(2));
    }
}

#[tokio::test]
async fn an_empty_result_is_distinguished_from_no_result() {
    let db = database().await;
    for (dedup_key, stores) in [
        (request("unit", 1), true),
        (DedupKey::Event { consumer: "cart", id: message_id(1) }, true),
        (DedupKey::Event { consumer: "cart", id: message_id(2) }, false),
    ] {
        let mut tx = db.begin().await.expect("a transaction");
        assert_eq!(claim_key::<()>(&mut tx, &dedup_key).await.expect("free"), None);
        if stores {
            store_result(&mut tx, &dedup_key, &()).await.expect("stored");
        }
        tx.commit().await.expect("committed");
        let mut tx = db.begin().await.expect("a transaction");
        assert_eq!(claim_key::<()>(&mut tx, &dedup_key).await.expect("done"), Some(()), "{dedup_key:?}");
    }
}

#[tokio::test]
async fn a_result_is_returned_as_it_was_stored() {
    let db = database().await;
    let dedup_key = request("exact", 1);
    let answer = json!({"z": 1, "a": "\u{0}\u{e9}", "amount": 9_007_199_254_740_991_i64, "none": null});
    let mut tx = db.begin().await.expect("a transaction");
    claim_key::<serde_json::Value>(&mut tx, &dedup_key).await.expect("free");
    store_result(&mut tx, &dedup_key, &answer).await.expect("stored");
    assert_eq!(claim_key(&mut tx, &dedup_key).await.expect("done"), Some(answer));
    let unfit = claim_key::<Vec<u8>>(&mut tx, &dedup_key).await;
    assert!(matches!(unfit, Err(Error::Stored(_))), "{unfit:?}");
}

#[tokio::test]
async fn a_stored_result_can_be_read_and_an_unknown_key_stays_unclaimed() {
    let db = database().await;
    let mut connection = db.acquire().await.expect("a connection");
    for _ in 0..2 {
        assert_eq!(find_result::<i32>(&mut connection, &request("k", 1)).await.expect("looked up"), None);
    }
    let mut tx = db.begin().await.expect("a transaction");
    assert_eq!(claim_key::<i32>(&mut tx, &request("k", 1)).await.expect("free"), None);
    store_result(&mut tx, &request("k", 1), &7).await.expect("stored");
    tx.commit().await.expect("committed");
    assert_eq!(find_result(&mut connection, &request("k", 1)).await.expect("looked up"), Some(7));
    let other = find_result::<i32>(&mut connection, &request("k", 2)).await;
    assert!(matches!(other, Err(Error::Mismatch)), "{other:?}");
    assert_eq!(find_result::<i32>(&mut connection, &DedupKey::None).await.expect("nothing to look up"), None);
}

#[tokio::test]
async fn storing_a_result_without_a_claim_fails() {
    let db = database().await;
    for dedup_key in [request("k", 1), DedupKey::Command { id: message_id(1) }] {
        let mut tx = db.begin().await.expect("a transaction");
        assert!(store_result(&mut tx, &dedup_key, &1).await.is_err(), "{dedup_key:?}");
    }
}

#[tokio::test]
async fn a_request_without_a_key_is_executed_each_time() {
    let db = with_table().await;
    for n in 0..2 {
        assert_eq!(work(&db, &DedupKey::None, n).await.expect("done"), Outcome::Applied(n));
    }
    assert_eq!(effects(&db).await, 2);
}

#[tokio::test]
async fn a_sequence_number_is_unique_per_topic_and_aggregate() {
    let (db, process) = (database().await, Process::for_test("order"));
    let mut tx = db.begin().await.expect("a transaction");
    append(&mut tx, &process, 1, 1).await;
    append(&mut tx, &process, 1, 2).await;
    append(&mut tx, &process, 2, 1).await;
    tx.commit().await.expect("committed");
    let taken = sqlx::query(
        "insert into outbox (shard, topic, kind, version, event_id, aggregate, seq, epoch, data) \
         select shard, topic, kind, version, $1, aggregate, seq, epoch, data from outbox where seq = 2",
    );
    let mut connection = db.acquire().await.expect("a connection");
    let error = taken.bind(Uuid::nil()).execute(&mut *connection).await.expect_err("taken");
    assert_eq!(constraint(&error), Some("outbox_aggregate_seq"));
    assert_eq!(pending(&db).await, 3);
}
