//! Why a store did not answer: what every port over a database with this crate's tables may say.
//!
//! Knows which failures pass by themselves; must not know what is stored.

use agora_chassis::BoxError;

use crate::Error;

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The same key was used for another request: 422.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The first request with the same key has not ended: 409, to be asked again in a second.
    #[error("a request with the same idempotency key is still running")]
    Running,
    /// The database is away; the same may work in a moment.
    #[error("the database does not answer")]
    Unavailable(#[source] BoxError),
    /// The database refused what it should take, or holds what cannot be read: a bug.
    #[error("the database refused a statement or holds what cannot be read")]
    Broken(#[source] BoxError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if agora_postgres::unavailable(&error) { Self::Unavailable(error.into()) } else { Self::Broken(error.into()) }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Mismatch => Self::KeyReused,
            Error::Running => Self::Running,
            Error::Unavailable(error) => error.into(),
            error @ Error::Stored(_) => Self::Broken(error.into()),
        }
    }
}
