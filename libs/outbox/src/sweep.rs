//! Deletes expired rows of the outbox's tables, and keeps the partitions of the inbox.
//!
//! Contains retention times. Must not delete rows of requests in progress.

use std::time::Duration;

use agora_chassis::Process;
use agora_postgres::Db;

use crate::inbox::{drop_partitions, provide_partitions};

const INTERVAL: Duration = Duration::from_mins(10);
/// Interval at which the creation of partitions is repeated after a failure: without them messages are not applied.
const CREATION_RETRY: Duration = Duration::from_secs(5);
const ROWS_PER_TRANSACTION: i64 = 1_000;
/// Retention of stored responses.
const RESPONSES_HOURS: i32 = 24;
/// Retention of stored responses of payments, whose clients retry for longer.
const PAYMENT_RESPONSES_HOURS: i32 = 72;
/// Retention of what waits for an administrator: dead letters and events that the broker rejected.
const WAITING_HOURS: i32 = 90 * 24;

const RESPONSES: &str = include_str!("../sql/delete_old_responses.sql");
const DEAD_LETTERS: &str = include_str!("../sql/delete_old_dead_letters.sql");
const SET_ASIDE: &str = include_str!("../sql/delete_old_set_aside.sql");

/// Deletes every ten minutes, in transactions of a thousand rows, stored responses older than 24 h (payment: 72 h), and dead
/// letters and set-aside events older than 90 days. At once and every ten minutes, creates the inbox's partitions of the
/// coming days and drops those of messages that were made more than 14 days ago.
pub fn sweep(db: Db, process: &Process) {
    let responses_hours = if process.service() == "payment" { PAYMENT_RESPONSES_HOURS } else { RESPONSES_HOURS };
    let shutdown = process.shutdown();
    process.supervise("outbox-sweep", move || {
        let (db, shutdown) = (db.clone(), shutdown.clone());
        async move { shutdown.run_until_cancelled(run(&db, responses_hours)).await.unwrap_or(Ok(())) }
    });
}

async fn run(db: &Db, responses_hours: i32) -> anyhow::Result<()> {
    loop {
        while let Err(error) = provide_partitions(db).await {
            tracing::warn!(%error, "could not create the inbox's partitions of the coming days; retrying in seconds");
            tokio::time::sleep(CREATION_RETRY).await;
        }
        if let Err(error) = sweep_once(db, responses_hours).await {
            tracing::warn!(%error, "could not delete expired rows; retrying in ten minutes");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn sweep_once(db: &Db, responses_hours: i32) -> Result<(), sqlx::Error> {
    let expired = [(RESPONSES, responses_hours), (DEAD_LETTERS, WAITING_HOURS), (SET_ASIDE, WAITING_HOURS)];
    for (sql, hours) in expired {
        loop {
            let mut connection = db.acquire().await?;
            let deleted = sqlx::query(sql).bind(hours).bind(ROWS_PER_TRANSACTION).execute(&mut *connection).await?;
            if deleted.rows_affected() == 0 {
                break;
            }
        }
    }
    drop_partitions(db, None).await
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use sqlx::Executor;

    use super::*;
    use crate::MIGRATIONS;

    #[tokio::test]
    async fn only_old_and_finished_rows_are_deleted() {
        const ROWS: &str = "
            insert into idempotency (scope, route, key, hash, state, answer, lease_until, created_at) values
                ('u', 'r', 'young', '', 'done', '1', null, now() - interval '23 hours'),
                ('u', 'r', 'running', '', 'started', null, now() + interval '1 minute', now() - interval '25 hours');
            insert into idempotency (scope, route, key, hash, state, answer, created_at)
                select 'u', 'r', 'old ' || n, '', 'done', '1', now() - interval '25 hours' from generate_series(1, 2500) as n;
            insert into dead_letter (consumer, topic, partition, \"offset\", payload, reason, attempts, first_at, last_at)
                select 'cart', 't', 0, n, '', 'r', 1, now(), now() - n * interval '89 days' from generate_series(1, 2) as n;
            insert into outbox_set_aside (id, shard, topic, kind, version, event_id, aggregate, seq, epoch, data, created_at,
                    reason, set_aside_at)
                select n, 0, 't', 'k', 1, gen_random_uuid(), gen_random_uuid(), 1, 0, '{}', now(), 'r',
                    now() - n * interval '89 days' from generate_series(1, 2) as n";
        let db = Db::for_test(&agora_testkit::postgres().await.url(), &MIGRATIONS).await;
        let mut connection = db.acquire().await.expect("a connection");
        connection.execute(ROWS).await.expect("rows");

        sweep_once(&db, RESPONSES_HOURS).await.expect("swept");

        let keys: Vec<String> = sqlx::query_scalar("select key from idempotency order by key")
            .fetch_all(&mut *connection)
            .await
            .expect("rows");
        assert_eq!(keys, ["running", "young"]);
        let waiting: i64 = sqlx::query_scalar(
            "select (select count(*) from dead_letter) * 10 + (select count(*) from outbox_set_aside)",
        )
        .fetch_one(&mut *connection)
        .await
        .expect("a count");
        assert_eq!(waiting, 11);
    }
}
