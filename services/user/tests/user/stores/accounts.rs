//! The store of accounts.

use agora_outbox::{DedupKey, Outcome};
use agora_user::{
    domain::{PasswordHash, Profile, Text, Username},
    ports::{Refusal, StoreError, UserError},
};
use agora_vocab::{Email, Role, UserId};

use super::{account, ada, id, login, named, request, rotate, token};
use crate::fixture::database;

#[tokio::test]
async fn an_account_is_found_by_id_and_address() {
    let database = &database().await;
    let ada = ada(database).await;
    assert_eq!(database.users().find(ada.id).await.unwrap().as_ref(), Some(&ada));
    let credentials = database.users().credentials(&ada.email).await.unwrap().unwrap();
    assert_eq!((credentials.user, credentials.hash.as_str()), (ada, "first"));
    assert_eq!(database.users().find(UserId::new(id(99))).await.unwrap(), None);
    let no_account = Email::parse("unknown@example.com").unwrap();
    assert!(database.users().credentials(&no_account).await.unwrap().is_none());
}

#[tokio::test]
async fn an_email_and_a_username_belong_to_one_account() {
    let database = &database().await;
    ada(database).await;
    let taken = database.users().register(&account(2, "ada@example.com", None), &DedupKey::None).await;
    assert!(matches!(taken, Err(UserError::EmailTaken)), "{taken:?}");
    let taken = database.users().register(&account(2, "eve@example.com", Some("aDA")), &DedupKey::None).await;
    assert!(matches!(taken, Err(UserError::UsernameTaken)), "{taken:?}");
    let eve = account(2, "eve@example.com", Some("eve"));
    database.users().register(&eve, &DedupKey::None).await.unwrap();
    let change = Profile { username: Some(Username::parse("ADA").unwrap()), ..Profile::default() };
    let taken = database.users().update(eve.id, &change, &DedupKey::None).await;
    assert!(matches!(taken, Err(UserError::UsernameTaken)), "{taken:?}");
    let own = Profile { username: Some(Username::parse("Eve").unwrap()), ..Profile::default() };
    assert!(database.users().update(eve.id, &own, &DedupKey::None).await.unwrap().is_some());
}

#[tokio::test]
async fn a_repeated_request_returns_the_first_result_and_changes_nothing() {
    let database = &database().await;
    let ada = ada(database).await;
    let dedup_key = request(ada.id, "k", 1);
    let first = database.users().update(ada.id, &named("A", "L"), &dedup_key).await.unwrap().unwrap();
    database.users().update(ada.id, &named("B", "M"), &DedupKey::None).await.unwrap();
    let again = database.users().update(ada.id, &named("A", "L"), &dedup_key).await.unwrap().unwrap();
    assert_eq!(again, Outcome::Duplicate(first.into_inner()));
    let now = database.users().find(ada.id).await.unwrap().unwrap();
    assert_eq!(now.profile.whole_name().as_deref(), Some("B M"));
    let other = database.users().update(ada.id, &named("C", "N"), &request(ada.id, "k", 2)).await;
    assert!(matches!(other, Err(UserError::Store(StoreError::KeyReused))), "{other:?}");
}

#[tokio::test]
async fn a_partial_update_keeps_the_rest() {
    let database = &database().await;
    let ada = ada(database).await;
    let change = Profile { lastname: Some(Text::parse("lastname", "Byron").unwrap()), ..Profile::default() };
    let updated = database.users().update(ada.id, &change, &DedupKey::None).await.unwrap().unwrap().into_inner();
    assert_eq!(updated.profile, Profile { lastname: change.lastname.clone(), ..ada.profile });
    assert_eq!(updated.created_at, ada.created_at);
    assert!(database.users().update(UserId::new(id(99)), &change, &DedupKey::None).await.unwrap().is_none());
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_only_if_unchanged() {
    let database = &database().await;
    let ada = ada(database).await;
    let hash = |text: &str| PasswordHash::new(text.into());
    let stored = || async { database.users().credentials(&ada.email).await.unwrap().unwrap().hash };
    database.users().rehash(ada.id, &hash("another"), &hash("second")).await.unwrap();
    assert_eq!(stored().await, hash("first"));
    database.users().rehash(ada.id, &hash("first"), &hash("second")).await.unwrap();
    assert_eq!(stored().await, hash("second"));
}

#[tokio::test]
async fn a_new_admin_password_ends_the_sessions() {
    let database = &database().await;
    let ada = ada(database).await;
    let session = login(database, &ada, 10, token(1)).await;
    database.users().make_admin(ada.id, None).await.unwrap();
    database.users().make_admin(ada.id, None).await.unwrap();
    let found = database.users().find(ada.id).await.unwrap().unwrap();
    assert_eq!(found.roles, [Role::Customer, Role::Admin]);
    assert!(database.sessions().live(session, ada.id).await.unwrap().is_some());
    database.users().make_admin(ada.id, Some(&PasswordHash::new("second".into()))).await.unwrap();
    assert!(database.sessions().live(session, ada.id).await.unwrap().is_none());
    assert_eq!(rotate(database, token(1), token(2)).await, Err(Refusal::Ended));
}

#[tokio::test]
async fn events_are_numbered_without_gaps_and_contain_no_secrets() {
    let database = database().await;
    let user = ada(&database).await;
    login(&database, &user, 10, token(1)).await;
    database.users().update(user.id, &named("A", "L"), &DedupKey::None).await.unwrap();
    let taken = database.users().register(&account(2, "ada@example.com", None), &DedupKey::None).await;
    assert!(taken.is_err(), "a refused registration leaves no event");
    let rows: Vec<(i64, String, String)> =
        sqlx::query_as("select seq, kind, data::text from outbox where aggregate = $1 order by seq")
            .bind(user.id.uuid())
            .fetch_all(&mut *database.db.acquire().await.unwrap())
            .await
            .unwrap();
    let kinds: Vec<_> = rows.iter().map(|(seq, kind, _)| (*seq, kind.as_str())).collect();
    assert_eq!(kinds, [(1, "user.registered"), (2, "user.login"), (3, "user.updated")]);
    assert!(rows.iter().all(|(_, _, data)| !data.contains("first")), "no hash in an event: {rows:?}");
    let all: i64 = sqlx::query_scalar("select count(*) from outbox")
        .fetch_one(&mut *database.db.acquire().await.unwrap())
        .await
        .unwrap();
    assert_eq!(all, 3);
}
