//! Deletes expired idempotency and inbox rows.
//!
//! Contains retention times. Must not delete rows of requests in progress.

use std::time::Duration;

use agora_chassis::Process;
use agora_postgres::Db;

const INTERVAL: Duration = Duration::from_mins(10);
const ROWS_PER_TRANSACTION: i64 = 1_000;
/// Retention of stored responses.
const RESPONSES_HOURS: i32 = 24;
/// Retention of stored responses of payments, whose clients retry for longer.
const PAYMENT_RESPONSES_HOURS: i32 = 72;
/// Longer than the retention of a topic and of a dead letter that waits for its replay.
const INBOX_HOURS: i32 = 30 * 24;

const RESPONSES: &str = "delete from idempotency where ctid in (select ctid from idempotency \
    where created_at < now() - make_interval(hours => $1) and (state = 'done' or lease_until is null or lease_until < now()) \
    limit $2 for update skip locked)";
const INBOX: &str = "delete from inbox where ctid in (select ctid from inbox \
    where processed_at < now() - make_interval(hours => $1) limit $2 for update skip locked)";

/// Deletes every ten minutes, in transactions of a thousand rows, stored responses older than 24 h (payment: 72 h) and
/// inbox rows older than 30 days.
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
        tokio::time::sleep(INTERVAL).await;
        sweep_once(db, responses_hours).await?;
    }
}

async fn sweep_once(db: &Db, responses_hours: i32) -> Result<(), sqlx::Error> {
    for (sql, hours) in [(RESPONSES, responses_hours), (INBOX, INBOX_HOURS)] {
        loop {
            let mut connection = db.acquire().await?;
            let deleted = sqlx::query(sql).bind(hours).bind(ROWS_PER_TRANSACTION).execute(&mut *connection).await?;
            if deleted.rows_affected() == 0 {
                break;
            }
        }
    }
    Ok(())
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
                ('u', 'r', 'old', '', 'done', '1', null, now() - interval '25 hours'),
                ('u', 'r', 'young', '', 'done', '1', null, now() - interval '23 hours'),
                ('u', 'r', 'running', '', 'started', null, now() + interval '1 minute', now() - interval '25 hours');
            insert into inbox (consumer, event_id, processed_at)
                select 'cart', gen_random_uuid(), now() - interval '31 days' from generate_series(1, 2500);
            insert into inbox (consumer, event_id, processed_at) values ('cart', gen_random_uuid(), now() - interval '29 days')";
        let db = Db::for_test(&agora_testkit::postgres().await.url(), &MIGRATIONS).await;
        let mut connection = db.acquire().await.expect("a connection");
        connection.execute(ROWS).await.expect("rows");

        sweep_once(&db, RESPONSES_HOURS).await.expect("swept");

        let keys: Vec<String> = sqlx::query_scalar("select key from idempotency order by key")
            .fetch_all(&mut *connection)
            .await
            .expect("rows");
        assert_eq!(keys, ["running", "young"]);
        let inbox: i64 =
            sqlx::query_scalar("select count(*) from inbox").fetch_one(&mut *connection).await.expect("a count");
        assert_eq!(inbox, 1);
    }
}
