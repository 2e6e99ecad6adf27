//! Sessions that ended while access tokens of theirs may be valid: stored with their end, and published to the other services.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use agora_chassis::{BoxError, Process};
use agora_redis::{Redis, RevokedSessions};
use agora_testkit::RedisServer;
use agora_user::{
    PgRevocations, RedisRevocations,
    domain::Revocation,
    ports::{RevocationList, Revocations},
    service::RevocationPublisher,
};
use agora_vocab::{Role, Secret, SessionId, UserId};
use agora_web::derived_token;
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::fixture::{ACCESS_LIFETIME_S, INTERNAL_SECRET, PASSWORD, Shop, text};

const EMAIL: &str = "ada@example.com";
const SESSIONS: &str = "/api/v1/users/me/sessions";

/// Tokens of a new session, and its id.
async fn login(shop: &Shop) -> (Value, Uuid) {
    let tokens = shop.login(EMAIL).await;
    let validated = shop.app.get("/api/v1/auth/validate").with(&text(&tokens["accessToken"])).await.expect(200).body;
    (tokens, text(&validated["sid"]).parse().unwrap())
}

async fn revoked(shop: &Shop) -> BTreeSet<Uuid> {
    let mut connection = shop.database.db.acquire().await.unwrap();
    let all: Vec<Uuid> =
        sqlx::query_scalar("select auth_session_id from blocked_auth").fetch_all(&mut *connection).await.unwrap();
    all.into_iter().collect()
}

#[tokio::test]
async fn id7_every_way_to_end_a_session_revokes_its_access_tokens_and_those_of_no_other() {
    let shop = Shop::open().await;
    let user = text(&shop.register(EMAIL).await["id"]);
    let mut expected = BTreeSet::new();

    let ((tokens, gone), (kept, _)) = (login(&shop).await, login(&shop).await);
    let kept = text(&kept["accessToken"]);
    shop.app.post("/api/v1/auth/logout", json!({ "refreshToken": tokens["refreshToken"] })).await.expect(204);
    expected.insert(gone);
    assert_eq!(revoked(&shop).await, expected, "logout");

    let (_, gone) = login(&shop).await;
    shop.app.delete(&format!("{SESSIONS}/{gone}")).with(&kept).await.expect(204);
    expected.insert(gone);
    assert_eq!(revoked(&shop).await, expected, "one session ended by its user");

    let (stolen, gone) = login(&shop).await;
    let next = shop.refresh(&stolen["refreshToken"]).await.expect(200).body;
    shop.refresh(&next["refreshToken"]).await.expect(200);
    shop.refresh(&stolen["refreshToken"]).await.expect(401);
    expected.insert(gone);
    assert_eq!(revoked(&shop).await, expected, "a refresh token that was used twice");

    let (_, gone) = login(&shop).await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD });
    shop.app.post("/api/v1/users/me/password", body).with(&kept).await.expect(204);
    expected.insert(gone);
    assert_eq!(revoked(&shop).await, expected, "a changed password ends all sessions but the caller's");

    let (_, gone) = login(&shop).await;
    shop.app.post("/api/v1/auth/password-reset", json!({ "email": EMAIL })).await.expect(202);
    shop.service.announce_resets().await.unwrap();
    let events = shop.database.events().await;
    let (_, request) = events.iter().find(|(kind, _)| kind == "user.password-reset-requested").unwrap();
    let request: Value = serde_json::from_str(request).unwrap();
    let token =
        derived_token(&Secret::new(INTERNAL_SECRET), "password-reset", text(&request["resetId"]).parse().unwrap());
    let body = json!({ "token": token, "newPassword": PASSWORD });
    shop.app.post("/api/v1/auth/password-reset/confirm", body).await.expect(204);
    assert!(revoked(&shop).await.is_superset(&expected) && revoked(&shop).await.contains(&gone), "a reset password");
    assert_eq!(revoked(&shop).await.len(), expected.len() + 2, "this session, and the one that was kept");

    let ((mine, _), (_, _)) = (login(&shop).await, login(&shop).await);
    shop.app.delete(SESSIONS).with(&text(&mine["accessToken"])).await.expect(204);
    assert_eq!(revoked(&shop).await.len(), expected.len() + 4, "all sessions ended by their user");

    let (_, gone) = login(&shop).await;
    let admin = shop.keys.token(UserId::new(Uuid::nil()), &[Role::Admin]);
    let path = format!("/api/v1/admin/users/{user}/status");
    shop.app.put(&path, json!({ "status": "blocked" })).with(&admin).await.expect(200);
    assert!(revoked(&shop).await.contains(&gone), "a blocked user");
    assert_eq!(revoked(&shop).await.len(), expected.len() + 5);
}

#[tokio::test]
async fn a_session_that_was_not_used_for_longer_than_an_access_token_lives_needs_no_revocation() {
    let shop = Shop::open().await;
    shop.register(EMAIL).await;
    let ((_, idle), (recent, used)) = (login(&shop).await, login(&shop).await);
    let age = "update auth_session set issued_at = now() - interval '2 days' where id = $1";
    sqlx::query(age).bind(idle).execute(&mut *shop.database.db.acquire().await.unwrap()).await.unwrap();
    shop.app.delete(SESSIONS).with(&text(&recent["accessToken"])).await.expect(204);
    assert_eq!(revoked(&shop).await, BTreeSet::from([used]));
}

