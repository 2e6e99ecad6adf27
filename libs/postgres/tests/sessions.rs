//! What callers leave behind when they are cancelled or the server falters: no session of the pool is in an unknown state.
#![cfg(feature = "db-tests")]
#![expect(clippy::expect_used, reason = "what a test cannot do without ends it")]

use std::{
    collections::BTreeSet,
    future::poll_fn,
    path::Path,
    pin::pin,
    process::Command,
    task::Poll,
    time::{Duration, Instant},
};

use agora_chassis::{Process, WatchedSecret};
use agora_postgres::{Config, Db, PoolPart, connect, unavailable};
use agora_testkit::{PostgresServer, TestDatabase, postgres};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, migrate::Migrator};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

const SETTLED_MAX: Duration = Duration::from_secs(10);
/// A begin, statement or commit is pending at fewer polls than this.
const POLLS_MAX: usize = 6;
const ROUNDS: usize = 3;
const INSERT: &str = "insert into thing (id) values ($1)";

/// Polls a future at most `polls` times and drops it if it is still pending then.
async fn abandoned_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn admin(database: &TestDatabase) -> PgConnection {
    PgConnection::connect(&database.admin_url()).await.expect("connecting")
}

/// Waits until no session of the pool is in a transaction.
async fn until_settled(admin: &mut PgConnection) {
    const LEFT: &str = "select count(*) from pg_stat_activity \
        where datname = current_database() and usename <> 'postgres' and state <> 'idle'";
    let give_up = Instant::now() + SETTLED_MAX;
    loop {
        let left: i64 = sqlx::query_scalar(LEFT).fetch_one(&mut *admin).await.expect("a count");
        if left == 0 {
            return;
        }
        assert!(Instant::now() < give_up, "{left} sessions are still in a transaction");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn stored(admin: &mut PgConnection) -> BTreeSet<i64> {
    let ids: Vec<i64> = sqlx::query_scalar("select id::bigint from thing").fetch_all(admin).await.expect("rows");
    ids.into_iter().collect()
}

/// Writes on every pooled connection and returns the ids.
async fn write_on_all(db: &Db, first: i64) -> BTreeSet<i64> {
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(db.acquire().await.expect("a connection"));
    }
    let mut written = BTreeSet::new();
    for (id, session) in (first..).zip(&mut sessions) {
        sqlx::query(INSERT).bind(id).execute(&mut **session).await.expect("written");
        written.insert(id);
    }
    written
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Statement,
    TransactionStatement,
    Commit,
    Rollback,
}

/// Does one step and abandons it at a poll; returns whether the write of `id` was answered as done.
async fn abandon(db: &Db, step: Step, polls: usize, id: i64) -> bool {
    let insert = || sqlx::query(INSERT).bind(id);
    match step {
        Step::Begin => {
            drop(abandoned_after(polls, db.begin()).await);
            false
        }
        Step::Statement => {
            let mut session = db.acquire().await.expect("a connection");
            matches!(abandoned_after(polls, insert().execute(&mut *session)).await, Some(Ok(_)))
        }
        Step::TransactionStatement => {
            let mut tx = db.begin().await.expect("a transaction");
            let done = matches!(abandoned_after(polls, insert().execute(&mut *tx)).await, Some(Ok(_)));
            // A transaction with an abandoned statement is never reported as committed.
            tx.commit().await.is_ok() && done
        }
        Step::Commit => {
            let mut tx = db.begin().await.expect("a transaction");
            insert().execute(&mut *tx).await.expect("inserted");
            matches!(abandoned_after(polls, tx.commit()).await, Some(Ok(())))
        }
        Step::Rollback => {
            let mut tx = db.begin().await.expect("a transaction");
            insert().execute(&mut *tx).await.expect("inserted");
            drop(abandoned_after(polls, tx.rollback()).await);
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_abandoned_at_any_await_leaves_no_session_in_a_transaction() {
    let database = postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let mut admin = admin(&database).await;
    // Connecting takes many polls: without it, a step is abandoned before it begins.
    let mut next = 10;
    write_on_all(&db, 0).await;
    for _ in 0..ROUNDS {
        for step in [Step::Begin, Step::Statement, Step::TransactionStatement, Step::Commit, Step::Rollback] {
            for polls in 1..=POLLS_MAX {
                let mut answered = BTreeSet::new();
                if abandon(&db, step, polls, next).await {
                    answered.insert(next);
                }
                answered.append(&mut write_on_all(&db, next + 1).await);
                next += 20;
                let stored = stored(&mut admin).await;
                let lost: Vec<_> = answered.difference(&stored).collect();
                assert!(lost.is_empty(), "{step:?} at poll {polls}: answered as written but not committed: {lost:?}");
            }
        }
    }
    until_settled(&mut admin).await;
}

/// Signals each process that still runs: the session of a probe can end between the list of sessions and its signal.
fn signal(signal: &str, pids: &[i32]) {
    for pid in pids {
        let status = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().expect("kill runs");
        assert!(status.success() || !Path::new(&format!("/proc/{pid}")).exists(), "{pid} is not signalled");
    }
}

async fn backends(database: &TestDatabase) -> Vec<i32> {
    let sql = "select pid from pg_stat_activity where datname = current_database() and usename <> 'postgres'";
    sqlx::query_scalar(sql).fetch_all(&mut admin(database).await).await.expect("pids")
}

/// Inserts ids until the deadline, each attempt for a short time. Returns how many were answered as written, and those of
/// them that another session did not see.
async fn write_until(database: TestDatabase, db: Db, mut id: i64, deadline: Instant) -> (usize, Vec<i64>) {
    const ATTEMPT: Duration = Duration::from_millis(150);
    let mut admin = admin(&database).await;
    let (mut answered, mut unseen) = (0, Vec::new());
    while Instant::now() < deadline {
        id += 1;
        let write = async {
            if id % 2 == 0 {
                sqlx::query(INSERT).bind(id).execute(&mut *db.acquire().await?).await?;
                return Ok(());
            }
            let mut tx = db.begin().await?;
            sqlx::query(INSERT).bind(id).execute(&mut *tx).await?;
            tx.commit().await
        };
        let result: Result<Result<(), sqlx::Error>, _> = tokio::time::timeout(ATTEMPT, write).await;
        if matches!(result, Ok(Ok(()))) {
            answered += 1;
            let seen = sqlx::query_scalar("select exists (select from thing where id = $1)").bind(id);
            let seen: bool = seen.fetch_one(&mut admin).await.expect("a row");
            if !seen {
                unseen.push(id);
            }
        }
    }
    (answered, unseen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_as_written_is_committed_when_backends_freeze_under_load() {
    let server = PostgresServer::start();
    let database = server.database().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let deadline = Instant::now() + Duration::from_secs(6);
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..12 {
        writers.spawn(write_until(database.clone(), db.clone(), n * 1_000_000, deadline));
    }
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let frozen = backends(&database).await;
        signal("STOP", &frozen);
        tokio::time::sleep(Duration::from_millis(800)).await;
        signal("CONT", &frozen);
    }
    let (answered, unseen): (Vec<usize>, Vec<Vec<i64>>) = writers.join_all().await.into_iter().unzip();
    until_settled(&mut admin(&database).await).await;
    assert!(unseen.iter().all(Vec::is_empty), "answered as written but not committed: {unseen:?}");
    assert!(answered.iter().sum::<usize>() > 100, "the load must be real: {answered:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_freezes_blocks_a_statement_and_a_commit_for_a_limited_time_only() {
    let server = PostgresServer::start();
    let database = server.database().await;
    drop(Db::for_test(&database.url(), &MIGRATIONS).await);
    let process = Process::for_test("catalog");
    let part = PoolPart { name: "short", one_in: 2, statement_time_max: Duration::from_millis(200) };
    let (_, config) = Config::new(WatchedSecret::fixed(database.url()), 8, None).split(part);
    let db = connect(&config.expect("four connections"), &MIGRATIONS, &process).await;
    let mut session = db.acquire().await.expect("a connection");
    let mut tx = db.begin().await.expect("a transaction");
    sqlx::query(INSERT).bind(1_i64).execute(&mut *tx).await.expect("inserted");
    let frozen = backends(&database).await;
    signal("STOP", &frozen);
    let (read, several, committed) = tokio::time::timeout(SETTLED_MAX * 3, async {
        let read = sqlx::query("select 1").fetch_optional(&mut *session).await.map(drop);
        let several = sqlx::query("select 1").fetch_all(&mut *session).await.map(drop);
        (read, several, tx.commit().await)
    })
    .await
    .expect("each ends by itself");
    signal("CONT", &frozen);
    for result in [read, several, committed] {
        let error = result.expect_err("the server did not answer");
        assert!(unavailable(&error), "{error}");
    }
    drop(session);
    let give_up = Instant::now() + SETTLED_MAX;
    while let Err(error) = async { sqlx::query(INSERT).bind(2_i64).execute(&mut *db.acquire().await?).await }.await {
        assert!(Instant::now() < give_up, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process.end().await;
}

#[tokio::test]
async fn a_transaction_whose_statement_failed_is_not_reported_as_committed() {
    let database = postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let mut tx = db.begin().await.expect("a transaction");
    sqlx::query(INSERT).bind(1_i64).execute(&mut *tx).await.expect("inserted");
    sqlx::query(INSERT).bind(1_i64).execute(&mut *tx).await.expect_err("twice the same");
    tx.commit().await.expect_err("the server rolls it back");
    assert!(stored(&mut admin(&database).await).await.is_empty());
}

/// A session on another database of the server, which a setting of `database` does not concern.
async fn elsewhere(database: &TestDatabase, sql: &str) {
    let url = database.admin_url();
    let (server, _) = url.rsplit_once('/').expect("a path");
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await.expect("connecting");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut admin).await.expect("done");
}

async fn make_read_only(database: &TestDatabase) {
    let name = database.name();
    elsewhere(database, &format!("alter database {name} set default_transaction_read_only = on")).await;
    elsewhere(
        database,
        &format!("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{name}'"),
    )
    .await;
}

async fn reset_read_only(database: &TestDatabase) {
    elsewhere(database, &format!("alter database {} reset default_transaction_read_only", database.name())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_work_soon_after_a_server_that_refused_them_accepts_them() {
    let database = postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    write_on_all(&db, 0).await;
    make_read_only(&database).await;
    // Every connection of the pool is one that refuses writes.
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(db.acquire().await.expect("a connection"));
    }
    let write = async |id: i64| sqlx::query(INSERT).bind(id).execute(&mut *db.acquire().await?).await;
    drop(sessions);
    let refused = write(100).await.expect_err("read-only");
    assert!(unavailable(&refused), "{refused}");

    reset_read_only(&database).await;
    let (accepted_at, mut id) = (Instant::now(), 100);
    let mut refusals = 0;
    while write(id).await.is_err() {
        (id, refusals) = (id + 1, refusals + 1);
        assert!(accepted_at.elapsed() < Duration::from_secs(5), "still refused after {refusals} attempts");
    }
    assert!(refusals <= 1, "one refusal is enough to replace all old sessions, not {refusals}");
}

async fn gate_reason(process: &Process, part: &str) {
    let give_up = Instant::now() + SETTLED_MAX;
    loop {
        let reasons: Vec<String> = process.readiness().gates.into_iter().map(|gate| gate.reason).collect();
        if reasons.iter().any(|reason| reason.contains(part)) {
            return;
        }
        assert!(Instant::now() < give_up, "{reasons:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn config(url: String) -> Config {
    Config::new(WatchedSecret::fixed(url), 4, None)
}

#[tokio::test]
async fn readiness_names_a_database_that_refuses_writes_and_follows_it() {
    let database = postgres().await;
    drop(Db::for_test(&database.url(), &MIGRATIONS).await);
    make_read_only(&database).await;
    let process = Process::for_test("catalog");
    connect(&config(database.url()), &MIGRATIONS, &process).await;
    gate_reason(&process, "the database refuses writes").await;

    reset_read_only(&database).await;
    let give_up = Instant::now() + SETTLED_MAX;
    while !process.readiness().ready {
        let report = process.readiness();
        assert!(Instant::now() < give_up, "{report:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process.end().await;
}
