//! Why a port's method is called, and whether it worked now or before.
//!
//! Knows ids and keys; must not touch a database.

use uuid::Uuid;

/// Under which `consumer` commands stand in the inbox.
const COMMANDS: &str = "command";

/// What a change is caused by; the same cause takes effect once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A client's request with an `Idempotency-Key`.
    Request {
        /// Who asks: a key means something for its user alone.
        scope: String,
        /// The key as it was sent.
        key: String,
        /// Method and path.
        route: String,
        /// SHA-256 of the body.
        hash: [u8; 32],
    },
    /// A fact from the broker.
    Event {
        /// Who consumes it.
        consumer: &'static str,
        /// The envelope's id.
        id: Uuid,
    },
    /// A step of somebody's saga, or a fact that stands for one.
    Command {
        /// The same at every repetition.
        id: Uuid,
    },
    /// A request without a key: there is nothing to tell a repetition by.
    Fresh,
}

impl Cause {
    /// Under which `consumer` and `event_id` the inbox remembers it, for a statement that reads more than that; `None` for
    /// what the inbox does not keep.
    pub const fn message(&self) -> Option<(&'static str, Uuid)> {
        match self {
            Self::Event { consumer, id } => Some((consumer, *id)),
            Self::Command { id } => Some((COMMANDS, *id)),
            Self::Request { .. } | Self::Fresh => None,
        }
    }

    /// The event or command that a fact told of the change comes from.
    pub fn causation(&self) -> Option<Uuid> {
        self.message().map(|(_, id)| id)
    }
}

/// What a port's method gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done<T> {
    /// It was done now.
    First(T),
    /// It was done before; this is what was answered then.
    Repeated(T),
}

impl<T> Done<T> {
    /// The value, whenever it came about.
    pub fn into_inner(self) -> T {
        match self {
            Self::First(value) | Self::Repeated(value) => value,
        }
    }

    /// The value by reference.
    pub fn as_ref(&self) -> Done<&T> {
        match self {
            Self::First(value) => Done::First(value),
            Self::Repeated(value) => Done::Repeated(value),
        }
    }

    /// The same with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Done<U> {
        match self {
            Self::First(value) => Done::First(f(value)),
            Self::Repeated(value) => Done::Repeated(f(value)),
        }
    }

    /// Whether it was done before.
    pub fn is_repeated(&self) -> bool {
        matches!(self, Self::Repeated(_))
    }
}
