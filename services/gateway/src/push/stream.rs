//! What a stream sends, and why it ends.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::public_event::Message;

/// What a stream sends.
#[derive(Clone, Debug)]
pub enum Item {
    Event(Arc<Message>),
    /// Events may have been missed: the client reads again what it shows.
    Reset,
    /// Nothing happened for a while.
    Heartbeat,
}

/// Why the gateway ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The access token has expired: the client comes again with a new one.
    Expired,
    /// The session has ended: the user has to log in.
    Revoked,
    /// The client does not read as fast as events come.
    Slow,
    /// This process ends: the client comes again, to another one.
    Shutdown,
}

/// The end of a stream, which both sides see.
#[derive(Debug, Default)]
pub(super) struct End {
    reason: OnceLock<EndReason>,
    ended: CancellationToken,
}

impl EndReason {
    /// The close code of a WebSocket (RFC 6455, 7.4).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Expired => 4001,
            Self::Revoked => 4002,
            Self::Slow => 4003,
            Self::Shutdown => 1001,
        }
    }

    /// What the client reads.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Expired => "the access token has expired: connect again with a new one",
            Self::Revoked => "the session has ended: log in again",
            Self::Slow => "the client reads too slowly: connect again",
            Self::Shutdown => "the server ends: connect again",
        }
    }

    /// The label of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Slow => "slow",
            Self::Shutdown => "shutdown",
        }
    }
}

impl End {
    /// Ends the stream, unless it has ended.
    pub fn end(&self, reason: EndReason) {
        if self.reason.set(reason).is_ok() {
            metrics::counter!("gateway_stream_ended_total", "reason" => reason.name()).increment(1);
            self.ended.cancel();
        }
    }

    /// Cancelled when the stream has ended.
    pub fn token(&self) -> &CancellationToken {
        &self.ended
    }

    pub fn reason(&self) -> EndReason {
        self.reason.get().copied().unwrap_or(EndReason::Shutdown)
    }
}
