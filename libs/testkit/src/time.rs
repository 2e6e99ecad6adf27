//! A clock that tests move, and predictable ids.
//!
//! Knows the traits of vocab; must not read the real time.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use agora_vocab::{Clock, Ids};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A clock that is moved by hand; clones show the same time.
#[derive(Debug, Clone)]
pub struct FixedClock(Arc<AtomicI64>);

impl FixedClock {
    /// Stands at `time`, to the millisecond.
    pub fn at(time: OffsetDateTime) -> Self {
        let clock = Self(Arc::new(AtomicI64::new(0)));
        clock.advance(time - OffsetDateTime::UNIX_EPOCH);
        clock
    }

    /// Moves on, or back for a negative duration.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.whole_milliseconds()).expect("less than 292 million years");
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(self.0.load(Ordering::Relaxed))
    }
}

/// Ids 00000000-0000-7000-8000-000000000001, …2, …3; clones count on together.
#[derive(Debug, Clone, Default)]
pub struct SequentialIds(Arc<AtomicU64>);

impl SequentialIds {
    /// The next id is the first.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Ids for SequentialIds {
    fn next(&self) -> Uuid {
        const FIRST: u128 = 0x0000_0000_0000_7000_8000_0000_0000_0000;
        Uuid::from_u128(FIRST + 1 + u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_clock_show_the_same_time() {
        let start = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let clock = FixedClock::at(start);
        clock.clone().advance(Duration::seconds(5));
        assert_eq!(clock.now(), start + Duration::seconds(5));
    }

    #[test]
    fn ids_count_and_are_of_version_seven() {
        let ids = SequentialIds::new();
        let (first, second) = (ids.next(), ids.clone().next());
        assert!(first < second);
        assert_eq!(second.get_version_num(), 7);
    }
}
