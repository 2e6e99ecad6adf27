//! The contract of the ports, on the store in memory and, with feature `db-tests`, on a real PostgreSQL: both must behave
//! the same.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

use std::{sync::Arc, time::Duration};

use agora_outbox::{DedupKey, Outcome};
use agora_testkit::FixedClock;
use agora_user::{
    ADDRESSES_MAX, Address, BookEntry, Country, PasswordHash, Profile, SESSION_IDLE, SESSION_LIFETIME, Text,
    TokenDigest, User, Username,
    fakes::InMemoryStore,
    ports::{Addresses, NewAccount, NewSession, Refusal, Rotation, Sessions, StoreError, UserError, Users},
};
use agora_vocab::{AddressId, Email, Role, SessionId, UserId};
use async_trait::async_trait;
use time::macros::datetime;
use uuid::Uuid;

/// A store under test with control of its clock.
#[async_trait]
trait Subject: Send + Sync {
    fn users(&self) -> &dyn Users;
    fn sessions(&self) -> &dyn Sessions;
    fn addresses(&self) -> &dyn Addresses;
    async fn pass(&self, time: Duration);
    async fn block(&self, user: UserId);
}

struct Fake {
    store: InMemoryStore,
    clock: FixedClock,
}

fn fake() -> Fake {
    let clock = FixedClock::at(datetime!(2026-01-02 03:04:05 UTC));
    Fake { store: InMemoryStore::new(Arc::new(clock.clone())), clock }
}

#[async_trait]
impl Subject for Fake {
    fn users(&self) -> &dyn Users {
        &self.store
    }
    fn sessions(&self) -> &dyn Sessions {
        &self.store
    }
    fn addresses(&self) -> &dyn Addresses {
        &self.store
    }
    async fn pass(&self, time: Duration) {
        self.clock.advance(time.try_into().unwrap());
    }
    async fn block(&self, user: UserId) {
        self.store.block(user);
    }
}

#[cfg(feature = "db-tests")]
mod postgres {
    use std::{sync::Arc, time::Duration};

    use agora_chassis::SystemIds;
    use agora_postgres::Db;
    use agora_testkit::TestDatabase;
    use agora_user::{
        MIGRATIONS, PgStore,
        ports::{Addresses, Sessions, Users},
    };
    use agora_vocab::{Epoch, UserId};
    use async_trait::async_trait;

    pub struct Real {
        pub store: PgStore,
        pub db: Db,
        _server: TestDatabase,
    }

    pub async fn real() -> Real {
        let server = agora_testkit::postgres().await;
        let db = Db::for_test(&server.url(), &MIGRATIONS).await;
        Real { store: PgStore::new(db.clone(), Arc::new(SystemIds), Epoch(0)), db, _server: server }
    }

