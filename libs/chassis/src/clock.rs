//! The machine's clock and random source, behind the traits that everything else sees.

use agora_vocab::{Clock, Ids};
use time::OffsetDateTime;
use uuid::Uuid;

/// The machine's clock, in UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the chassis gives")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// UUIDv7 from the machine's clock and random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "these are the ids that the chassis gives")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}
