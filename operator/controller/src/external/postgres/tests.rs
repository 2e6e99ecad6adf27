//! The adapter on real servers of the oldest and the newest version, with an admin that is no superuser.
//!
//! Each test makes its own admin and its own names, since roles are the server's and not a database's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::sync::atomic::{AtomicU32, Ordering};

use agora_testkit::TestDatabase;
use agora_vocab::Secret;
use sqlx::Executor as _;

use super::*;

/// An admin as the README has one, and a prefix for names that no other test uses.
struct Ground {
    server: TestDatabase,
    admin: AdminDatabase,
    prefix: String,
}

impl Ground {
    async fn on(server: TestDatabase) -> Self {
        static ADMINS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("ground{}", ADMINS.fetch_add(1, Ordering::Relaxed));
        let admin = format!("{prefix}_admin");
        server.as_admin(&format!("create role {admin} login createdb createrole password 'admin'")).await;
        let (host, port) = address(&server.admin_url());
        let admin = AdminDatabase {
            host,
            port,
            user: admin,
            password: Secret::new("admin"),
            tls: crate::decide::servers::Tls::Disable,
        };
        Self { server, admin, prefix }
    }

    fn wanted(&self, name: &str, marketplace: &str) -> DatabaseWanted {
        DatabaseWanted {
            name: format!("{}_{name}", self.prefix),
            owner_role: format!("{}_{name}", self.prefix),
            login: format!("{}_{name}_a", self.prefix),
            password: Secret::new(format!("password of {name}")),
            marketplace: marketplace.to_owned(),
            connection_limit: Some(7),
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

    async fn log_in(&self, wanted: &DatabaseWanted) -> Result<PgConnection, sqlx::Error> {
        self.connect(&wanted.login, wanted.password.expose(), &wanted.name).await
    }

    async fn seen(&self, wanted: &DatabaseWanted) -> DatabaseSeen {
        let mut facts = PgDatabases.inspect(&self.admin, std::slice::from_ref(wanted)).await.unwrap();
        facts.databases.remove(&wanted.name).unwrap()
    }

    async fn ensure(&self, wanted: &DatabaseWanted) -> Result<(), DatabaseError> {
        PgDatabases.ensure(&self.admin, wanted).await
    }
}

fn address(url: &str) -> (String, u16) {
    let after_login = url.rsplit('@').next().unwrap();
    let (host, port) = after_login.split('/').next().unwrap().split_once(':').unwrap();
    (host.to_owned(), port.parse().unwrap())
}

async fn grounds() -> [Ground; 2] {
    [Ground::on(agora_testkit::postgres15().await).await, Ground::on(agora_testkit::postgres().await).await]
}

#[tokio::test]
async fn ensuring_twice_gives_a_login_that_acts_as_the_owner() {
    for ground in grounds().await {
        let wanted = ground.wanted("order", "shop/main 1");
        assert_eq!(ground.seen(&wanted).await, DatabaseSeen::default());
        ground.ensure(&wanted).await.unwrap();
        ground.ensure(&wanted).await.unwrap();

        let seen = ground.seen(&wanted).await;
        assert_eq!(seen, DatabaseSeen { exists: true, login_works: true, owner: Some("shop/main 1".into()) });
        let mut session = ground.log_in(&wanted).await.unwrap();
        session.execute("create table goods (id int)").await.unwrap();
        session.execute("discard all").await.unwrap();
        session.execute("create table more (id int)").await.unwrap();
        let owners: Vec<String> =
            sqlx::query_scalar("select distinct tableowner::text from pg_tables where schemaname = 'public'")
                .fetch_all(&mut session)
                .await
                .unwrap();
        assert_eq!(owners, [wanted.owner_role]);
    }
}

#[tokio::test]
async fn two_marketplaces_do_not_see_each_other() {
    for ground in grounds().await {
        let (mine, yours) = (ground.wanted("mine", "shop/mine 1"), ground.wanted("yours", "shop/yours 2"));
        ground.ensure(&mine).await.unwrap();
        ground.ensure(&yours).await.unwrap();
        assert!(ground.connect(&mine.login, mine.password.expose(), &yours.name).await.is_err());
        let mut session = ground.log_in(&mine).await.unwrap();
        for crossing in [
            format!("set role {}", yours.owner_role),
            format!("alter role {} nologin", yours.login),
            "select rolpassword from pg_authid".to_owned(),
        ] {
            assert!(session.execute(AssertSqlSafe(crossing.clone())).await.is_err(), "{crossing}");
        }
    }
}

#[tokio::test]
async fn a_second_claimant_gets_a_conflict_and_changes_nothing() {
    for ground in grounds().await {
        let (first, second) = (ground.wanted("order", "shop/first 1"), ground.wanted("order", "shop/second 2"));
        ground.ensure(&first).await.unwrap();
        let refused = ground.ensure(&second).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::IsolationConflict { owner, .. } if owner == "shop/first 1"));
        assert_eq!(ground.seen(&second).await.owner.as_deref(), Some("shop/first 1"));
        PgDatabases.lock(&ground.admin, &second).await.unwrap();
        PgDatabases.drop(&ground.admin, &second).await.unwrap();
        assert!(ground.seen(&first).await.login_works);
        ground.log_in(&first).await.unwrap();
    }
}

