//! The stores on PostgreSQL: each method is one transaction with its event and the result of its deduplication key.
//!
//! Contains table and constraint names. All times are the database's `now()`.

mod addresses;
mod control;
mod email_changes;
mod password_resets;
mod personal_data;
mod revocations;
mod sessions;
mod staff;
mod users;

use std::sync::Arc;

use agora_events::user::{Preferences, UserEvent};
use agora_outbox::NewEvent;
use agora_postgres::{Db, Tx};
use agora_vocab::{Email, Epoch, Ids, Invalid, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

pub use revocations::PgRevocations;

use crate::{
    domain::{Phone, Profile, Text, User, Username},
    ports::{StoreError, UserError},
};

/// Implements every port that has a table.
#[derive(Clone, Debug)]
pub struct PgUsers {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
    /// Notified by each change that ended sessions, once it is committed.
    sessions_ended: Arc<Notify>,
}

impl PgUsers {
    /// The database must hold this service's tables.
    pub fn new(db: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, ids, epoch, sessions_ended: Arc::default() }
    }

    /// Notified when sessions have ended, so that they are published at once.
    pub fn sessions_ended(&self) -> Arc<Notify> {
        self.sessions_ended.clone()
    }

    /// Appends an event of a user. `seq` is the user's event counter, incremented in the same transaction.
    async fn emit(&self, tx: &mut Tx, user: UserId, seq: i64, event: &UserEvent) -> Result<(), UserError> {
        let new_event = NewEvent { event, aggregate: user.uuid(), seq, correlation: None, causation: None };
        Ok(agora_outbox::emit(tx, &*self.ids, self.epoch, new_event).await?)
    }
}

/// A row of `users` without the password hash; also the stored result of a repeated request.
#[derive(sqlx::FromRow, Serialize, Deserialize)]
struct UserRow {
    id: Uuid,
    email: String,
    username: Option<String>,
    firstname: Option<String>,
    lastname: Option<String>,
    name: Option<String>,
    phone: Option<String>,
    roles: Vec<String>,
    status: String,
    // Absent from results that an earlier release stored.
    #[serde(default = "wanted")]
    promotions: bool,
    #[serde(default = "wanted")]
    order_updates: bool,
    #[serde(default = "wanted")]
    recommendations: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    // Absent from results that an earlier release stored.
    #[serde(default, with = "time::serde::rfc3339::option")]
    updated_at: Option<OffsetDateTime>,
}

const fn wanted() -> bool {
    true
}

/// A user with the number of their last event.
#[derive(sqlx::FromRow)]
struct NumberedRow {
    #[sqlx(flatten)]
    user: UserRow,
    event_seq: i64,
}

impl TryFrom<UserRow> for User {
    type Error = UserError;

    fn try_from(row: UserRow) -> Result<Self, UserError> {
        read_user(row).map_err(unreadable)
    }
}

fn read_user(row: UserRow) -> Result<User, Invalid> {
    let UserRow {
        id,
        email,
        username,
        firstname,
        lastname,
        name,
        phone,
        roles,
        status,
        promotions,
        order_updates,
        recommendations,
        created_at,
        updated_at,
    } = row;
    let profile = Profile {
        firstname: firstname.map(|text| Text::parse("firstname", &text)).transpose()?,
        lastname: lastname.map(|text| Text::parse("lastname", &text)).transpose()?,
        username: username.as_deref().map(Username::parse).transpose()?,
        name: name.map(|text| Text::parse("name", &text)).transpose()?,
        phone: phone.as_deref().map(Phone::parse).transpose()?,
    };
    Ok(User {
        id: UserId::new(id),
        email: Email::parse_stored(&email)?,
        profile,
        roles: roles.iter().map(|role| role.parse()).collect::<Result<_, _>>()?,
        status: status.parse()?,
        preferences: Preferences { promotions, order_updates, recommendations },
        created_at,
        updated_at: updated_at.unwrap_or(created_at),
    })
}

/// A row that the domain rejects.
fn unreadable(invalid: Invalid) -> UserError {
    UserError::Store(StoreError::Broken(invalid.into()))
}

impl From<sqlx::Error> for UserError {
    fn from(error: sqlx::Error) -> Self {
        match agora_postgres::constraint(&error) {
            Some("users_email_key") => Self::EmailTaken,
            Some("users_username_key") => Self::UsernameTaken,
            _ => Self::Store(error.into()),
        }
    }
}

impl From<agora_outbox::Error> for UserError {
    fn from(error: agora_outbox::Error) -> Self {
        Self::Store(error.into())
    }
}
