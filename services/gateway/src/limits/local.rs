//! A limit that this process counts alone, while Redis is away. Bounded in memory, whatever the number of clients.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::StateStore,
};

use super::settings::Limit;

/// Clients that a limit keeps: those that came last.
const CLIENTS_MAX: usize = 20_000;

/// What is left to a client after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalLevel {
    pub taken: bool,
    pub left: u32,
    /// When there will be one more; zero if there is.
    pub next_in: Duration,
}

/// The counts of one limit in this process.
pub struct LocalLimit {
    limiter: RateLimiter<u64, Counts, DefaultClock, StateInformationMiddleware>,
    hasher: RandomState,
}

impl std::fmt::Debug for LocalLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLimit").finish_non_exhaustive()
    }
}

impl LocalLimit {
    pub fn new(limit: &Limit) -> Self {
        Self::bounded(limit, CLIENTS_MAX)
    }

    fn bounded(limit: &Limit, clients_max: usize) -> Self {
        let quota = Quota::per_minute(limit.per_minute).allow_burst(limit.burst);
        let counts = Counts { clients_max, state: Mutex::default() };
        let limiter = RateLimiter::new(quota, counts, DefaultClock::default());
        Self { limiter, hasher: RandomState::new() }
    }

    /// Counts a request of the client.
    pub fn take(&self, client: &str) -> LocalLevel {
        match self.limiter.check_key(&self.hasher.hash_one(client)) {
            Ok(snapshot) => {
                let left = snapshot.remaining_burst_capacity();
                let pause = if left == 0 { snapshot.quota().replenish_interval() } else { Duration::ZERO };
                LocalLevel { taken: true, left, next_in: pause }
            }
            Err(until) => {
                LocalLevel { taken: false, left: 0, next_in: until.wait_time_from(self.limiter.clock().now()) }
            }
        }
    }
}

/// For the hash of each client the time at which all of its requests are allowed again. When the young half is full it
/// becomes the old one.
#[derive(Debug)]
struct Counts {
    clients_max: usize,
    state: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Nanos>,
    old: HashMap<u64, Nanos>,
}

impl StateStore for Counts {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, client: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.young.get(client).or_else(|| state.old.get(client)).copied();
        match decide(known) {
            Ok((outcome, next)) => {
                state.put(*client, next, self.clients_max);
                Ok(outcome)
            }
            Err(refusal) => {
                // One that is refused is kept although many others come.
                if let Some(known) = known {
                    state.put(*client, known, self.clients_max);
                }
                Err(refusal)
            }
        }
    }
}

impl Generations {
    fn put(&mut self, client: u64, until: Nanos, clients_max: usize) {
        if self.young.len() >= clients_max / 2 && !self.young.contains_key(&client) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(client, until);
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use agora_api::RouteClass;

    use super::LocalLimit;
    use crate::limits::settings::{Limit, LimitKey};

    fn limit(per_minute: u32, burst: u32) -> Limit {
        let number = |number| NonZeroU32::new(number).unwrap();
        Limit { class: RouteClass::Cart, key: LimitKey::Address, per_minute: number(per_minute), burst: number(burst) }
    }

    #[test]
    fn gw6_a_client_has_its_burst_and_then_learns_when_to_come_back() {
        let limit = LocalLimit::new(&limit(1, 3));
        let left: Vec<_> = (0..3).map(|_| limit.take("one")).map(|level| (level.taken, level.left)).collect();
        assert_eq!(left, [(true, 2), (true, 1), (true, 0)]);
        let refused = limit.take("one");
        assert!(!refused.taken && (50..=60).contains(&refused.next_in.as_secs()), "{refused:?}");
        assert_eq!(limit.take("another").left, 2);
    }

    #[test]
    fn gw6_many_clients_cost_bounded_memory_and_do_not_free_one_that_is_refused() {
        let limit = LocalLimit::bounded(&limit(1, 1), 100);
        assert!(limit.take("greedy").taken);
        for n in 0..10_000 {
            assert!(limit.take(&n.to_string()).taken);
            assert!(!limit.take("greedy").taken, "after {n} others");
        }
        let counts = limit.limiter.into_state_store();
        let state = counts.state.into_inner().unwrap();
        assert!(state.young.len() + state.old.len() <= 100 && !state.young.is_empty());
    }

    #[test]
    fn gw6_a_request_becomes_possible_again_with_time() {
        let limit = LocalLimit::new(&limit(60_000, 1));
        assert!(limit.take("one").taken);
        std::thread::sleep(Duration::from_millis(2));
        assert!(limit.take("one").taken);
    }
}
