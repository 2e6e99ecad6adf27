//! The handle on a real server: swaps under load, outages, migrations twice at once, readiness.
#![cfg(feature = "db-tests")]
#![expect(clippy::expect_used, reason = "what a test cannot do without ends it")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use agora_chassis::{Process, Reader, WatchedFile, WatchedSecret, settings_from};
use agora_postgres::{Config, Db, connect, constraint, migrate, unavailable};
use agora_testkit::{PostgresServer, TestDatabase, postgres, postgres15};
use agora_vocab::Secret;
use sqlx::{Connection, PgConnection, migrate::Migrator};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");
static SLOW_MIGRATION: Migrator = sqlx::migrate!("tests/slow_migrations");

/// Time for the server to end a backend whose client has closed the connection.
const BACKEND_EXIT_MAX: Duration = Duration::from_secs(5);
const BUSY_TASKS: usize = 16;
const SWAPS: usize = 20;

fn config(url: WatchedSecret) -> Config {
    Config::new(url, 10, None)
}

async fn is_ready(process: &Process, within: Duration) -> bool {
    let give_up = Instant::now() + within;
    while !process.readiness().ready {
        if Instant::now() > give_up {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

async fn busy(db: Db, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) -> Result<(), sqlx::Error> {
    while !stop.load(Ordering::Relaxed) {
        let mut tx = db.begin().await?;
        sqlx::query("insert into thing (id) values ($1) on conflict do nothing").bind(1).execute(&mut *tx).await?;
        tx.commit().await?;
        sqlx::query("select 1").execute(&mut *db.acquire().await?).await?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn swapping_causes_no_error(database: TestDatabase) {
    let blue = database.add_login(&format!("{}_blue", database.name())).await;
    let green = database.add_login(&format!("{}_green", database.name())).await;
    let db = Db::for_test(&blue, &MIGRATIONS).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..BUSY_TASKS {
        tasks.spawn(busy(db.clone(), stop.clone(), done.clone()));
    }
    for swap in 0..SWAPS {
        let (next, last) = if swap % 2 == 0 { (&green, "blue") } else { (&blue, "green") };
        db.swap(&Secret::new(next)).await.expect("both logins work");
        no_session_is_left(&database, &format!("{}_{last}", database.name())).await;
        let before = done.load(Ordering::Relaxed);
        while done.load(Ordering::Relaxed) < before + 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(result) = tasks.join_next().await {
        result.expect("no panic").expect("no error in any swap");
    }
    assert_eq!(
        owner_of_thing(&database).await,
        database.name(),
        "tables belong to the owner role, whichever login migrates"
    );
}

/// A backend leaves `pg_stat_activity` a moment after its client has closed the connection, so the count is awaited.
async fn no_session_is_left(database: &TestDatabase, login: &str) {
    let deadline = Instant::now() + BACKEND_EXIT_MAX;
    while sessions(database, login).await > 0 {
        assert!(Instant::now() < deadline, "the old login {login} is still used");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn sessions(database: &TestDatabase, login: &str) -> i64 {
    let mut admin = PgConnection::connect(&database.admin_url()).await.expect("connecting");
    let sql = "select count(*) from pg_stat_activity where usename = $1";
    sqlx::query_scalar(sql).bind(login).fetch_one(&mut admin).await.expect("a count")
}

async fn owner_of_thing(database: &TestDatabase) -> String {
    let mut admin = PgConnection::connect(&database.admin_url()).await.expect("connecting");
    let sql = "select tableowner from pg_tables where tablename = 'thing'";
    sqlx::query_scalar(sql).fetch_one(&mut admin).await.expect("a table")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapping_logins_under_sixteen_busy_tasks_causes_no_error() {
    swapping_causes_no_error(postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapping_logins_causes_no_error_on_the_oldest_supported_version() {
    swapping_causes_no_error(postgres15().await).await;
}

#[tokio::test]
async fn a_login_that_does_not_work_changes_nothing() {
    let database = postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    db.swap(&Secret::new(database.url_as("missing"))).await.expect_err("there is no such login");
    db.begin().await.expect("the old login still works");
}

#[tokio::test]
async fn a_changed_secret_file_is_taken_over() {
    let database = postgres().await;
    migrate(&Secret::new(database.url()), None, &MIGRATIONS).await.expect("migrating");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), database.url()).expect("writing");
    let watched = WatchedSecret::in_file(WatchedFile::open(file.path()).expect("readable"));
    let process = Process::for_test("catalog");
    let db = connect(&config(watched), &MIGRATIONS, &process).await;
    assert!(is_ready(&process, Duration::from_secs(10)).await);

    let login = format!("{}_next", database.name());
    std::fs::write(file.path(), database.add_login(&login).await).expect("writing");

    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        let mut connection = db.acquire().await.expect("no error");
        let user: String =
            sqlx::query_scalar("select session_user::text").fetch_one(&mut *connection).await.expect("a row");
        if user == login {
            break;
        }
        assert!(Instant::now() < give_up, "still {user}");
        drop(connection);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    process.end().await;
}

#[tokio::test]
async fn rs2_readiness_waits_for_migrations_and_names_them() {
    let database = postgres().await;
    let process = Process::for_test("catalog");
    connect(&config(WatchedSecret::fixed(database.url())), &MIGRATIONS, &process).await;
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        let report = process.readiness();
        let reason = report.gates.first().map(|gate| gate.reason.clone()).expect("not ready");
        if reason.contains("2 migrations are pending, the first is 1_thing: run `agora migrate catalog`") {
            break;
        }
        assert!(Instant::now() < give_up, "{reason}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(migrate(&Secret::new(database.url()), None, &MIGRATIONS).await.expect("migrating"), 2);
    assert!(is_ready(&process, Duration::from_secs(10)).await);
    process.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn da2_two_migrations_at_once_are_one() {
    let database = postgres().await;
    let url = Secret::new(database.url());
    let (one, other) = tokio::join!(migrate(&url, None, &MIGRATIONS), migrate(&url, None, &MIGRATIONS));
    let mut counts = [one.expect("the first"), other.expect("the second")];
    counts.sort_unstable();
    assert_eq!(counts, [0, 2]);
}

#[tokio::test]
async fn after_migrations_the_planner_knows_tables_with_rows_and_plans_are_kept_as_a_setting_of_the_database() {
    let database = postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let mut session = db.acquire().await.expect("a connection");
    let mode: String =
        sqlx::query_scalar("select current_setting('plan_cache_mode')").fetch_one(&mut *session).await.expect("a row");
    assert_eq!(mode, "force_generic_plan");
    let forced = "select count(*) from pg_settings where name like 'enable\\_%' and setting <> boot_val";
    let forced: i64 = sqlx::query_scalar(forced).fetch_one(&mut *session).await.expect("a count");
    assert_eq!(forced, 0, "no way of planning is switched off");
    let known = "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' \
        and reltuples > 0";
    let known: Vec<String> = sqlx::query_scalar(known).fetch_all(&mut *session).await.expect("rows");
    assert_eq!(known, ["_sqlx_migrations"]);
}

#[tokio::test]
async fn da2_a_migration_may_take_longer_than_the_statements_of_the_service() {
    let database = postgres().await;
    database.as_admin(&format!("alter role {} set statement_timeout to '500ms'", database.name())).await;
    assert_eq!(migrate(&Secret::new(database.url()), None, &SLOW_MIGRATION).await.expect("not cancelled"), 1);
}

#[tokio::test]
async fn da2_an_edited_migration_is_refused() {
    let database = postgres().await;
    migrate(&Secret::new(database.url()), None, &MIGRATIONS).await.expect("migrating");
    database.as_admin("update _sqlx_migrations set checksum = '\\x00' where version = 2").await;
    let refused = migrate(&Secret::new(database.url()), None, &MIGRATIONS).await.expect_err("edited");
    assert!(refused.to_string().starts_with("migration 2 "), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_is_told_quickly_and_found_again_without_a_restart() {
    let server = PostgresServer::start();
    let database = server.database().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let held: Vec<_> = [db.acquire().await, db.acquire().await].into_iter().collect::<Result<_, _>>().expect("two");
    drop(held);
    server.stop();

    for _ in 0..3 {
        let started = Instant::now();
        let error = db.begin().await.expect_err("it is stopped");
        assert!(unavailable(&error), "{error}");
        assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    }
    server.resume().await;
    let started = Instant::now();
    while db.begin().await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(2), "not found again");
    }
}

#[tokio::test]
async fn a_connection_that_died_between_two_transactions_is_replaced() {
    let database = postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    drop(db.begin().await.expect("a connection"));
    for _ in 0..3 {
        let end =
            format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{}'", database.name());
        database.as_admin(&end).await;
        while sessions(&database, database.name()).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut tx = db.begin().await.expect("another connection");
        sqlx::query("select 1").execute(&mut *tx).await.expect("it works");
    }
}

#[tokio::test]
async fn a_refused_row_names_its_constraint() {
    let db = Db::for_test(&postgres().await.url(), &MIGRATIONS).await;
    let mut tx = db.begin().await.expect("a transaction");
    let insert = "insert into thing (id) values (1), (1)";
    let error = sqlx::query(insert).execute(&mut *tx).await.expect_err("twice the same");
    assert_eq!(constraint(&error), Some("thing_pk"));
    assert!(!unavailable(&error));
}

#[test]
fn the_pool_size_has_bounds() {
    let read = |size: &str| {
        let pairs = [("DATABASE_URL", "postgres://h/d"), ("DATABASE_POOL_SIZE", size)];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        agora_chassis::settings_from("catalog", &pairs, |reader: &mut Reader| Config::read(reader)).map(|c| c.pool_size)
    };
    assert_eq!(read("7").expect("fine"), 7);
    assert!(read("0").is_err());
    assert!(read("201").is_err());
}

#[tokio::test]
async fn da8_sessions_have_the_memory_and_the_time_that_the_settings_say() {
    let database = postgres().await;
    migrate(&Secret::new(database.url()), None, &MIGRATIONS).await.expect("migrated");
    let pairs = [
        ("DATABASE_URL", database.url()),
        ("DATABASE_WORK_MEM_MIB", "17".to_owned()),
        ("DATABASE_STATEMENT_TIMEOUT_SECONDS", "1".to_owned()),
    ];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value)).into();
    let config = settings_from("cart", &pairs, Config::read).expect("settings");
    let process = Process::for_test("cart");
    let db = connect(&config, &MIGRATIONS, &process).await;
    let mut session = db.acquire().await.expect("a session");
    let memory: String = sqlx::query_scalar("show work_mem").fetch_one(&mut *session).await.expect("a setting");
    assert_eq!(memory, "17MB");
    let slow = sqlx::query("select pg_sleep(20)").execute(&mut *session).await.expect_err("cancelled");
    assert_eq!(slow.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(), Some("57014"));
    drop(session);
    process.end().await;
}
