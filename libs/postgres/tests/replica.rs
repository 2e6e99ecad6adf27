//! Reads at a real standby, and at the primary while the standby cannot be used.
#![cfg(feature = "db-tests")]
#![expect(clippy::expect_used, reason = "what a test cannot do without ends it")]

use std::time::{Duration, Instant};

use agora_chassis::{Process, WatchedSecret};
use agora_postgres::{Address, Config, ReadDb, ReplicaConfig, connect, connect_reads, migrate};
use agora_testkit::{PostgresServer, TestDatabase};
use agora_vocab::Secret;
use sqlx::migrate::Migrator;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

const PATIENCE: Duration = Duration::from_secs(30);
const LAG_MAX: Duration = Duration::from_secs(1);

/// Whether a read is answered by a standby. No read fails.
async fn reads_at_standby(reads: &ReadDb) -> bool {
    let mut session = reads.acquire().await.expect("the primary or the standby answers");
    sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut *session).await.expect("an answer")
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        // Longer than a session is trusted without being tried.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
}

fn reported(process: &Process) -> String {
    let degraded = process.readiness().degraded;
    degraded
        .into_iter()
        .find(|waiting| waiting.name == "database/replica")
        .map_or_else(String::new, |found| found.reason)
}

async fn open(database: &TestDatabase, replica: &PostgresServer, process: &Process) -> ReadDb {
    let config = Config::new(WatchedSecret::fixed(database.url()), 3, None);
    let primary = connect(&config, &MIGRATIONS, process).await;
    let address = Address::parse(&replica.address()).expect("an address");
    let replica = ReplicaConfig { address, lag_max: LAG_MAX };
    connect_reads(&config, &replica, primary, &MIGRATIONS, process)
}

#[tokio::test]
async fn da6_reads_are_at_the_replica_while_it_follows_and_at_the_primary_otherwise() {
    let primary = PostgresServer::start();
    let database = primary.database().await;
    migrate(&Secret::new(database.url()), None, &MIGRATIONS).await.expect("migrated");
    let standby = primary.standby().await;
    let process = Process::for_test("search");
    let reads = open(&database, &standby, &process).await;
    until("reads are at the standby", async || reads_at_standby(&reads).await).await;
    assert_eq!(reported(&process), "");

    standby.as_admin("select pg_wal_replay_pause()").await;
    database.as_admin("insert into thing (id) values (7)").await;
    until("a standby that lags is not read", async || !reads_at_standby(&reads).await).await;
    assert!(reported(&process).contains("lags behind"), "{}", reported(&process));
    standby.as_admin("select pg_wal_replay_resume()").await;
    until("reads are at the standby again", async || reads_at_standby(&reads).await).await;

    standby.stop();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(!reads_at_standby(&reads).await, "a standby that is away fails no read");
    until("the standby is reported", async || reported(&process).contains("does not answer")).await;
    standby.resume().await;
    until("reads are at the standby once it is back", async || reads_at_standby(&reads).await).await;

    primary.stop();
    assert!(reads_at_standby(&reads).await, "the standby answers without the primary");
    process.end().await;
}

#[tokio::test]
async fn da6_a_server_that_is_no_standby_of_the_database_is_not_read() {
    let (primary, other) = (PostgresServer::start(), PostgresServer::start());
    let database = primary.database().await;
    migrate(&Secret::new(database.url()), None, &MIGRATIONS).await.expect("migrated");
    // The same names, logins and migrations, and other data.
    let same = other.database().await;
    migrate(&Secret::new(same.url()), None, &MIGRATIONS).await.expect("migrated");
    same.as_admin("insert into thing (id) values (1)").await;
    let process = Process::for_test("search");
    let reads = open(&database, &other, &process).await;
    until("the server is refused", async || reported(&process).contains("no standby of the database server")).await;
    let mut session = reads.acquire().await.expect("the primary answers");
    let things: i64 = sqlx::query_scalar("select count(*) from thing").fetch_one(&mut *session).await.expect("a count");
    assert_eq!(things, 0);
    drop(session);
    process.end().await;
}
