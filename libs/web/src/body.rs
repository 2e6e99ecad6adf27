//! The body of a request, bounded in bytes and in time, and why it ended early. Knows nothing of what the bytes mean.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::StatusCode,
};
use http_body_util::{LengthLimitError, Limited};
use tokio::time::{Instant, Sleep};

use crate::problem::Problem;

/// Why a client's body cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// It exceeds the limit of its route.
    TooLarge,
    /// It did not arrive within the time limit of the port.
    TimedOut,
    /// The client disconnected.
    Ended,
}

impl BodyFault {
    /// The fault that an error of a body, or one of its sources, stands for.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        std::iter::successors(Some(error), |error| (**error).source())
            .find_map(|source| match source {
                source if source.is::<LengthLimitError>() => Some(Self::TooLarge),
                source if source.is::<BodyTimedOut>() => Some(Self::TimedOut),
                _ => None,
            })
            .unwrap_or(Self::Ended)
    }
}

impl From<BodyFault> for Problem {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
            BodyFault::TimedOut => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "BODY_TIMED_OUT").detail("the body did not arrive in time")
            }
            BodyFault::Ended => Self::new(StatusCode::BAD_REQUEST, "INVALID_JSON").detail("the body ended early"),
        }
    }
}

/// The body with both limits; an error of it is explained by [`BodyFault::of`].
pub(crate) fn limited(body: Body, bytes_max: usize, time_max: Duration) -> Body {
    let body = Timed { body, time_max, ends: None };
    Body::new(Limited::new(body, bytes_max))
}

/// The time limit of a body passed.
#[derive(Clone, Copy, Debug)]
struct BodyTimedOut;

impl fmt::Display for BodyTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body did not arrive in time")
    }
}

impl Error for BodyTimedOut {}

/// A body that must end within `time_max` of the first time when it had to be waited for.
struct Timed {
    body: Body,
    time_max: Duration,
    /// Set at the first wait, so that a body that is there already needs no timer.
    ends: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let ends = Instant::now() + this.time_max;
        let timer = this.ends.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ends)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Some(Err(axum::Error::new(BodyTimedOut))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
