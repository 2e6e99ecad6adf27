//! Tests of the adapter on servers of the oldest and the newest supported version, with an admin that is no superuser.
//!
//! Each test creates its own admin and uses its own names, because roles are shared by all databases of a server.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agora_testkit::{PostgresServer, TestDatabase};
use agora_vocab::Secret;
use futures::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection};
use tokio::net::{TcpListener, TcpStream};

mod bounds;
mod settings;

use super::session::{ANSWER_GRACE_SECONDS, CONNECT_SECONDS_MAX, READ_SECONDS_MAX, SESSIONS_MAX};
use super::*;
use crate::decide::claim::Claim;
use crate::decide::servers::SessionSettings;
use crate::external::ports::with_source;

/// An admin login on a server, and a prefix for names that no other test uses.
struct Server {
    postgres: TestDatabase,
    admin: AdminDatabase,
    prefix: String,
}

impl Server {
    async fn on(postgres: TestDatabase) -> Self {
        static ADMINS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("test{}", ADMINS.fetch_add(1, Ordering::Relaxed));
        let admin = format!("{prefix}_admin");
        postgres.as_admin(&format!("create role {admin} login createdb createrole password 'admin'")).await;
        let (host, port) = address(&postgres.admin_url());
        let admin = AdminDatabase {
            host,
            port,
            user: admin,
            password: Secret::new("admin"),
            tls: crate::decide::servers::Tls::Disable,
        };
        Self { postgres, admin, prefix }
    }

    fn desired(&self, name: &str, marketplace: &str) -> DesiredDatabase {
        DesiredDatabase {
            name: format!("{}_{name}", self.prefix),
            owner_role: format!("{}_{name}", self.prefix),
            login: format!("{}_{name}_a", self.prefix),
            password: Secret::new(format!("password of {name}")),
            claim: claim(marketplace),
            accepted_owners: Vec::new(),
            reserved_connections: 10,
            connection_limit: Some(7),
            session: SessionSettings { statement_timeout_seconds: Some(30), work_mem_mebibytes: Some(16) },
        }
    }

    async fn connect(&self, login: &str, password: &str, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnectOptions::new_without_pgpass()
            .host(&self.admin.host)
            .port(self.admin.port)
            .username(login)
            .password(password)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .connect()
            .await
    }

    async fn log_in(&self, desired: &DesiredDatabase) -> Result<PgConnection, sqlx::Error> {
        self.connect(&desired.login, desired.password.expose(), &desired.name).await
    }

    async fn observe(&self, desired: &DesiredDatabase) -> ObservedDatabase {
        let mut observed = PgDatabases::default().inspect(&self.admin, std::slice::from_ref(desired)).await.unwrap();
        observed.databases.remove(&desired.name).unwrap()
    }

    async fn ensure(&self, desired: &DesiredDatabase) -> Result<(), DatabaseError> {
        PgDatabases::default().ensure(&self.admin, desired).await
    }
}

/// `namespace/name uid`, in cluster `c1`.
fn claim(text: &str) -> Claim {
    let (market, uid) = text.split_once(' ').unwrap();
    Claim { market: market.to_owned(), cluster: "c1".to_owned(), uid: uid.to_owned() }
}

fn address(url: &str) -> (String, u16) {
    let after_login = url.rsplit('@').next().unwrap();
    let (host, port) = after_login.split('/').next().unwrap().split_once(':').unwrap();
    (host.to_owned(), port.parse().unwrap())
}

async fn servers() -> [Server; 2] {
    [Server::on(agora_testkit::postgres15().await).await, Server::on(agora_testkit::postgres().await).await]
}

#[tokio::test]
async fn ensure_is_idempotent_and_the_login_acts_as_the_owner() {
    for server in servers().await {
        let desired = server.desired("order", "shop/main 1");
        assert_eq!(server.observe(&desired).await, ObservedDatabase::default());
        server.ensure(&desired).await.unwrap();
        server.ensure(&desired).await.unwrap();

        let seen = server.observe(&desired).await;
        assert!(seen.exists && seen.login_works && seen.was_created && seen.oid > 0, "{seen:?}");
        assert_eq!(seen.owner.as_deref(), Some("shop/main c1 1"));
        let mut session = server.log_in(&desired).await.unwrap();
        session.execute("create table goods (id int)").await.unwrap();
        session.execute("discard all").await.unwrap();
        session.execute("create table more (id int)").await.unwrap();
        let owners: Vec<String> =
            sqlx::query_scalar("select distinct tableowner::text from pg_tables where schemaname = 'public'")
                .fetch_all(&mut session)
                .await
                .unwrap();
        assert_eq!(owners, [desired.owner_role]);
    }
}

