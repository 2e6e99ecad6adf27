//! One load at a time per key within a process: the others wait for it and share what it found.
//!
//! Knows keys and texts; must not know Redis.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OnceCell;

/// The loads under way.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<String, Weak<OnceCell<Arc<str>>>>>);

impl Flights {
    /// What `load` gives, run by the first who asks. If it fails or is cancelled, the next who waits tries.
    pub async fn join<E>(&self, key: &str, load: impl Future<Output = Result<Arc<str>, E>>) -> Result<Arc<str>, E> {
        let flight = self.of(key);
        flight.get_or_try_init(|| load).await.cloned()
    }

    fn of(&self, key: &str) -> Arc<OnceCell<Arc<str>>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key).and_then(Weak::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::default();
        flights.insert(key.to_owned(), Arc::downgrade(&flight));
        flight
    }
}
