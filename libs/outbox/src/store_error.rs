//! The error of stores on a database with this crate's tables.
//!
//! Separates transient failures from defects. Must not depend on what is stored.

use agora_chassis::BoxError;

use crate::{
    Error,
    inbox::{Refusal, refusal},
};

/// Why a store's method failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The same key was used for another request: 422.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// A request with the same key is in progress: 409, to be repeated after a second.
    #[error("a request with the same idempotency key is still running")]
    Running,
    /// The database is unreachable; a retry may succeed.
    #[error("the database does not answer")]
    Unavailable(#[source] BoxError),
    /// The database rejected a statement, a stored value cannot be read, or a message is older than deduplication remembers:
    /// a defect, or a message that is never applied.
    #[error("the database rejected a statement or holds an unreadable value")]
    Broken(#[source] BoxError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match refusal(&error) {
            Some(Refusal::NotYet) => Self::Unavailable(error.into()),
            Some(Refusal::Never) => Self::Broken(Error::NotRemembered.into()),
            None if agora_postgres::unavailable(&error) => Self::Unavailable(error.into()),
            None => Self::Broken(error.into()),
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Mismatch => Self::KeyReused,
            Error::Running => Self::Running,
            Error::Unavailable(error) => error.into(),
            error @ (Error::Stored(_) | Error::NotRemembered) => Self::Broken(error.into()),
        }
    }
}