#[tokio::test]
async fn dropping_ends_live_sessions_and_leaves_nothing() {
    for ground in grounds().await {
        let wanted = ground.wanted("order", "shop/main 1");
        ground.ensure(&wanted).await.unwrap();
        let mut session = ground.log_in(&wanted).await.unwrap();
        session.execute("create table goods (id int)").await.unwrap();

        PgDatabases.drop(&ground.admin, &wanted).await.unwrap();
        PgDatabases.drop(&ground.admin, &wanted).await.unwrap();

        assert!(session.execute("insert into goods values (1)").await.is_err(), "a session outlived its database");
        assert_eq!(ground.seen(&wanted).await, DatabaseSeen::default());
        let mut admin = ground.connect(&ground.admin.user, "admin", "postgres").await.unwrap();
        let roles: i64 = sqlx::query_scalar("select count(*) from pg_roles where rolname in ($1, $2)")
            .bind(&wanted.login)
            .bind(&wanted.owner_role)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert_eq!(roles, 0);
    }
}

#[tokio::test]
async fn a_locked_login_is_out_and_the_same_name_takes_its_data_up_again() {
    for ground in grounds().await {
        let wanted = ground.wanted("order", "shop/main 1");
        ground.ensure(&wanted).await.unwrap();
        let mut session = ground.log_in(&wanted).await.unwrap();
        session.execute("create table goods (id int)").await.unwrap();

        PgDatabases.lock(&ground.admin, &wanted).await.unwrap();

        assert!(session.execute("insert into goods values (1)").await.is_err(), "a session went on writing");
        assert!(ground.log_in(&wanted).await.is_err(), "a locked login got in");
        let reborn = DatabaseWanted { marketplace: "shop/main 2".into(), ..wanted };
        ground.ensure(&reborn).await.unwrap();
        ground.log_in(&reborn).await.unwrap().execute("select id from goods").await.unwrap();
        assert_eq!(ground.seen(&reborn).await.owner.as_deref(), Some("shop/main 2"));
    }
}

#[tokio::test]
async fn a_new_password_is_seen_as_drift_and_taken_over() {
    for ground in grounds().await {
        let old = ground.wanted("order", "shop/main 1");
        ground.ensure(&old).await.unwrap();
        let new = DatabaseWanted { password: Secret::new("another"), ..old.clone() };
        assert!(!ground.seen(&new).await.login_works);
        ground.ensure(&new).await.unwrap();
        assert!(ground.seen(&new).await.login_works);
        ground.log_in(&new).await.unwrap();
        assert!(ground.log_in(&old).await.is_err());
    }
}

