//! A server whose pg_hba.conf asks for the password in clear text gets none.
#![cfg(feature = "db-tests")]

use std::time::{Duration, Instant};

use agora_chassis::{Process, WatchedSecret};
use agora_postgres::{Config, Error, connect, is_clear_text, migrate};
use agora_testkit::{PostgresServer, TestDatabase};
use agora_vocab::Secret;
use sqlx::migrate::Migrator;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

const REMEDY: &str = "scram-sha-256 in the server's pg_hba.conf";
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// The server asks for passwords by this method from now on.
async fn ask_by(database: &TestDatabase, method: &str) {
    let line = format!("host all all 127.0.0.1/32 {method}");
    database.as_admin(&format!("copy (select '{line}') to program 'cat > pg_hba.conf'")).await;
    database.as_admin("select pg_reload_conf()").await;
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + SETTLE_MAX;
    while !holds().await {
        assert!(Instant::now() < give_up, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_configuration_asks_for_clear_text_is_refused_until_it_is_corrected() {
    let server = PostgresServer::start();
    let database = server.database().await;
    let migrated = async || migrate(&Secret::new(database.url()), None, &MIGRATIONS).await;
    assert_eq!(migrated().await.expect("by SCRAM"), 2);

    ask_by(&database, "password").await;
    // The reload is taken up a moment later.
    let refused = async || matches!(migrated().await, Err(Error::Connect(error)) if is_clear_text(&error));
    until("a migration is refused", refused).await;
    let process = Process::for_test("catalog");
    let db = connect(&Config::new(WatchedSecret::fixed(database.url()), 2, None), &MIGRATIONS, &process).await;
    let error = db.acquire().await.expect_err("clear text");
    assert!(is_clear_text(&error), "{error}");
    let named = async || process.readiness().gates.iter().any(|gate| gate.reason.contains(REMEDY));
    until("the process is not ready and says why", named).await;

    ask_by(&database, "scram-sha-256").await;
    until("the process is ready", async || process.readiness().ready).await;
    db.acquire().await.expect("by SCRAM");
    process.end().await;
}
