//! Work with a foreign call: its recovery point, its lease, its answer.

use std::time::Duration;

use agora_outbox::{Acquisition, DedupKey, Error, IdempotencyLease, StoredResponse};
use agora_postgres::Db;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{aggregate, database};

const LONG: Duration = Duration::from_mins(1);
const OVER: Duration = Duration::ZERO;

fn request(hash: u8) -> DedupKey {
    DedupKey::Request { scope: "user".into(), key: "k".into(), route: "POST /orders".into(), hash: [hash; 32] }
}

async fn claims(db: &Db, dedup_key: &DedupKey, recovery_id: Uuid, lease: Duration) -> Result<Acquisition, Error> {
    let mut tx = db.begin().await?;
    let claim = IdempotencyLease::acquire(&mut tx, dedup_key, recovery_id, lease).await?;
    tx.commit().await?;
    Ok(claim)
}

#[tokio::test]
async fn an_expired_lease_is_resumed_with_its_recovery_id_and_a_completed_one_returns_its_response() {
    let db = database().await;
    let (first, second) = (aggregate(1), aggregate(2));
    let dedup_key = request(1);
    assert_eq!(claims(&db, &dedup_key, first, LONG).await.expect("free"), Acquisition::Started { recovery_id: first });
    assert_eq!(
        claims(&db, &dedup_key, second, LONG).await.expect("held"),
        Acquisition::InProgress { retry_after_s: 1 }
    );
    assert!(matches!(claims(&db, &request(2), second, LONG).await, Err(Error::Mismatch)));
    end_leases(&db).await;
    assert_eq!(claims(&db, &dedup_key, second, LONG).await.expect("over"), Acquisition::Resumed { recovery_id: first });
    assert_eq!(
        claims(&db, &dedup_key, second, LONG).await.expect("held again"),
        Acquisition::InProgress { retry_after_s: 1 }
    );

    let answer = StoredResponse { status: 201, location: Some("/orders/1".into()), body: json!({"id": 1}) };
    let mut tx = db.begin().await.expect("a transaction");
    IdempotencyLease::complete(&mut tx, first, &answer).await.expect("settled");
    IdempotencyLease::cancel(&mut tx, first).await.expect("nothing to abandon");
    tx.commit().await.expect("committed");

    assert_eq!(claims(&db, &dedup_key, second, LONG).await.expect("done"), Acquisition::Completed(answer));
}

#[tokio::test]
async fn a_released_lease_is_resumed_with_its_recovery_id() {
    let db = database().await;
    let dedup_key = request(1);
    claims(&db, &dedup_key, aggregate(1), LONG).await.expect("free");
    let mut tx = db.begin().await.expect("a transaction");
    IdempotencyLease::release(&mut tx, aggregate(1)).await.expect("unlocked");
    tx.commit().await.expect("committed");
    let again = claims(&db, &dedup_key, aggregate(2), LONG).await.expect("unlocked");
    assert_eq!(again, Acquisition::Resumed { recovery_id: aggregate(1) });
}

#[tokio::test]
async fn a_cancelled_lease_starts_again_with_another_recovery_id() {
    let db = database().await;
    let command = DedupKey::Command { id: aggregate(9) };
    claims(&db, &command, aggregate(1), LONG).await.expect("free");
    let mut tx = db.begin().await.expect("a transaction");
    IdempotencyLease::cancel(&mut tx, aggregate(1)).await.expect("abandoned");
    tx.commit().await.expect("committed");
    let again = claims(&db, &command, aggregate(2), LONG).await.expect("free again");
    assert_eq!(again, Acquisition::Started { recovery_id: aggregate(2) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_callers_that_find_an_expired_lease_one_resumes_it() {
    let db = database().await;
    let dedup_key = request(1);
    claims(&db, &dedup_key, aggregate(1), LONG).await.expect("free");
    end_leases(&db).await;
    let found = join_all((0..100).map(|_| claims(&db, &dedup_key, aggregate(2), LONG))).await;
    let resumed = found.iter().filter(|claim| matches!(claim, Ok(Acquisition::Resumed { .. }))).count();
    let running = found.iter().filter(|claim| matches!(claim, Ok(Acquisition::InProgress { .. }))).count();
    assert_eq!((resumed, running), (1, 99));
}

#[tokio::test]
async fn expired_leases_are_found_by_one_worker() {
    let db = database().await;
    claims(&db, &request(1), aggregate(1), OVER).await.expect("free");
    let held = DedupKey::Command { id: aggregate(9) };
    claims(&db, &held, aggregate(2), LONG).await.expect("free");

    let (mut one, mut other) = (db.begin().await.expect("one"), db.begin().await.expect("other"));
    assert_eq!(IdempotencyLease::expired(&mut one, OVER, 10).await.expect("found"), [aggregate(1)]);
    assert!(IdempotencyLease::expired(&mut other, OVER, 10).await.expect("none").is_empty());
    assert!(IdempotencyLease::expired(&mut one, LONG, 10).await.expect("too young").is_empty());
}

async fn end_leases(db: &Db) {
    let mut connection = db.acquire().await.expect("a connection");
    let sql = "update idempotency set lease_until = now() - interval '1 second'";
    sqlx::query(sql).execute(&mut *connection).await.expect("ended");
}
