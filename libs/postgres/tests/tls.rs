//! TLS with a real server: whose certificate is trusted, for which name, and a new authority while the process runs.
#![cfg(feature = "db-tests")]
#![expect(clippy::expect_used, reason = "what a test cannot do without ends it")]

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use agora_chassis::{Process, WatchedFile, WatchedSecret};
use agora_postgres::{Config, Error, connect, migrate};
use agora_testkit::{PostgresServer, TestDatabase};
use agora_vocab::Secret;
use sqlx::migrate::Migrator;
use tempfile::TempDir;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

/// The address at which the test server is reached.
const HERE: &str = "IP:127.0.0.1";
const ELSEWHERE: &str = "DNS:postgres.example";
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// An authority of one's own and what it signs.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        openssl(
            folder.path(),
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 1 -subj /CN=authority",
        );
        Self(folder)
    }

    fn pem(&self) -> String {
        self.read("ca.crt")
    }

    /// Certificate and key for a name, as PEM.
    fn certificate(&self, name: &str) -> (String, String) {
        let folder = self.0.path();
        let extension = format!("subjectAltName={name}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n");
        std::fs::write(folder.join("extension"), extension).expect("writing");
        openssl(
            folder,
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server",
        );
        openssl(
            folder,
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile extension -out server.crt",
        );
        (self.read("server.crt"), self.read("server.key"))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).expect("openssl wrote it")
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The server presents this certificate from now on. It writes the files itself: the key must belong to its user.
async fn show(database: &TestDatabase, (certificate, key): (String, String)) {
    for (file, pem) in [("server.crt", certificate), ("server.key", key)] {
        let lines = format!("select unnest(string_to_array($pem${}$pem$, E'\\n'))", pem.trim_end());
        database.as_admin(&format!("copy ({lines}) to program 'umask 077; cat > {file}'")).await;
    }
    database.as_admin("alter system set ssl = on").await;
    database.as_admin("select pg_reload_conf()").await;
}

async fn secured(authority: &Authority, name: &str) -> (PostgresServer, TestDatabase) {
    let server = PostgresServer::start();
    let database = server.database().await;
    show(&database, authority.certificate(name)).await;
    let give_up = Instant::now() + SETTLE_MAX;
    // The reload is taken up a moment later; until then the server knows no TLS.
    while matches!(attempt(&database, None).await, Err(Error::Connect(sqlx::Error::Tls(_)))) {
        assert!(Instant::now() < give_up, "the server speaks no TLS");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (server, database)
}

/// Migrates as `agora migrate` does with the URL that the operator writes.
async fn attempt(database: &TestDatabase, authority: Option<&Authority>) -> Result<usize, Error> {
    let ca = authority.map(|authority| WatchedFile::fixed(authority.pem()));
    let url = Secret::new(format!("{}?sslmode=verify-full", database.url()));
    migrate(&url, ca.as_ref(), &MIGRATIONS).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_trusted_by_its_authority_and_its_name_alone() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (_server, database) = secured(&ours, HERE).await;

    let refused = attempt(&database, Some(&others)).await.expect_err("signed by another authority");
    assert!(format!("{refused:?}").contains("InvalidCertificate"), "{refused:?}");
    let refused = attempt(&database, None).await.expect_err("signed by no authority of the system");
    assert!(format!("{refused:?}").contains("UnknownIssuer"), "{refused:?}");
    assert_eq!(attempt(&database, Some(&ours)).await.expect("signed by ours"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_is_refused() {
    let ours = Authority::new();
    let (_server, database) = secured(&ours, ELSEWHERE).await;

    let refused = attempt(&database, Some(&ours)).await.expect_err("for another name");
    assert!(format!("{refused:?}").contains("NotValidForName"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_is_taken_over_while_the_process_runs() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (_server, database) = secured(&ours, HERE).await;
    migrate(&Secret::new(database.url()), None, &MIGRATIONS).await.expect("migrating");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), others.pem()).expect("writing");
    let process = Process::for_test("catalog");
    let ca = Some(WatchedFile::open(file.path()).expect("readable"));
    let config = Config::new(WatchedSecret::fixed(database.url()), 2, ca);
    let db = connect(&config, &MIGRATIONS, &process).await;
    assert!(db.acquire().await.is_err(), "a server of an unknown authority was trusted");
    assert!(!process.readiness().ready);

    std::fs::write(file.path(), ours.pem()).expect("writing");

    let give_up = Instant::now() + SETTLE_MAX;
    while !process.readiness().ready {
        assert!(Instant::now() < give_up, "{:?}", process.readiness());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut connection = db.acquire().await.expect("the authority is right");
    let encrypted: bool = sqlx::query_scalar("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
        .fetch_one(&mut *connection)
        .await
        .expect("a row");
    assert!(encrypted);
    process.end().await;
}
