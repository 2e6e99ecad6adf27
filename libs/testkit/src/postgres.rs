//! A temporary PostgreSQL: one server per test process, and per call a new database, empty or with a service's tables.
//!
//! Must not depend on the tables of any service.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, migrate::Migrator};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::server::{Server, folder, free_port, location, run_as_data_user};

/// Loopback and thrown away: the password only has to be one.
const PASSWORD: &str = "only-for-tests";
/// Enough for the shops of all tests of a process, which reserve connections and stay.
const CONNECTIONS_MAX: u16 = 1_500;

/// A new database.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    address: String,
    name: String,
    owner: String,
}

impl TestDatabase {
    /// The URL of a login that owns the database and is no superuser, as a service has it.
    pub fn url(&self) -> String {
        self.url_as(&self.owner)
    }

    /// The URL of a superuser on the same database.
    pub fn admin_url(&self) -> String {
        self.url_as("postgres")
    }

    /// The URL of another login on the same database; every login that testkit makes has the same password.
    pub fn url_as(&self, login: &str) -> String {
        format!("postgres://{login}:{PASSWORD}@{}/{}", self.address, self.name)
    }

    /// The name of the database; if it is no clone of another one, also of the login that owns it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes one more login that acts as the owner: what a credential rotation does. Returns its URL.
    pub async fn add_login(&self, login: &str) -> String {
        let Self { owner, .. } = self;
        let sql = format!(
            "create role {login} login password '{PASSWORD}'; grant {owner} to {login}; alter role {login} set role = {owner}"
        );
        self.as_admin(&sql).await;
        self.url_as(login)
    }

    /// Ends every connection of its owner and rejects new ones: the database is unavailable, other databases are not.
    pub async fn stop(&self) {
        let Self { name, .. } = self;
        self.as_admin(&format!("alter database {name} connection limit 0")).await;
        let end = format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{name}' and pid <> pg_backend_pid()"
        );
        self.as_admin(&end).await;
    }

    /// Executes statements as superuser.
    pub async fn as_admin(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.admin_url()).await.expect("the test server answers");
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.close().await.expect("closing");
    }
}

/// A PostgreSQL server of one's own: for tests that stop it.
#[derive(Debug)]
pub struct PostgresServer {
    server: Server,
    databases: AtomicU32,
    /// The folder of its data.
    data: String,
}

impl PostgresServer {
    /// Starts PostgreSQL 18 (`AGORA_PG_BIN`).
    pub fn start() -> Self {
        Self::start_from("AGORA_PG_BIN")
    }

    fn start_from(variable: &str) -> Self {
        let bin = location(variable);
        let program = |name: &str| bin.join(name).to_str().expect("UTF-8").to_owned();
        let folder = folder("postgres");
        let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        let (data, password) = (path("data"), path("password"));
        std::fs::write(&password, PASSWORD).expect("writing the password");
        run_as_data_user(&[
            &program("initdb"),
            "--pgdata",
            &data,
            "--username=postgres",
            "--auth=scram-sha-256",
            "--pwfile",
            &password,
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]);
        Self::run(program("postgres"), folder, data, &[])
    }

    fn run(program: String, folder: TempDir, data: String, more: &[&str]) -> Self {
        let port = free_port();
        let mut command = vec![program, "-D".into(), data.clone(), "-p".into(), port.to_string()];
        let connections = format!("max_connections={CONNECTIONS_MAX}");
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
            "dynamic_shared_memory_type=mmap",
            &connections,
        ];
        for setting in settings.iter().chain(more) {
            command.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        let server = Server::new(folder, port, &command);
        server.start();
        Self { server, databases: AtomicU32::new(0), data }
    }

    /// Starts a standby that follows this server, which is stopped for the copy of its data.
    pub async fn standby(&self) -> Self {
        let bin = location("AGORA_PG_BIN");
        let folder = folder("standby");
        let data = folder.path().join("data").to_str().expect("UTF-8").to_owned();
        self.stop();
        run_as_data_user(&["cp", "--archive", &self.data, &data]);
        run_as_data_user(&["rm", "--force", &format!("{data}/postmaster.pid")]);
        run_as_data_user(&["touch", &format!("{data}/standby.signal")]);
        self.resume().await;
        let port = self.server.address().port();
        let primary = format!("primary_conninfo=host=127.0.0.1 port={port} user=postgres password={PASSWORD}");
        let program = bin.join("postgres").to_str().expect("UTF-8").to_owned();
        let standby = Self::run(program, folder, data, &[&primary]);
        standby.answering(&standby.maintenance_database().admin_url()).await;
        standby
    }

