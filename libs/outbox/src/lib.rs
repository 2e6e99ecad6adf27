//! What happened leaves and acts once: outbox, relay, inbox, idempotency, dead letters.
//!
//! Knows its five tables, the broker and the envelope; must not know what any fact, request or answer is about.

mod account;
mod answers;
mod cause;
mod claim;
mod consume;
mod dead_letter;
mod emit;
mod lanes;
mod once;
mod pause;
mod relay;
mod store_error;
mod sweep;

pub use account::{Account, keep};
pub use answers::Answers;
pub use cause::{Cause, Done};
pub use claim::{Answer, Claim, abandon, claim, settle, stale, start, unlock};
pub use consume::{Failure, consume};
pub use emit::{Fact, emit};
pub use once::{once, recall, remember};
pub use relay::relay;
pub use store_error::StoreError;
pub use sweep::sweep;

/// The tables of this crate, for tests; services carry a copy among their own migrations.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Why a request, command or fact was not begun, remembered or emitted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key was used before with another body: 422.
    #[error("the idempotency key was used with another request")]
    Mismatch,
    /// The same request is being worked on: 409, to be asked again in a second.
    #[error("the same request is still running")]
    Running,
    /// The database did not do it.
    #[error("keeping account of what was done")]
    Unavailable(#[from] sqlx::Error),
    /// A stored answer does not have the shape that is asked for, or a fact or answer has none in JSON.
    #[error("an answer or fact has another shape than its JSON")]
    Stored(#[from] serde_json::Error),
}
