//! A user service on a real PostgreSQL, with real signing and cheap hashing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use agora_chassis::{Process, SystemIds, WatchedFile, WatchedSecret};
use agora_postgres::Db;
use agora_testkit::{OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_REDIRECT_URL, Request, TestApp, TestKeys, TestResponse};
use agora_user::{
    Argon2Passwords, DerivedTokens, Issue, MIGRATIONS, OidcProvider, OidcSettings, PgUsers, SignedTokens,
    ports::{Addresses, Sessions, Users},
    service::{AttemptLimits, Staff, UserService},
};
use agora_vocab::{Epoch, UserId};
use agora_web::TokenVerifier;
use argon2::Params;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

pub const PASSWORD: &str = "correct horse battery";
pub const INTERNAL_SECRET: &str = "internal-secret";
/// Lifetime of access tokens, in seconds.
pub const ACCESS_LIFETIME_S: u32 = 900;

/// The store on its own database.
pub struct Database {
    store: PgUsers,
    pub db: Db,
}

pub async fn database() -> Database {
    let db = Db::for_test(&agora_testkit::migrated_postgres(&MIGRATIONS).await.url(), &MIGRATIONS).await;
    Database { store: PgUsers::new(db.clone(), Arc::new(SystemIds), Epoch(0)), db }
}

impl Database {
    pub fn users(&self) -> &dyn Users {
        &self.store
    }

    pub fn sessions(&self) -> &dyn Sessions {
        &self.store
    }

    pub fn addresses(&self) -> &dyn Addresses {
        &self.store
    }

    /// Moves all stored times back, since the database's clock cannot be moved.
    pub async fn pass(&self, time: Duration) {
        let mut tx = self.db.begin().await.unwrap();
        for sql in [
            "update auth_session set expires_at = expires_at - $1::float8 * interval '1 second'",
            "update refresh_token set expires_at = expires_at - $1::float8 * interval '1 second',
                                      used_at = used_at - $1::float8 * interval '1 second'",
        ] {
            sqlx::query(sql).bind(time.as_secs_f64()).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Blocks an account; no route does yet.
    pub async fn block(&self, user: UserId) {
        let blocked = sqlx::query("update users set status = 'blocked' where id = $1")
            .bind(user.uuid())
            .execute(&mut *self.db.acquire().await.unwrap())
            .await
            .unwrap();
        assert_eq!(blocked.rows_affected(), 1);
    }

    /// Lets all requests to set a new password expire.
    pub async fn expire_resets(&self) {
        sqlx::query("update password_reset set expires_at = now()")
            .execute(&mut *self.db.acquire().await.unwrap())
            .await
            .unwrap();
    }

    /// Lets all requests to change an e-mail address expire.
    pub async fn expire_email_changes(&self) {
        sqlx::query("update email_change set expires_at = now()")
            .execute(&mut *self.db.acquire().await.unwrap())
            .await
            .unwrap();
    }

    /// All rows of all tables as text, a row a line, in lower case.
    pub async fn dump(&self) -> String {
        const TABLES: &str = "select format('%I.%I', table_schema, table_name) from information_schema.tables
            where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')";
        let mut connection = self.db.acquire().await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut *connection).await.unwrap();
        let mut dump = String::new();
        for table in tables {
            let rows = format!("select t::text from {table} as t");
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut *connection).await.unwrap();
            dump.extend(rows.into_iter().map(|row| format!("{table}: {}\n", row.to_lowercase())));
        }
        dump
    }

    /// Replaces the hash of an account's password.
    pub async fn store_hash(&self, email: &str, hash: &str) {
        let stored = sqlx::query("update users set password_hash = $2 where email = $1")
            .bind(email)
            .bind(hash)
            .execute(&mut *self.db.acquire().await.unwrap())
            .await
            .unwrap();
        assert_eq!(stored.rows_affected(), 1);
    }

    /// Kind and data of all appended events, in the order of their users' counters.
    pub async fn events(&self) -> Vec<(String, String)> {
        sqlx::query_as("select kind, data::text from outbox order by aggregate, seq")
            .fetch_all(&mut *self.db.acquire().await.unwrap())
            .await
            .unwrap()
    }
}