#[tokio::test]
async fn an_interrupted_ensure_is_taken_up_after_every_step() {
    for ground in grounds().await {
        let wanted = ground.wanted("order", "shop/main 1");
        for done in 0..4 {
            let mut session = Session::open(&ground.admin).await.unwrap();
            let found = session.lock_and_find(&wanted).await.unwrap();
            let steps = statements::ensure(&found, &wanted, &password(&wanted)).unwrap();
            session.perform(&steps[..done.min(steps.len())]).await.unwrap();
            session.close().await;
            ground.ensure(&wanted).await.unwrap();
            assert!(ground.seen(&wanted).await.login_works, "after {done} steps");
            PgDatabases.drop(&ground.admin, &wanted).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_seen_and_put_right() {
    for ground in grounds().await {
        let wanted = ground.wanted("order", "shop/main 1");
        ground.ensure(&wanted).await.unwrap();
        let (name, login, owner) = (&wanted.name, &wanted.login, &wanted.owner_role);
        for change in [
            format!("alter role {login} nologin"),
            format!("alter role {login} reset role"),
            format!("revoke {owner} from {login} granted by {}", ground.admin.user),
            format!("grant connect on database {name} to public"),
            format!("alter role {owner} login"),
            format!("comment on database {name} is null"),
            format!("drop role {login}"),
        ] {
            ground.server.as_admin(&change).await;
            assert!(!ground.seen(&wanted).await.login_works, "unseen: {change}");
            ground.ensure(&wanted).await.unwrap();
            assert!(ground.seen(&wanted).await.login_works, "not put right: {change}");
            ground.log_in(&wanted).await.unwrap();
        }
    }
}

#[tokio::test]
async fn no_clear_password_and_where_allowed_no_verifier_reaches_the_log() {
    let ground = Ground::on(agora_testkit::postgres().await).await;
    let admin = &ground.admin.user;
    for parameter in ["log_statement", "log_min_error_statement", "log_min_duration_statement"] {
        ground.server.as_admin(&format!("grant set on parameter {parameter} to {admin}")).await;
    }
    ground.server.as_admin(&format!("alter role {admin} set log_statement = 'all'")).await;
    let wanted = ground.wanted("order", "shop/main 1");
    let mut session = Session::open(&ground.admin).await.unwrap();
    let found = session.lock_and_find(&wanted).await.unwrap();
    assert!(found.may_be_quiet);
    let steps = statements::ensure(&found, &wanted, &password(&wanted)).unwrap();
    session.perform(&steps).await.unwrap();
    let whole = format!("{steps:?}");
    assert!(!whole.contains("SCRAM") && !whole.contains(wanted.password.expose()));
}

#[tokio::test]
async fn an_absent_server_a_wrong_password_and_a_missing_right_are_told_apart() {
    let ground = Ground::on(agora_testkit::postgres().await).await;
    let wanted = ground.wanted("order", "shop/main 1");
    let away = AdminDatabase { port: 1, ..ground.admin.clone() };
    assert!(matches!(PgDatabases.inspect(&away, &[]).await, Err(DatabaseError::Unreachable { port: 1, .. })));
    let wrong = AdminDatabase { password: Secret::new("wrong"), ..ground.admin.clone() };
    assert!(matches!(PgDatabases.inspect(&wrong, &[]).await, Err(DatabaseError::AuthenticationFailed { .. })));
    ground.server.as_admin(&format!("alter role {} nocreaterole", ground.admin.user)).await;
    assert!(matches!(ground.ensure(&wanted).await, Err(DatabaseError::Forbidden { .. })));
    let facts = PgDatabases.inspect(&ground.admin, &[]).await.unwrap();
    assert!(facts.version >= 150_000 && facts.max_connections > 0 && facts.databases.is_empty());
}
