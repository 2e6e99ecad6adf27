//! Outbox, relay, inbox, idempotency and dead letters: an event leaves the database once it is committed, and a request,
//! command or event takes effect once.
//!
//! Contains the five tables, the relay and the consumer. Must not depend on the meaning of any event, request or response.

mod append;
mod backoff;
mod batch;
mod blocked_partitions;
mod consume;
mod consumer_span;
mod dead_letter;
mod dedup;
mod dedup_key;
mod epochs;
mod erase;
mod held_topics;
mod inbox;
mod lease;
mod one_by_one;
mod partition_queues;
mod relay;
mod single_statement;
mod stopped;
mod store_error;
mod sweep;

pub use append::{NewEvent, OutboxRow, emit};
pub use backoff::backoff;
pub use consume::{Failure, consume};
pub use dedup::{claim_key, find_result, store_result};
pub use dedup_key::{DedupKey, Outcome};
pub use erase::{delete_results, delete_results_of_scope, withdraw_events};
pub use lease::{Acquisition, IdempotencyLease, StoredResponse};
pub use relay::relay;
pub use single_statement::{DedupRecord, NewEvents, insert_result, write_once};
pub use store_error::StoreError;
pub use sweep::sweep;

/// The migrations of this crate's tables, for tests; each service carries a copy among its own migrations.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Why a request, command or event was not started, or its result or event not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The idempotency key was used before with another request: 422.
    #[error("the idempotency key was used with another request")]
    Mismatch,
    /// The same request is in progress: 409, to be repeated after a second.
    #[error("the same request is still running")]
    Running,
    /// A statement failed.
    #[error("writing the outbox, inbox or idempotency tables")]
    Unavailable(#[source] sqlx::Error),
    /// The id of an event or command is of no time that the inbox holds: the message may have been applied before, or its id
    /// is no UUIDv7. It never takes effect.
    #[error(
        "the message is older than deduplication remembers, which is {} days, or its id is no UUIDv7 of the past",
        inbox::KEPT_DAYS
    )]
    NotRemembered,
    /// A stored result does not have the requested type, or an event or result cannot be serialised.
    #[error("a stored result or event does not match its JSON type")]
    Stored(#[from] serde_json::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match inbox::refusal(&error) {
            Some(inbox::Refusal::Never) => Self::NotRemembered,
            Some(inbox::Refusal::NotYet) | None => Self::Unavailable(error),
        }
    }
}