/// The service with the routers of both ports.
pub struct Shop {
    pub app: TestApp,
    pub internal: TestApp,
    pub service: UserService,
    pub database: Database,
    pub keys: TestKeys,
    _process: Process,
}

impl Shop {
    /// With the real clock, which token verifiers read.
    pub async fn open() -> Self {
        Self::with_provider(None).await
    }

    /// With the identity provider of the staff that has this URL.
    pub async fn with_provider(issuer_url: Option<&str>) -> Self {
        let (process, keys, database) = (Process::for_test("user"), TestKeys::new(), database().await);
        let (key, set) = (WatchedFile::fixed(keys.signing_key_pem()), WatchedFile::fixed(keys.jwks()));
        let issue = Issue {
            issuer: TestKeys::ISSUER.into(),
            audience: TestKeys::AUDIENCE.into(),
            lifetime_s: ACCESS_LIFETIME_S,
        };
        let store = Arc::new(database.store.clone());
        let service = UserService {
            users: store.clone(),
            control: store.clone(),
            resets: store.clone(),
            email_changes: store.clone(),
            personal_data: store.clone(),
            reset_tokens: Arc::new(DerivedTokens(WatchedSecret::fixed(INTERNAL_SECRET))),
            staff: issuer_url.map(|url| Staff { provider: Arc::new(oidc(url)), accounts: store.clone() }),
            reset_requested: Arc::default(),
            sessions: store.clone(),
            addresses: store,
            passwords: Arc::new(Argon2Passwords::with(Params::new(64, 1, 1, None).unwrap(), 2, 64).unwrap()),
            tokens: Arc::new(SignedTokens::new(key, set.clone(), issue, process.clock(), process.ids())),
            limits: Arc::new(AttemptLimits::new(process.clock())),
            ids: process.ids(),
        };
        let verifier = TokenVerifier::watch(set, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let routers = agora_user::routers(service.clone(), verifier, WatchedSecret::fixed(INTERNAL_SECRET), &process);
        Self {
            app: TestApp::of("user", routers.public),
            internal: TestApp::of("user", routers.internal),
            service,
            database,
            keys,
            _process: process,
        }
    }

    pub async fn register(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD, "firstname": "Ada", "lastname": "Lovelace" });
        self.app.post("/api/v1/auth/register", body).await.expect(201).body
    }

    pub async fn login(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD });
        self.app.post("/api/v1/auth/login", body).await.expect(200).body
    }

    pub async fn refresh(&self, token: &Value) -> TestResponse {
        self.app.post("/api/v1/auth/refresh", json!({ "refreshToken": token })).await
    }

    /// `DELETE path` with a JSON body.
    pub fn delete(&self, path: &str, body: &Value) -> Request {
        let delete = self.app.request("DELETE".parse().unwrap(), path);
        delete.header("content-type", "application/json").raw(body.to_string())
    }

    /// Registers and logs in; returns id and access token.
    pub async fn shopper(&self, email: &str) -> (String, String) {
        self.register(email).await;
        let tokens = self.login(email).await;
        (text(&tokens["user"]["id"]), text(&tokens["accessToken"]))
    }
}

/// The client of the provider; groups `desk`, `stock` and `owners` give roles.
fn oidc(issuer_url: &str) -> OidcProvider {
    OidcProvider::new(OidcSettings {
        issuer_url: issuer_url.to_owned(),
        client_id: OIDC_CLIENT_ID.to_owned(),
        client_secret: WatchedSecret::fixed(OIDC_CLIENT_SECRET),
        redirect_url: OIDC_REDIRECT_URL.to_owned(),
        groups_claim: "groups".to_owned(),
        roles: "support=desk,warehouse=stock,admin=owners".parse().unwrap(),
        plain_http: true,
    })
    .unwrap()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Names of the invalid fields of a 422.
pub fn fields(answer: &TestResponse) -> BTreeSet<String> {
    answer.body["details"].as_array().unwrap().iter().map(|detail| text(&detail["field"])).collect()
}