    /// Its address, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Executes statements as superuser in the maintenance database.
    pub async fn as_admin(&self, sql: &str) {
        self.maintenance_database().as_admin(sql).await;
    }

    /// Creates an empty database and the login that owns it.
    pub async fn database(&self) -> TestDatabase {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let server = self.maintenance_database();
        self.answering(&server.admin_url()).await;
        server.as_admin(&format!("create role {name} login password '{PASSWORD}'")).await;
        server.as_admin(&format!("create database {name} owner {name}")).await;
        TestDatabase { owner: name.clone(), name, ..server }
    }

    /// Creates a copy of a database without open connections, with the same owner.
    async fn copy_of(&self, template: &TestDatabase) -> TestDatabase {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let TestDatabase { address, name: source, owner } = template.clone();
        let sql = format!("create database {name} template {source} owner {owner}");
        self.maintenance_database().as_admin(&sql).await;
        TestDatabase { address, name, owner }
    }

    fn maintenance_database(&self) -> TestDatabase {
        let name = "postgres".to_owned();
        TestDatabase { address: self.server.address().to_string(), owner: name.clone(), name }
    }

    /// Ends it at once, as `pg_ctl -m immediate` does.
    pub fn stop(&self) {
        self.server.quit();
    }

    /// Starts it again on the same data and the same port, and waits until it answers queries.
    pub async fn resume(&self) {
        self.server.start();
        self.answering(&self.maintenance_database().admin_url()).await;
    }

    /// Freezes it with all its sessions: connections are accepted, and nothing is answered.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// The port answers before recovery ends.
    async fn answering(&self, url: &str) {
        for _ in 0..1_000 {
            if PgConnection::connect(url).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("PostgreSQL does not answer; its log ends:\n{}", self.server.log_tail());
    }
}

/// An empty database on the test process's PostgreSQL 18.
pub async fn postgres() -> TestDatabase {
    server().database().await
}

/// A database on the test process's PostgreSQL 18 to which the migrations are applied: a copy of a template, which is
/// migrated once per test process.
pub async fn migrated_postgres(migrations: &'static Migrator) -> TestDatabase {
    type Templates = Mutex<BTreeMap<usize, Arc<OnceCell<TestDatabase>>>>;
    static TEMPLATES: Templates = Mutex::new(BTreeMap::new());
    let key = std::ptr::from_ref(migrations).addr();
    let template = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
    let template = template.get_or_init(|| async {
        let template = server().database().await;
        let mut connection = PgConnection::connect(&template.url()).await.expect("the test server answers");
        migrations.run(&mut connection).await.expect("the migrations apply");
        connection.close().await.expect("closing");
        template
    });
    server().copy_of(template.await).await
}

fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start)
}

/// A fresh database on the test process's PostgreSQL 15, the oldest that Agora supports (`AGORA_PG15_BIN`).
pub async fn postgres15() -> TestDatabase {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| PostgresServer::start_from("AGORA_PG15_BIN")).database().await
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_database_is_fresh_and_its_login_is_no_superuser() {
        let (first, second) = (postgres().await, postgres().await);
        assert_ne!(first.name(), second.name());
        let mut connection = PgConnection::connect(&first.url()).await.expect("the owner may connect");
        connection.execute("create table here (id int)").await.expect("the owner may create tables");
        let refused = connection.execute("create role other").await;
        assert!(refused.is_err(), "a superuser or role maker was given");
    }

    #[tokio::test]
    async fn the_oldest_supported_version_starts_too() {
        let database = postgres15().await;
        let mut connection = PgConnection::connect(&database.url()).await.expect("connecting");
        let version: String =
            sqlx::query_scalar("show server_version").fetch_one(&mut connection).await.expect("a row");
        assert!(version.starts_with("15."), "{version}");
    }

    #[tokio::test]
    async fn a_server_of_ones_own_keeps_its_data_over_a_stop() {
        let server = PostgresServer::start();
        let database = server.database().await;
        database.as_admin("create table kept (id int)").await;

        server.stop();
        assert!(PgConnection::connect(&database.url()).await.is_err());
        server.resume().await;

        database.as_admin("insert into kept (id) values (1)").await;
    }
}
