//! How often a mail is tried, and how many standard mails are sent. Pure.

use std::time::Duration;

use super::kinds::Priority;

/// Attempts of a critical mail: with waits from 5 s to 2 h, about a day.
const CRITICAL_ATTEMPTS_MAX: i32 = 20;
/// Attempts of a standard mail: about three hours.
const STANDARD_ATTEMPTS_MAX: i32 = 10;
/// Attempts that the server refuses for good before the mail is given up.
const REFUSALS_MAX: i32 = 3;

/// Why a mail was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailFailure {
    /// No event has named the user's address yet.
    #[error("no address of the user is known")]
    UnknownRecipient,
    /// The server is away, slow, or asks to try later. It may have taken the mail all the same.
    #[error("the mail server did not take the mail: {0}")]
    NotNow(String),
    /// The server refuses the mail or its recipient for good.
    #[error("the mail server refuses the mail: {0}")]
    Refused(String),
}

/// The attempts of a mail so far, the last one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub number: i32,
    /// How many attempts before the last one the server refused for good.
    pub refusals: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again, after a wait that grows with the attempts.
    Retry,
    GiveUp,
}

/// Whether a mail whose attempt failed is tried again.
pub const fn verdict(priority: Priority, attempt: Attempt, failure: &MailFailure) -> Verdict {
    let attempts_max = match priority {
        Priority::Critical => CRITICAL_ATTEMPTS_MAX,
        Priority::Standard => STANDARD_ATTEMPTS_MAX,
    };
    let refused = matches!(failure, MailFailure::Refused(_)) && attempt.refusals + 1 >= REFUSALS_MAX;
    if refused || attempt.number >= attempts_max { Verdict::GiveUp } else { Verdict::Retry }
}

/// A token bucket: each mail takes a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Tokens at most.
    pub burst: f64,
    /// Tokens that come back in a second; more than 0.
    pub per_second: f64,
}

/// Limits of standard mails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimits {
    /// Of each user.
    pub recipient: Bucket,
    /// Of all users together.
    pub overall: Bucket,
}

impl RateLimits {
    /// A user gets three mails at once and one every six hours; all together 50 at once and 20 a second.
    pub const DEFAULT: Self = Self {
        recipient: Bucket { burst: 3.0, per_second: 1.0 / 21_600.0 },
        overall: Bucket { burst: 50.0, per_second: 20.0 },
    };
}

impl Bucket {
    /// Longest time until a token comes back.
    pub fn refill(self) -> Duration {
        Duration::try_from_secs_f64(1.0 / self.per_second).unwrap_or(Duration::MAX)
    }
}
