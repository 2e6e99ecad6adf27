//! The contracts of the ports that have tables, and the values that their tests store.

mod accounts;
mod address_books;
mod sessions;

use agora_events::user::Preferences;
use agora_outbox::DedupKey;
use agora_user::{
    domain::{Device, PasswordHash, Profile, Text, TokenDigest, User, Username},
    ports::{NewAccount, NewSession, Refusal, Rotation},
};
use agora_vocab::{Email, Role, SessionId, UserId};
use uuid::Uuid;

use crate::fixture::Database;

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
        preferences: Preferences::default(),
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

async fn ada(database: &Database) -> User {
    let made = database.users().register(&account(1, "ada@example.com", Some("Ada")), &DedupKey::None).await.unwrap();
    made.into_inner()
}

const fn token(n: u8) -> TokenDigest {
    TokenDigest([n; 32])
}

async fn login(database: &Database, user: &User, session: u128, first: TokenDigest) -> SessionId {
    let id = SessionId::new(id(session));
    let device = Device::new(Some("192.0.2.7".parse().unwrap()), None);
    let session = NewSession { id, user: user.id, email: user.email.clone(), token: first, device };
    database.sessions().start(&session, &DedupKey::None).await.unwrap();
    id
}

async fn rotate(database: &Database, from: TokenDigest, to: TokenDigest) -> Result<SessionId, Refusal> {
    match database.sessions().rotate(from, to).await.unwrap() {
        Rotation::Rotated { session, .. } => Ok(session),
        Rotation::Refused(refusal) => Err(refusal),
    }
}