#[tokio::test]
async fn a_login_has_no_rights_on_the_database_of_another_marketplace() {
    for server in servers().await {
        let (mine, yours) = (server.desired("mine", "shop/mine 1"), server.desired("yours", "shop/yours 2"));
        server.ensure(&mine).await.unwrap();
        server.ensure(&yours).await.unwrap();
        assert!(server.connect(&mine.login, mine.password.expose(), &yours.name).await.is_err());
        let mut session = server.log_in(&mine).await.unwrap();
        for statement in [
            format!("set role {}", yours.owner_role),
            format!("alter role {} nologin", yours.login),
            "select rolpassword from pg_authid".to_owned(),
        ] {
            assert!(session.execute(AssertSqlSafe(statement.clone())).await.is_err(), "{statement}");
        }
    }
}

#[tokio::test]
async fn a_second_marketplace_gets_a_conflict_and_changes_nothing() {
    for server in servers().await {
        let (first, second) = (server.desired("order", "shop/first 1"), server.desired("order", "shop/second 2"));
        server.ensure(&first).await.unwrap();
        let refused = server.ensure(&second).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::IsolationConflict { owner, .. } if owner == "shop/first c1 1"));
        assert_eq!(server.observe(&second).await.owner.as_deref(), Some("shop/first c1 1"));
        PgDatabases::default().lock(&server.admin, &second).await.unwrap();
        PgDatabases::default().drop(&server.admin, &second).await.unwrap();
        assert!(server.observe(&first).await.login_works);
        server.log_in(&first).await.unwrap();
    }
}

#[tokio::test]
async fn drop_ends_sessions_and_leaves_no_database_and_no_role() {
    for server in servers().await {
        let desired = server.desired("order", "shop/main 1");
        server.ensure(&desired).await.unwrap();
        let mut session = server.log_in(&desired).await.unwrap();
        session.execute("create table goods (id int)").await.unwrap();

        PgDatabases::default().drop(&server.admin, &desired).await.unwrap();
        PgDatabases::default().drop(&server.admin, &desired).await.unwrap();

        assert!(session.execute("insert into goods values (1)").await.is_err(), "a session outlived its database");
        assert_eq!(server.observe(&desired).await, ObservedDatabase::default());
        let mut admin = server.connect(&server.admin.user, "admin", "postgres").await.unwrap();
        let roles: i64 = sqlx::query_scalar("select count(*) from pg_roles where rolname in ($1, $2)")
            .bind(&desired.login)
            .bind(&desired.owner_role)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert_eq!(roles, 0);
    }
}

#[tokio::test]
async fn lock_ends_sessions_and_a_marketplace_with_the_same_name_takes_over_the_data() {
    for server in servers().await {
        let desired = server.desired("order", "shop/main 1");
        server.ensure(&desired).await.unwrap();
        let mut session = server.log_in(&desired).await.unwrap();
        session.execute("create table goods (id int)").await.unwrap();

        PgDatabases::default().lock(&server.admin, &desired).await.unwrap();

        assert!(session.execute("insert into goods values (1)").await.is_err(), "a session wrote after the lock");
        assert!(server.log_in(&desired).await.is_err(), "a locked login connected");
        let recreated = DesiredDatabase { claim: claim("shop/main 2"), ..desired };
        server.ensure(&recreated).await.unwrap();
        server.log_in(&recreated).await.unwrap().execute("select id from goods").await.unwrap();
        assert_eq!(server.observe(&recreated).await.owner.as_deref(), Some("shop/main c1 2"));
    }
}

#[tokio::test]
async fn a_new_password_is_detected_and_set() {
    for server in servers().await {
        let old = server.desired("order", "shop/main 1");
        server.ensure(&old).await.unwrap();
        let new = DesiredDatabase { password: Secret::new("another"), ..old.clone() };
        assert!(!server.observe(&new).await.login_works);
        server.ensure(&new).await.unwrap();
        assert!(server.observe(&new).await.login_works);
        server.log_in(&new).await.unwrap();
        assert!(server.log_in(&old).await.is_err());
    }
}

