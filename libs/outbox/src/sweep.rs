//! Forgets what need not be remembered any longer.
//!
//! Knows ages; must not touch what is not finished.

use std::time::Duration;

use agora_chassis::Process;
use agora_postgres::Db;

const INTERVAL: Duration = Duration::from_mins(10);
const ROWS_PER_TRANSACTION: i64 = 1_000;
const ANSWERS_HOURS: i32 = 24;
/// Money is asked about for longer.
const PAYMENT_ANSWERS_HOURS: i32 = 72;
/// Longer than a topic keeps a fact and a dead letter waits for its replay.
const INBOX_HOURS: i32 = 30 * 24;

const ANSWERS: &str = "delete from idempotency where ctid in (select ctid from idempotency \
    where created_at < now() - make_interval(hours => $1) and (state = 'done' or lease_until is null or lease_until < now()) \
    limit $2 for update skip locked)";
const INBOX: &str = "delete from inbox where ctid in (select ctid from inbox \
    where processed_at < now() - make_interval(hours => $1) limit $2 for update skip locked)";

/// Deletes, every ten minutes and a thousand rows at a time, answers older than 24 h (payment: 72 h) and the inbox's rows
/// older than 30 days.
pub fn sweep(db: Db, process: &Process) {
    let answers_hours = if process.service() == "payment" { PAYMENT_ANSWERS_HOURS } else { ANSWERS_HOURS };
    let shutdown = process.shutdown();
    process.supervise("outbox-sweep", move || {
        let (db, shutdown) = (db.clone(), shutdown.clone());
        async move { shutdown.run_until_cancelled(run(&db, answers_hours)).await.unwrap_or(Ok(())) }
    });
}

async fn run(db: &Db, answers_hours: i32) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(INTERVAL).await;
        sweep_once(db, answers_hours).await?;
    }
}

async fn sweep_once(db: &Db, answers_hours: i32) -> Result<(), sqlx::Error> {
    for (sql, hours) in [(ANSWERS, answers_hours), (INBOX, INBOX_HOURS)] {
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
    async fn what_is_old_and_finished_is_forgotten_and_nothing_else() {
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

        sweep_once(&db, ANSWERS_HOURS).await.expect("swept");

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