#[tokio::test]
async fn id7_revocations_are_published_once_and_again_when_redis_lost_them() {
    let (shop, server, process) = (Shop::open().await, RedisServer::start(), Process::for_test("user"));
    shop.register(EMAIL).await;
    let redis = Redis::connect(&agora_redis::Config::fixed(&server.url(), "shop"), &process);
    let answers = async || {
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    answers().await;
    let store = PgRevocations::new(shop.database.db.clone(), ACCESS_LIFETIME_S);
    let list = Arc::new(RedisRevocations(redis.clone()));
    let publisher = RevocationPublisher { store: Arc::new(store.clone()), list };
    let logout = async || {
        let (tokens, session) = login(&shop).await;
        shop.app.post("/api/v1/auth/logout", json!({ "refreshToken": tokens["refreshToken"] })).await.expect(204);
        SessionId::new(session)
    };
    // More than one page.
    let many = "insert into auth_session (id, user_id, expires_at, ended_at, end_reason)
                select gen_random_uuid(), (select id from users), now() + interval '1 day', now(), 'logout'
                from generate_series(1, 1200)";
    for sql in [many, "insert into blocked_auth (auth_session_id) select id from auth_session order by id"] {
        sqlx::query(sql).execute(&mut *shop.database.db.acquire().await.unwrap()).await.unwrap();
    }
    let first = logout().await;
    assert_eq!(store.unpublished(10_000).await.unwrap().len(), 1201);
    publisher.publish_new().await.unwrap();
    assert!(store.unpublished(1).await.unwrap().is_empty(), "all are published, since the list did not exist");
    let second = logout().await;
    publisher.publish_new().await.unwrap();
    assert!(store.unpublished(1).await.unwrap().is_empty());

    server.stop();
    let third = logout().await;
    publisher.publish_new().await.unwrap_err();
    assert_eq!(store.unpublished(10).await.unwrap().len(), 1, "it waits for Redis");
    server.resume();
    answers().await;
    publisher.publish_new().await.unwrap();

    let copy = RevokedSessions::follow(redis, &process);
    let begun = tokio::time::Instant::now();
    let known = || revoked_in(&copy, &[first, second, third]);
    while !known() {
        assert!(begun.elapsed() < Duration::from_secs(2), "not within two seconds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = revoked(&shop).await.into_iter().map(SessionId::new).collect::<Vec<_>>();
    assert!(all.len() == 1203 && revoked_in(&copy, &all), "those that were published before, too");
}

fn revoked_in(copy: &RevokedSessions, sessions: &[SessionId]) -> bool {
    sessions.iter().all(|session| copy.contains(*session))
}

#[tokio::test]
async fn a_revocation_lasts_as_long_as_an_access_token_and_is_deleted_after_it() {
    let shop = Shop::open().await;
    shop.register(EMAIL).await;
    let store = PgRevocations::new(shop.database.db.clone(), ACCESS_LIFETIME_S);
    let (tokens, _) = login(&shop).await;
    let expires = {
        let access = text(&tokens["accessToken"]);
        shop.app.get("/api/v1/auth/validate").with(&access).await.expect(200).body["exp"].as_i64().unwrap()
    };
    shop.app.post("/api/v1/auth/logout", json!({ "refreshToken": tokens["refreshToken"] })).await.expect(204);
    let [revocation] = store.page(0, 10).await.unwrap().try_into().unwrap();
    // A token is accepted for 30 s after its expiry.
    assert!((expires + 31..expires + 120).contains(&revocation.ends), "{} for {expires}", revocation.ends);
    assert_eq!(store.delete_old(10).await.unwrap(), 0);
    let age = "update blocked_auth set revoked_at = revoked_at - interval '991 seconds'";
    sqlx::query(age).execute(&mut *shop.database.db.acquire().await.unwrap()).await.unwrap();
    assert!(store.page(0, 10).await.unwrap().is_empty());
    assert_eq!(store.delete_old(10).await.unwrap(), 1);
}

/// A list that cannot be written at the first calls.
#[derive(Default)]
struct ListThatFails(AtomicU32);

impl ListThatFails {
    const FAILURES: u32 = 3;
}

#[async_trait]
impl RevocationList for ListThatFails {
    async fn publish(&self, _: &[Revocation], _: bool) -> Result<bool, BoxError> {
        let calls = self.0.fetch_add(1, Ordering::Relaxed);
        if calls < Self::FAILURES { Err("the list is away".into()) } else { Ok(true) }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_written_does_not_end_the_worker_which_publishes_later() {
    let shop = Shop::open().await;
    shop.register(EMAIL).await;
    let (tokens, _) = login(&shop).await;
    shop.app.post("/api/v1/auth/logout", json!({ "refreshToken": tokens["refreshToken"] })).await.expect(204);
    let store = PgRevocations::new(shop.database.db.clone(), ACCESS_LIFETIME_S);
    let list = Arc::new(ListThatFails::default());
    let publisher = RevocationPublisher { store: Arc::new(store.clone()), list: list.clone() };
    let ended = Arc::new(Notify::new());
    let is_published = async {
        while !store.unpublished(1).await.unwrap().is_empty() {
            ended.notify_one();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        result = agora_user::worker::publish(publisher, ended.clone()) => panic!("{result:?}"),
        end = tokio::time::timeout(Duration::from_mins(1), is_published) => end.unwrap(),
    }
    assert!(list.0.load(Ordering::Relaxed) > ListThatFails::FAILURES);
}
