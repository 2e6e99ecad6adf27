//! Claims of access tokens whose signature was verified, by the SHA-256 of the whole token. Bounded in entries; holds no
//! token and reads no clock.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// Most entries. With about 200 bytes each, a full cache takes less than 2 MB.
const ENTRIES_MAX: usize = 8192;

/// SHA-256 of a whole token: header, claims and signature.
pub(crate) type TokenDigest = [u8; SHA256_OUTPUT_LEN];

/// A cache of `Claims` that approximates the eviction of the least recently used entry with two generations: an entry
/// that is not looked up while the young generation fills up is evicted with the old one.
pub(crate) struct TokenCache<Claims> {
    state: Mutex<State<Claims>>,
    entries_max: usize,
}

struct State<Claims> {
    /// The key set that verified every entry.
    key_set: u64,
    young: HashMap<TokenDigest, Arc<Claims>>,
    old: HashMap<TokenDigest, Arc<Claims>>,
}

impl<Claims> Default for TokenCache<Claims> {
    fn default() -> Self {
        Self::bounded(ENTRIES_MAX)
    }
}

impl<Claims> TokenCache<Claims> {
    fn bounded(entries_max: usize) -> Self {
        let state = State { key_set: 0, young: HashMap::new(), old: HashMap::new() };
        Self { state: Mutex::new(state), entries_max }
    }

    pub(crate) fn digest(token: &str) -> TokenDigest {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        bytes
    }

    /// The claims of a token that the current key set verified. Whether they are valid at this time is not checked.
    pub(crate) fn find(&self, token: &TokenDigest) -> Option<Arc<Claims>> {
        let mut state = self.state();
        if let Some(claims) = state.young.get(token) {
            return Some(claims.clone());
        }
        let claims = state.old.remove(token)?;
        self.put(&mut state, *token, claims.clone());
        Some(claims)
    }

    /// Stores claims that the key set with this number verified; does nothing if that is not the current one.
    pub(crate) fn store(&self, token: TokenDigest, claims: Arc<Claims>, key_set: u64) {
        let mut state = self.state();
        if state.key_set == key_set {
            self.put(&mut state, token, claims);
        }
    }

    pub(crate) fn remove(&self, token: &TokenDigest) {
        let mut state = self.state();
        state.young.remove(token);
        state.old.remove(token);
    }

    /// Removes every entry; from now on only claims verified by the key set with this number are stored.
    pub(crate) fn clear(&self, key_set: u64) {
        let mut state = self.state();
        *state = State { key_set, young: HashMap::new(), old: HashMap::new() };
    }

    fn put(&self, state: &mut State<Claims>, token: TokenDigest, claims: Arc<Claims>) {
        if state.young.len() >= self.entries_max / 2 {
            state.old = mem::take(&mut state.young);
        }
        state.young.insert(token, claims);
    }

    fn state(&self) -> MutexGuard<'_, State<Claims>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only the number of entries: claims name users.
impl<Claims> fmt::Debug for TokenCache<Claims> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("TokenCache").field("entries", &(state.young.len() + state.old.len())).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::TokenCache;

    type Cache = TokenCache<usize>;

    fn filled(cache: &Cache, numbers: std::ops::Range<usize>) {
        for number in numbers {
            cache.store(Cache::digest(&number.to_string()), Arc::new(number), 0);
        }
    }

    fn found(cache: &Cache, number: usize) -> bool {
        cache.find(&Cache::digest(&number.to_string())).is_some_and(|claims| *claims == number)
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        for entries_max in [2, 10, 100] {
            let cache = Cache::bounded(entries_max);
            filled(&cache, 0..1000);
            let kept = (0..1000).filter(|number| found(&cache, *number)).count();
            assert!((1..=entries_max).contains(&kept), "{kept} of {entries_max}");
            let state = cache.state();
            assert!(state.young.len() + state.old.len() <= entries_max);
        }
    }

    #[test]
    fn an_entry_in_use_stays_while_others_are_evicted() {
        let cache = Cache::bounded(100);
        filled(&cache, 0..1);
        for number in 1..1000 {
            filled(&cache, number..number + 1);
            assert!(found(&cache, 0), "after {number} others");
        }
        assert!(!found(&cache, 1));
    }

    #[test]
    fn a_new_key_set_removes_every_entry_and_rejects_those_of_the_old_one() {
        let cache = Cache::default();
        filled(&cache, 0..10);
        cache.clear(1);
        assert!((0..10).all(|number| !found(&cache, number)));
        filled(&cache, 0..1);
        assert!(!found(&cache, 0), "verified by the old key set while the new one was read");
        cache.store(Cache::digest("0"), Arc::new(0), 1);
        assert!(found(&cache, 0));
    }

    #[test]
    fn a_removed_entry_is_not_found_in_either_generation() {
        let cache = Cache::bounded(4);
        filled(&cache, 0..3);
        for number in 0..3 {
            cache.remove(&Cache::digest(&number.to_string()));
            assert!(!found(&cache, number));
        }
    }
}
