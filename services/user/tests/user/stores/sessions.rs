//! The store of sessions.

use std::time::Duration;

use agora_user::{
    domain::{SESSION_IDLE, SESSION_LIFETIME},
    ports::Refusal,
};

use super::{ada, login, rotate, token};
use crate::fixture::{Shop, database};

#[tokio::test]
async fn a_refresh_token_is_valid_for_one_use() {
    let database = &database().await;
    let ada = ada(database).await;
    let session = login(database, &ada, 10, token(1)).await;
    assert_eq!(rotate(database, token(9), token(2)).await, Err(Refusal::Unknown));
    assert_eq!(rotate(database, token(1), token(2)).await, Ok(session));
    assert_eq!(rotate(database, token(2), token(3)).await, Ok(session));
    assert_eq!(database.sessions().live(session, ada.id).await.unwrap(), Some(ada));
}

#[tokio::test]
async fn a_reused_refresh_token_ends_its_whole_session_and_no_other() {
    let database = &database().await;
    let ada = ada(database).await;
    let (stolen, other) = (login(database, &ada, 10, token(1)).await, login(database, &ada, 11, token(11)).await);
    assert_eq!(rotate(database, token(1), token(2)).await, Ok(stolen));
    assert_eq!(rotate(database, token(1), token(3)).await, Err(Refusal::Reused));
    assert_eq!(rotate(database, token(2), token(4)).await, Err(Refusal::Ended), "the descendant ends too");
    assert_eq!(rotate(database, token(3), token(4)).await, Err(Refusal::Unknown), "the token was never issued");
    assert!(database.sessions().live(stolen, ada.id).await.unwrap().is_none());
    assert_eq!(rotate(database, token(11), token(12)).await, Ok(other));
}

#[tokio::test]
async fn a_session_ends_idle_or_old_or_by_logout() {
    let database = &database().await;
    let ada = ada(database).await;
    login(database, &ada, 10, token(1)).await;
    database.pass(SESSION_IDLE + Duration::from_secs(1)).await;
    assert_eq!(rotate(database, token(1), token(2)).await, Err(Refusal::Idle));

    let old = login(database, &ada, 11, token(11)).await;
    let uses = u8::try_from(SESSION_LIFETIME.as_secs() / SESSION_IDLE.as_secs() + 1).unwrap();
    for n in 11..11 + uses {
        assert_eq!(rotate(database, token(n), token(n + 1)).await, Ok(old));
        database.pass(SESSION_LIFETIME / u32::from(uses)).await;
    }
    assert_eq!(rotate(database, token(11 + uses), token(99)).await, Err(Refusal::Ended));
    assert!(database.sessions().live(old, ada.id).await.unwrap().is_none());

    let left = login(database, &ada, 12, token(51)).await;
    database.sessions().end(token(51)).await.unwrap();
    database.sessions().end(token(77)).await.unwrap();
    assert_eq!(rotate(database, token(51), token(52)).await, Err(Refusal::Ended));
    assert!(database.sessions().live(left, ada.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_blocked_user_is_not_refreshed() {
    let database = &database().await;
    let ada = ada(database).await;
    let session = login(database, &ada, 10, token(1)).await;
    database.block(ada.id).await;
    assert_eq!(rotate(database, token(1), token(2)).await, Err(Refusal::Blocked));
    assert!(database.sessions().live(session, ada.id).await.unwrap().is_none());
}

#[tokio::test]
async fn expired_sessions_are_deleted() {
    let database = &database().await;
    let ada = ada(database).await;
    login(database, &ada, 10, token(1)).await;
    login(database, &ada, 11, token(2)).await;
    assert_eq!(database.sessions().delete_expired(10).await.unwrap(), 0);
    database.pass(SESSION_LIFETIME + Duration::from_secs(1)).await;
    assert_eq!(database.sessions().delete_expired(1).await.unwrap(), 1);
    assert_eq!(database.sessions().delete_expired(10).await.unwrap(), 1);
    assert_eq!(rotate(database, token(1), token(3)).await, Err(Refusal::Unknown));
}

#[tokio::test]
async fn one_round_deletes_all_expired_sessions_however_many_logins_there_were() {
    const MANY: &str = "insert into auth_session (id, user_id, expires_at)
        select gen_random_uuid(), u.id, now() - interval '1 second' from users as u, generate_series(1, 2500)";
    let shop = Shop::open().await;
    ada(&shop.database).await;
    let mut session = shop.database.db.acquire().await.unwrap();
    sqlx::query(MANY).execute(&mut *session).await.unwrap();
    assert_eq!(shop.service.delete_expired_sessions().await.unwrap(), 2500);
    assert_eq!(shop.service.delete_expired_sessions().await.unwrap(), 0);
}

#[tokio::test]
async fn of_concurrent_refreshes_with_one_token_one_succeeds_and_the_session_ends() {
    let database = database().await;
    let user = ada(&database).await;
    let session = login(&database, &user, 10, token(1)).await;
    let all = (0..8).map(|n| rotate(&database, token(1), token(100 + n)));
    let outcomes = futures::future::join_all(all).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Refusal::Reused)).count(), 1, "{outcomes:?}");
    assert!(database.sessions().live(session, user.id).await.unwrap().is_none());
}
