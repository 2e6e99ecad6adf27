//! The deduplication key of a change, and whether the change was applied now or before.
//!
//! Must not touch a database.

use uuid::Uuid;

/// Identifies a change: two calls with the same key take effect once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DedupKey {
    /// A client's request with an `Idempotency-Key` header.
    Request {
        /// The user who sends it: the same key of another user is another key.
        scope: String,
        /// The header's value.
        key: String,
        /// Method and path.
        route: String,
        /// SHA-256 of the body.
        hash: [u8; 32],
    },
    /// An event from the broker.
    Event {
        /// The consumer group's name for it.
        consumer: &'static str,
        /// The envelope's id.
        id: Uuid,
    },
    /// A step of a saga, or an event that stands for one.
    Command {
        /// The same at every repetition.
        id: Uuid,
    },
    /// A request without a key: a repetition cannot be detected.
    None,
}

impl DedupKey {
    /// The inbox's `consumer` of commands.
    pub const COMMANDS: &str = "command";

    /// The inbox row's `consumer` and `event_id`; `None` for keys that the inbox does not store.
    pub const fn message(&self) -> Option<(&'static str, Uuid)> {
        match self {
            Self::Event { consumer, id } => Some((consumer, *id)),
            Self::Command { id } => Some((Self::COMMANDS, *id)),
            Self::Request { .. } | Self::None => None,
        }
    }

    /// The event or command id that becomes the `causationId` of events written under this key.
    pub fn causation(&self) -> Option<Uuid> {
        self.message().map(|(_, id)| id)
    }
}

/// The result of a mutating port method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The change was applied by this call.
    Applied(T),
    /// The change was applied by an earlier call with the same key; this is that call's result.
    Duplicate(T),
}

impl<T> Outcome<T> {
    /// The value, applied now or before.
    pub fn into_inner(self) -> T {
        match self {
            Self::Applied(value) | Self::Duplicate(value) => value,
        }
    }

    /// The same outcome with a reference to the value.
    pub fn as_ref(&self) -> Outcome<&T> {
        match self {
            Self::Applied(value) => Outcome::Applied(value),
            Self::Duplicate(value) => Outcome::Duplicate(value),
        }
    }

    /// The same outcome with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Applied(value) => Outcome::Applied(f(value)),
            Self::Duplicate(value) => Outcome::Duplicate(f(value)),
        }
    }

    /// Whether an earlier call applied the change.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Duplicate(_))
    }
}