#[tokio::test]
async fn an_interrupted_ensure_is_completed_after_every_step() {
    for server in servers().await {
        let desired = server.desired("order", "shop/main 1");
        for done in 0..4 {
            let mut session = Session::open(&server.admin).await.unwrap();
            let found = session.lock_and_inspect(&desired).await.unwrap();
            let steps = statements::ensure(&found, &desired, &password(&desired)).unwrap();
            session.execute(&steps[..done.min(steps.len())]).await.unwrap();
            session.close().await;
            server.ensure(&desired).await.unwrap();
            assert!(server.observe(&desired).await.login_works, "after {done} steps");
            PgDatabases::default().drop(&server.admin, &desired).await.unwrap();
        }
    }
}

#[tokio::test]
async fn changes_by_other_clients_are_detected_and_reverted() {
    for server in servers().await {
        let desired = server.desired("order", "shop/main 1");
        server.ensure(&desired).await.unwrap();
        let (name, login, owner) = (&desired.name, &desired.login, &desired.owner_role);
        for change in [
            format!("alter role {login} nologin"),
            format!("alter role {login} reset role"),
            format!("alter role {login} set work_mem to '1GB'"),
            format!("alter role {login} reset statement_timeout"),
            format!("revoke {owner} from {login} granted by {}", server.admin.user),
            format!("grant connect on database {name} to public"),
            format!("alter role {owner} login"),
            format!("comment on database {name} is null"),
            format!("drop role {login}"),
        ] {
            server.postgres.as_admin(&change).await;
            assert!(!server.observe(&desired).await.login_works, "not detected: {change}");
            server.ensure(&desired).await.unwrap();
            assert!(server.observe(&desired).await.login_works, "not reverted: {change}");
            server.log_in(&desired).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_debug_output_of_the_steps_contains_no_password_and_no_verifier() {
    let server = Server::on(agora_testkit::postgres().await).await;
    let admin = &server.admin.user;
    for parameter in ["log_statement", "log_min_error_statement", "log_min_duration_statement"] {
        server.postgres.as_admin(&format!("grant set on parameter {parameter} to {admin}")).await;
    }
    server.postgres.as_admin(&format!("alter role {admin} set log_statement = 'all'")).await;
    let desired = server.desired("order", "shop/main 1");
    let mut session = Session::open(&server.admin).await.unwrap();
    let found = session.lock_and_inspect(&desired).await.unwrap();
    assert!(found.may_disable_logging);
    let steps = statements::ensure(&found, &desired, &password(&desired)).unwrap();
    session.execute(&steps).await.unwrap();
    let debug = format!("{steps:?}");
    assert!(!debug.contains("SCRAM") && !debug.contains(desired.password.expose()));
}

#[tokio::test]
async fn an_unreachable_server_a_wrong_password_and_a_missing_right_are_different_errors() {
    let server = Server::on(agora_testkit::postgres().await).await;
    let desired = server.desired("order", "shop/main 1");
    let unreachable = AdminDatabase { port: 1, ..server.admin.clone() };
    assert!(matches!(
        PgDatabases::default().inspect(&unreachable, &[]).await,
        Err(DatabaseError::Unreachable { port: 1, .. })
    ));
    let wrong = AdminDatabase { password: Secret::new("wrong"), ..server.admin.clone() };
    assert!(matches!(
        PgDatabases::default().inspect(&wrong, &[]).await,
        Err(DatabaseError::AuthenticationFailed { .. })
    ));
    server.postgres.as_admin(&format!("alter role {} nocreaterole", server.admin.user)).await;
    assert!(matches!(server.ensure(&desired).await, Err(DatabaseError::Forbidden { .. })));
    let observed = PgDatabases::default().inspect(&server.admin, &[]).await.unwrap();
    assert!(observed.version >= 150_000 && observed.max_connections > 0 && observed.databases.is_empty());
}

#[tokio::test]
async fn a_database_that_was_dropped_leaves_a_record_of_its_creation() {
    for server in servers().await {
        let desired = server.desired("order", "shop/main 1");
        server.ensure(&desired).await.unwrap();
        let before = server.observe(&desired).await;
        server.postgres.as_admin(&format!("drop database {} with (force)", desired.name)).await;
        let lost = server.observe(&desired).await;
        assert!(!lost.exists && lost.was_created);
        server.ensure(&desired).await.unwrap();
        let after = server.observe(&desired).await;
        assert!(after.login_works && after.oid != before.oid);
    }
}

#[tokio::test]
async fn each_server_discloses_its_own_identity_to_an_admin_that_is_no_superuser() {
    let [old, new] = servers().await;
    let identity =
        async |server: &Server| PgDatabases::default().inspect(&server.admin, &[]).await.unwrap().system_identifier;
    let (first, second) = (identity(&old).await.unwrap(), identity(&new).await.unwrap());
    assert_ne!(first, second);
    assert_eq!(identity(&old).await.unwrap(), first);
}

#[tokio::test]
async fn a_restored_database_is_taken_over_once_its_comment_names_the_marketplace() {
    for server in servers().await {
        let desired = server.desired("order", "shop/main 1");
        let admin = server.postgres.admin_url();
        let superuser = admin.split("//").nth(1).unwrap().split([':', '@']).next().unwrap();
        let (name, claim_text) = (&desired.name, desired.claim.text());
        server.postgres.as_admin(&format!("create database {name} owner {superuser}")).await;
        assert!(matches!(server.ensure(&desired).await, Err(DatabaseError::IsolationConflict { .. })));
        server.postgres.as_admin(&format!("alter database {name} owner to {}", server.admin.user)).await;
        server.postgres.as_admin(&format!("comment on database {name} is '{claim_text}'")).await;
        server.ensure(&desired).await.unwrap();
        PgDatabases::default().drop(&server.admin, &desired).await.unwrap();

        let foreign = Claim { cluster: "c2".into(), ..claim("shop/main 9") };
        let theirs = DesiredDatabase { claim: foreign, ..desired.clone() };
        server.ensure(&theirs).await.unwrap();
        assert!(matches!(server.ensure(&desired).await, Err(DatabaseError::IsolationConflict { .. })));
        server.postgres.as_admin(&format!("comment on database {name} is '{claim_text}'")).await;
        server.ensure(&desired).await.unwrap();
        assert!(server.observe(&desired).await.login_works);
        server.log_in(&desired).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_of_an_earlier_release_belongs_to_the_marketplace_with_its_password() {
    for server in servers().await {
        let owner = server.desired("order", "shop/main 1");
        server.ensure(&owner).await.unwrap();
        let login = format!("shop/main; password {}", fingerprint(&owner));
        for (object, comment) in [
            (format!("database {}", owner.name), "shop/main"),
            (format!("role {}", owner.owner_role), "shop/main"),
            (format!("role {}", owner.login), login.as_str()),
        ] {
            server.postgres.as_admin(&format!("comment on {object} is '{comment}'")).await;
        }
        let elsewhere = Claim { cluster: "c2".into(), ..owner.claim.clone() };
        let rival = DesiredDatabase { claim: elsewhere, password: Secret::new("another"), ..owner.clone() };
        let refused = server.ensure(&rival).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::IsolationConflict { owner, .. } if owner == "shop/main"));
        PgDatabases::default().lock(&server.admin, &rival).await.unwrap();
        PgDatabases::default().drop(&server.admin, &rival).await.unwrap();
        server.log_in(&owner).await.unwrap();

        server.ensure(&owner).await.unwrap();
        assert!(server.observe(&owner).await.login_works);
        let refused = server.ensure(&rival).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::IsolationConflict { owner, .. } if owner == "shop/main c1 1"));
    }
}

#[tokio::test]
async fn connections_of_older_marketplaces_on_the_server_are_counted() {
    // On a server of its own: other tests add and remove logins.
    let own = PostgresServer::start();
    let server = Server::on(own.database().await).await;
    let (older, newer) = (server.desired("older", "shop/older 1"), server.desired("newer", "shop/newer 2"));
    let reserved = async |of: &DesiredDatabase| {
        PgDatabases::default().inspect(&server.admin, std::slice::from_ref(of)).await.unwrap().reserved_by_others
    };
    server.ensure(&older).await.unwrap();
    assert_eq!(reserved(&older).await, 0, "its own reservation does not count");
    assert_eq!(reserved(&newer).await, 10, "a Marketplace without databases is the newest");
    server.ensure(&newer).await.unwrap();
    assert_eq!(reserved(&newer).await, 10);
    assert_eq!(reserved(&older).await, 0, "the older one keeps what it has");
    PgDatabases::default().lock(&server.admin, &older).await.unwrap();
    assert_eq!(reserved(&newer).await, 0, "a locked login opens no connections");
}
