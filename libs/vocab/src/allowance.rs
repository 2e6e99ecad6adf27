//! How often something may be tried: a burst, and then one more after each pause. Pure: time is an argument.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;

/// Tries of one key.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Tries without a pause between them.
    pub burst: u32,
    /// After which one more is allowed.
    pub pause: Duration,
}

/// The tries of many keys: at most `keys_max` are remembered, those used last.
#[derive(Debug)]
pub struct Allowances<K> {
    allowance: Allowance,
    keys_max: usize,
    state: Mutex<Generations<K>>,
}

/// For each key the time at which all of its tries are allowed again. When the young half is full it becomes the old one.
#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, OffsetDateTime>,
    old: HashMap<K, OffsetDateTime>,
}

impl<K: Eq + Hash + Copy> Allowances<K> {
    pub fn new(allowance: Allowance, keys_max: usize) -> Self {
        let state = Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() });
        Self { allowance, keys_max, state }
    }

    /// Uses one try, or returns after what time there is one.
    pub fn take(&self, key: K, now: OffsetDateTime) -> Result<(), Duration> {
        let mut state = self.state();
        let full_at = state.find(&key).map_or(now, |full_at| full_at.max(now)) + self.allowance.pause;
        let ahead = (full_at - now).unsigned_abs();
        match ahead.checked_sub(self.allowance.pause * self.allowance.burst) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                state.put(key, full_at, self.keys_max);
                Ok(())
            }
        }
    }

    /// Takes back the use of one try.
    pub fn give_back(&self, key: K) {
        let mut state = self.state();
        if let Some(full_at) = state.find(&key) {
            state.put(key, full_at - self.allowance.pause, self.keys_max);
        }
    }

    fn state(&self) -> MutexGuard<'_, Generations<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Generations<K> {
    fn find(&self, key: &K) -> Option<OffsetDateTime> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    fn put(&mut self, key: K, full_at: OffsetDateTime, keys_max: usize) {
        if self.young.len() >= keys_max / 2 && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, full_at);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::datetime;

    use super::{Allowance, Allowances};

    fn allowances() -> Allowances<u32> {
        Allowances::new(Allowance { burst: 3, pause: Duration::from_secs(30) }, 8)
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_after_each_pause() {
        let (tries, start) = (allowances(), datetime!(2026-01-01 00:00 UTC));
        for _ in 0..3 {
            assert_eq!(tries.take(1, start), Ok(()));
        }
        assert_eq!(tries.take(1, start), Err(Duration::from_secs(30)));
        assert_eq!(tries.take(1, start + Duration::from_secs(29)), Err(Duration::from_secs(1)));
        assert_eq!(tries.take(1, start + Duration::from_secs(30)), Ok(()));
        assert_eq!(tries.take(1, start + Duration::from_secs(30)), Err(Duration::from_secs(30)));
        assert_eq!(tries.take(2, start), Ok(()), "another key");
        let later = start + Duration::from_hours(1);
        assert_eq!((0..4).filter(|_| tries.take(1, later).is_ok()).count(), 3);
    }

    #[test]
    fn a_try_that_is_given_back_counts_no_more() {
        let (tries, start) = (allowances(), datetime!(2026-01-01 00:00 UTC));
        for _ in 0..100 {
            assert_eq!(tries.take(1, start), Ok(()));
            tries.give_back(1);
        }
        tries.give_back(7);
        assert_eq!((0..4).filter(|_| tries.take(1, start).is_ok()).count(), 3);
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let (tries, start) = (allowances(), datetime!(2026-01-01 00:00 UTC));
        for key in 0..1000 {
            assert_eq!(tries.take(key, start), Ok(()));
        }
        let state = tries.state();
        assert!(state.young.len() + state.old.len() <= 8);
    }
}
