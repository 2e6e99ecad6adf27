//! How a call ends without an answer to use. Knows what each kind means for the caller; it never holds an address, a
//! token or a body.

use std::time::Duration;

use agora_chassis::BoxError;
use http::StatusCode;

use crate::transport::TransportError;

/// Why a call gave no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The callee decided (400, 402, 404, 409, 422 and others): repeating the same call gives the same. A 409 that says when to try again is here too,
    /// with [`CallError::retry_after`].
    #[error("refused with {status} {}", problem.code)]
    Refused {
        status: u16,
        /// What the callee said; made up from the status where it said nothing.
        problem: Box<agora_api::Problem>,
        /// When to try again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The outcome is unknown: the callee may have done the work. Retry later with the same command id.
    #[error("not available")]
    Unavailable(#[source] BoxError),
}

/// What went wrong in a try.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Too many calls failed lately; this one was not made.
    #[error("{callee} failed repeatedly and is left alone for a moment")]
    Open {
        /// The service that was to be called.
        callee: &'static str,
    },
    /// The caller of this work has no time left; the call was not made.
    #[error("there is no time left to call {callee}")]
    Late {
        /// The service that was to be called.
        callee: &'static str,
    },
    /// No connection, no answer in time, or half of one.
    #[error("{callee} did not answer")]
    Transport {
        /// The service that was called.
        callee: &'static str,
        /// What the transport says, without the address.
        #[source]
        source: TransportError,
    },
    /// An answer that decides nothing: 5xx, a redirect, 401 and 403 for the caller's token, 429 and other refusals to listen.
    #[error("{callee} answered {status}")]
    Status {
        /// The service that was called.
        callee: &'static str,
        status: u16,
        /// When to try again, if it said so.
        retry_after: Option<Duration>,
    },
    /// A success whose body is not what the caller expects, or too large.
    #[error("{callee} answered with a body that cannot be read")]
    Body {
        /// The service that was called.
        callee: &'static str,
        /// What the parser says; `None` for a body over the limit.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// The call could not be made at all: a wrong address or a body that cannot be written.
    #[error("{callee} cannot be called")]
    Request {
        /// The service that was to be called.
        callee: &'static str,
        #[source]
        source: BoxError,
    },
}

impl Failure {
    pub(crate) fn worth_another_try(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Status { .. } => true,
            Self::Open { .. } | Self::Late { .. } | Self::Body { .. } | Self::Request { .. } => false,
        }
    }

    /// Whether it shows that the callee does not work. A refusal to listen to this caller, to this request or at this version is
    /// the caller's fault, and the breaker must not open for it: other calls would fail with it.
    pub(crate) fn is_of_the_callee(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Body { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(*status, 408 | 429),
            Self::Open { .. } | Self::Late { .. } | Self::Request { .. } => false,
        }
    }

    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Transport { source, .. } if source.is_timeout())
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Late { .. } => "late",
            Self::Transport { .. } => "transport",
            Self::Status { .. } => "status",
            Self::Body { .. } => "body",
            Self::Request { .. } => "request",
        }
    }
}

impl CallError {
    /// The callee's code ("INSUFFICIENT_QUANTITY") where it refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(&problem.code),
            Self::Unavailable(_) => None,
        }
    }

    /// When the callee asked to try again, where it refused.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Unavailable(_) => None,
        }
    }
}

/// A refusal without a problem for a body.
pub(crate) fn unexplained(status: StatusCode) -> agora_api::Problem {
    let title = status.canonical_reason().unwrap_or("Refused").to_owned();
    agora_api::Problem {
        kind: "about:blank".to_owned(),
        error: title.clone(),
        code: title.to_ascii_uppercase().replace([' ', '-'], "_"),
        title,
        status: status.as_u16(),
        detail: None,
        details: Vec::new(),
        request_id: None,
        extra: serde_json::Map::new(),
    }
}