    #[async_trait]
    impl super::Subject for Real {
        fn users(&self) -> &dyn Users {
            &self.store
        }
        fn sessions(&self) -> &dyn Sessions {
            &self.store
        }
        fn addresses(&self) -> &dyn Addresses {
            &self.store
        }
        /// Moves all stored times back, since the database's clock cannot be moved.
        async fn pass(&self, time: Duration) {
            let mut tx = self.db.begin().await.unwrap();
            for sql in [
                "update auth_session set expires_at = expires_at - $1::float8 * interval '1 second'",
                "update refresh_token set expires_at = expires_at - $1::float8 * interval '1 second'",
            ] {
                sqlx::query(sql).bind(time.as_secs_f64()).execute(&mut *tx).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
        async fn block(&self, user: UserId) {
            sqlx::query("update users set status = 'blocked' where id = $1")
                .bind(user.uuid())
                .execute(&mut *self.db.acquire().await.unwrap())
                .await
                .unwrap();
        }
    }
}

/// Each function as one test on the store in memory and one on PostgreSQL.
macro_rules! laws {
    ($($law:ident)*) => {
        mod on_the_fake {
            $(#[tokio::test] async fn $law() { super::$law(&super::fake()).await; })*
        }
        #[cfg(feature = "db-tests")]
        mod on_postgres {
            $(#[tokio::test] async fn $law() { super::$law(&super::postgres::real().await).await; })*
        }
    };
}

laws! {
    an_account_is_found_by_id_and_address
    an_email_and_a_username_belong_to_one_account
    a_repeated_request_returns_the_first_result_and_changes_nothing
    a_partial_update_keeps_the_rest
    an_outdated_hash_is_replaced_only_if_unchanged
    a_new_admin_password_ends_the_sessions
    a_refresh_token_is_valid_for_one_use
    a_reused_refresh_token_ends_its_whole_session_and_no_other
    a_session_ends_idle_or_old_or_by_logout
    a_blocked_user_is_not_refreshed
    expired_sessions_are_deleted
    an_address_book_is_its_owners_alone
    an_address_book_is_limited
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0192_f0c1_0000_7000_8000_0000_0000_0000 + n)
}

fn account(n: u128, email: &str, username: Option<&str>) -> NewAccount {
    let profile = Profile { username: username.map(|name| Username::parse(name).unwrap()), ..named("Ada", "Lovelace") };
    NewAccount {
        id: UserId::new(id(n)),
        email: Email::parse(email).unwrap(),
        profile,
        roles: vec![Role::Customer],
        hash: PasswordHash::new("first".into()),
    }
}

fn named(firstname: &str, lastname: &str) -> Profile {
    Profile {
        firstname: Some(Text::parse("firstname", firstname).unwrap()),
        lastname: Some(Text::parse("lastname", lastname).unwrap()),
        ..Profile::default()
    }
}

fn request(user: UserId, key: &str, hash: u8) -> DedupKey {
    DedupKey::Request { scope: user.to_string(), key: key.into(), route: "PUT /x".into(), hash: [hash; 32] }
}

async fn ada(subject: &dyn Subject) -> User {
    let made = subject.users().register(&account(1, "ada@example.com", Some("Ada")), &DedupKey::None).await.unwrap();
    made.into_inner()
}

const fn token(n: u8) -> TokenDigest {
    TokenDigest([n; 32])
}

async fn login(subject: &dyn Subject, user: &User, session: u128, first: TokenDigest) -> SessionId {
    let id = SessionId::new(id(session));
    let ip = Some("192.0.2.7".parse().unwrap());
    let session = NewSession { id, user: user.id, email: user.email.clone(), token: first, ip };
    subject.sessions().start(&session, &DedupKey::None).await.unwrap();
    id
}

async fn rotate(subject: &dyn Subject, from: TokenDigest, to: TokenDigest) -> Result<SessionId, Refusal> {
    match subject.sessions().rotate(from, to).await.unwrap() {
        Rotation::Rotated { session, .. } => Ok(session),
        Rotation::Refused(refusal) => Err(refusal),
    }
}

async fn an_account_is_found_by_id_and_address(subject: &dyn Subject) {
    let ada = ada(subject).await;
    assert_eq!(subject.users().find(ada.id).await.unwrap().as_ref(), Some(&ada));
    let credentials = subject.users().credentials(&ada.email).await.unwrap().unwrap();
    assert_eq!((credentials.user, credentials.hash.as_str()), (ada, "first"));
    assert_eq!(subject.users().find(UserId::new(id(99))).await.unwrap(), None);
    let no_account = Email::parse("unknown@example.com").unwrap();
    assert!(subject.users().credentials(&no_account).await.unwrap().is_none());
}

async fn an_email_and_a_username_belong_to_one_account(subject: &dyn Subject) {
    ada(subject).await;
    let taken = subject.users().register(&account(2, "ada@example.com", None), &DedupKey::None).await;
    assert!(matches!(taken, Err(UserError::EmailTaken)), "{taken:?}");
    let taken = subject.users().register(&account(2, "eve@example.com", Some("aDA")), &DedupKey::None).await;
    assert!(matches!(taken, Err(UserError::UsernameTaken)), "{taken:?}");
    let eve = account(2, "eve@example.com", Some("eve"));
    subject.users().register(&eve, &DedupKey::None).await.unwrap();
    let change = Profile { username: Some(Username::parse("ADA").unwrap()), ..Profile::default() };
    let taken = subject.users().update(eve.id, &change, &DedupKey::None).await;
    assert!(matches!(taken, Err(UserError::UsernameTaken)), "{taken:?}");
    let own = Profile { username: Some(Username::parse("Eve").unwrap()), ..Profile::default() };
    assert!(subject.users().update(eve.id, &own, &DedupKey::None).await.unwrap().is_some());
}

async fn a_repeated_request_returns_the_first_result_and_changes_nothing(subject: &dyn Subject) {
    let ada = ada(subject).await;
    let dedup_key = request(ada.id, "k", 1);
    let first = subject.users().update(ada.id, &named("A", "L"), &dedup_key).await.unwrap().unwrap();
    subject.users().update(ada.id, &named("B", "M"), &DedupKey::None).await.unwrap();
    let again = subject.users().update(ada.id, &named("A", "L"), &dedup_key).await.unwrap().unwrap();
    assert_eq!(again, Outcome::Duplicate(first.into_inner()));
    let now = subject.users().find(ada.id).await.unwrap().unwrap();
    assert_eq!(now.profile.whole_name().as_deref(), Some("B M"));
    let other = subject.users().update(ada.id, &named("C", "N"), &request(ada.id, "k", 2)).await;
    assert!(matches!(other, Err(UserError::Store(StoreError::KeyReused))), "{other:?}");
}

async fn a_partial_update_keeps_the_rest(subject: &dyn Subject) {
    let ada = ada(subject).await;
    let change = Profile { lastname: Some(Text::parse("lastname", "Byron").unwrap()), ..Profile::default() };
    let updated = subject.users().update(ada.id, &change, &DedupKey::None).await.unwrap().unwrap().into_inner();
    assert_eq!(updated.profile, ada.profile.clone().merged(change.clone()));
    assert_eq!(updated.created_at, ada.created_at);
    assert!(subject.users().update(UserId::new(id(99)), &change, &DedupKey::None).await.unwrap().is_none());
}

async fn an_outdated_hash_is_replaced_only_if_unchanged(subject: &dyn Subject) {
    let ada = ada(subject).await;
    let hash = |text: &str| PasswordHash::new(text.into());
    let stored = || async { subject.users().credentials(&ada.email).await.unwrap().unwrap().hash };
    subject.users().rehash(ada.id, &hash("another"), &hash("second")).await.unwrap();
    assert_eq!(stored().await, hash("first"));
    subject.users().rehash(ada.id, &hash("first"), &hash("second")).await.unwrap();
    assert_eq!(stored().await, hash("second"));
}

async fn a_new_admin_password_ends_the_sessions(subject: &dyn Subject) {
    let ada = ada(subject).await;
    let session = login(subject, &ada, 10, token(1)).await;
    subject.users().make_admin(ada.id, None).await.unwrap();
    subject.users().make_admin(ada.id, None).await.unwrap();
    let found = subject.users().find(ada.id).await.unwrap().unwrap();
    assert_eq!(found.roles, [Role::Customer, Role::Admin]);
    assert!(subject.sessions().live(session, ada.id).await.unwrap().is_some());
    subject.users().make_admin(ada.id, Some(&PasswordHash::new("second".into()))).await.unwrap();
    assert!(subject.sessions().live(session, ada.id).await.unwrap().is_none());
    assert_eq!(rotate(subject, token(1), token(2)).await, Err(Refusal::Ended));
}

async fn a_refresh_token_is_valid_for_one_use(subject: &dyn Subject) {
    let ada = ada(subject).await;
    let session = login(subject, &ada, 10, token(1)).await;
    assert_eq!(rotate(subject, token(9), token(2)).await, Err(Refusal::Unknown));
    assert_eq!(rotate(subject, token(1), token(2)).await, Ok(session));
    assert_eq!(rotate(subject, token(2), token(3)).await, Ok(session));
    assert_eq!(subject.sessions().live(session, ada.id).await.unwrap(), Some(ada));
}

async fn a_reused_refresh_token_ends_its_whole_session_and_no_other(subject: &dyn Subject) {
    let ada = ada(subject).await;
    let (stolen, other) = (login(subject, &ada, 10, token(1)).await, login(subject, &ada, 11, token(11)).await);
    assert_eq!(rotate(subject, token(1), token(2)).await, Ok(stolen));
    assert_eq!(rotate(subject, token(1), token(3)).await, Err(Refusal::Reused));
    assert_eq!(rotate(subject, token(2), token(4)).await, Err(Refusal::Ended), "the descendant ends too");
    assert_eq!(rotate(subject, token(3), token(4)).await, Err(Refusal::Unknown), "the token was never issued");
    assert!(subject.sessions().live(stolen, ada.id).await.unwrap().is_none());
    assert_eq!(rotate(subject, token(11), token(12)).await, Ok(other));
}

async fn a_session_ends_idle_or_old_or_by_logout(subject: &dyn Subject) {
    let ada = ada(subject).await;
    login(subject, &ada, 10, token(1)).await;
    subject.pass(SESSION_IDLE + Duration::from_secs(1)).await;
    assert_eq!(rotate(subject, token(1), token(2)).await, Err(Refusal::Idle));

    let old = login(subject, &ada, 11, token(11)).await;
    let uses = u8::try_from(SESSION_LIFETIME.as_secs() / SESSION_IDLE.as_secs() + 1).unwrap();
    for n in 11..11 + uses {
        assert_eq!(rotate(subject, token(n), token(n + 1)).await, Ok(old));
        subject.pass(SESSION_LIFETIME / u32::from(uses)).await;
    }
    assert_eq!(rotate(subject, token(11 + uses), token(99)).await, Err(Refusal::Ended));
    assert!(subject.sessions().live(old, ada.id).await.unwrap().is_none());

    let left = login(subject, &ada, 12, token(51)).await;
    subject.sessions().end(token(51)).await.unwrap();
    subject.sessions().end(token(77)).await.unwrap();
    assert_eq!(rotate(subject, token(51), token(52)).await, Err(Refusal::Ended));
    assert!(subject.sessions().live(left, ada.id).await.unwrap().is_none());
}

async fn a_blocked_user_is_not_refreshed(subject: &dyn Subject) {
    let ada = ada(subject).await;
    let session = login(subject, &ada, 10, token(1)).await;
    subject.block(ada.id).await;
    assert_eq!(rotate(subject, token(1), token(2)).await, Err(Refusal::Blocked));
    assert!(subject.sessions().live(session, ada.id).await.unwrap().is_none());
}

async fn expired_sessions_are_deleted(subject: &dyn Subject) {
    let ada = ada(subject).await;
    login(subject, &ada, 10, token(1)).await;
    login(subject, &ada, 11, token(2)).await;
    assert_eq!(subject.sessions().delete_expired(10).await.unwrap(), 0);
    subject.pass(SESSION_LIFETIME + Duration::from_secs(1)).await;
    assert_eq!(subject.sessions().delete_expired(1).await.unwrap(), 1);
    assert_eq!(subject.sessions().delete_expired(10).await.unwrap(), 1);
    assert_eq!(rotate(subject, token(1), token(3)).await, Err(Refusal::Unknown));
}

fn entry(n: u128, street: &str) -> BookEntry {
    let address = Address {
        recipient: Some(Text::parse("recipient", "Ada Lovelace").unwrap()),
        street: Text::parse("street", street).unwrap(),
        city: Text::parse("city", "London").unwrap(),
        state: None,
        postal_code: Some(Text::parse("postalCode", "W1").unwrap()),
        country: Country::parse("GB").unwrap(),
    };
    BookEntry { id: AddressId::new(id(n)), address }
}

async fn an_address_book_is_its_owners_alone(subject: &dyn Subject) {
    let ada = ada(subject).await;
    let eve =
        subject.users().register(&account(2, "eve@example.com", None), &DedupKey::None).await.unwrap().into_inner();
    let book = subject.addresses();
    let dedup_key = request(ada.id, "k", 1);
    assert_eq!(
        book.add(ada.id, &entry(20, "Old Street 1"), &dedup_key).await.unwrap(),
        Outcome::Applied(entry(20, "Old Street 1"))
    );
    let repeated = book.add(ada.id, &entry(21, "Old Street 1"), &dedup_key).await.unwrap();
    assert_eq!(repeated, Outcome::Duplicate(entry(20, "Old Street 1")));
    book.add(ada.id, &entry(22, "New Street 2"), &DedupKey::None).await.unwrap();

    let (first, moved) = (entry(20, "Old Street 1"), entry(20, "Old Street 3"));
    assert_eq!(book.find(eve.id, first.id).await.unwrap(), None);
    assert_eq!(book.replace(eve.id, &moved, &DedupKey::None).await.unwrap(), None);
    assert_eq!(book.remove(eve.id, first.id, &DedupKey::None).await.unwrap(), None);
    assert_eq!(book.list(eve.id).await.unwrap(), []);
    assert_eq!(book.find(ada.id, first.id).await.unwrap(), Some(first.clone()));

    assert_eq!(book.replace(ada.id, &moved, &DedupKey::None).await.unwrap(), Some(Outcome::Applied(moved.clone())));
    assert_eq!(book.list(ada.id).await.unwrap(), [moved, entry(22, "New Street 2")]);
    assert_eq!(book.remove(ada.id, first.id, &DedupKey::None).await.unwrap(), Some(Outcome::Applied(())));
    assert_eq!(book.remove(ada.id, first.id, &DedupKey::None).await.unwrap(), None);
    assert_eq!(book.list(ada.id).await.unwrap(), [entry(22, "New Street 2")]);
}

async fn an_address_book_is_limited(subject: &dyn Subject) {
    let ada = ada(subject).await;
    for n in 0..ADDRESSES_MAX as u128 {
        subject.addresses().add(ada.id, &entry(100 + n, "Street"), &DedupKey::None).await.unwrap();
    }
    let full = subject.addresses().add(ada.id, &entry(999, "Street"), &DedupKey::None).await;
    assert!(matches!(full, Err(UserError::BookFull)), "{full:?}");
    let no_account = subject.addresses().add(UserId::new(id(99)), &entry(998, "Street"), &DedupKey::None).await;
    assert!(matches!(no_account, Err(UserError::NoOwner)), "{no_account:?}");
    assert_eq!(subject.addresses().list(ada.id).await.unwrap().len(), ADDRESSES_MAX);
}

#[cfg(feature = "db-tests")]
#[tokio::test]
async fn events_are_numbered_without_gaps_and_contain_no_secrets() {
    let real = postgres::real().await;
    let user = ada(&real).await;
    login(&real, &user, 10, token(1)).await;
    real.users().update(user.id, &named("A", "L"), &DedupKey::None).await.unwrap();
    let taken = real.users().register(&account(2, "ada@example.com", None), &DedupKey::None).await;
    assert!(taken.is_err(), "a refused registration leaves no event");
    let rows: Vec<(i64, String, String)> =
        sqlx::query_as("select seq, kind, data::text from outbox where aggregate = $1 order by seq")
            .bind(user.id.uuid())
            .fetch_all(&mut *real.db.acquire().await.unwrap())
            .await
            .unwrap();
    let kinds: Vec<_> = rows.iter().map(|(seq, kind, _)| (*seq, kind.as_str())).collect();
    assert_eq!(kinds, [(1, "user.registered"), (2, "user.login"), (3, "user.updated")]);
    assert!(rows.iter().all(|(_, _, data)| !data.contains("first")), "no hash in an event: {rows:?}");
    let all: i64 = sqlx::query_scalar("select count(*) from outbox")
        .fetch_one(&mut *real.db.acquire().await.unwrap())
        .await
        .unwrap();
    assert_eq!(all, 3);
}

#[cfg(feature = "db-tests")]
#[tokio::test]
async fn of_concurrent_refreshes_with_one_token_one_succeeds_and_the_session_ends() {
    let real = postgres::real().await;
    let user = ada(&real).await;
    let session = login(&real, &user, 10, token(1)).await;
    let all = (0..8).map(|n| rotate(&real, token(1), token(100 + n)));
    let outcomes = futures::future::join_all(all).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Refusal::Reused)).count(), 1, "{outcomes:?}");
    assert!(real.sessions().live(session, user.id).await.unwrap().is_none());
}
