//! When a server last refused writes: every session that was opened before may be one that refuses them for ever.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::error::refuses_writes;

/// The last refusal of a pool's sessions.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Option<Instant>>);

impl Refusals {
    /// Records the error if it is a session's refusal to write.
    pub fn note(&self, error: &sqlx::Error) {
        if refuses_writes(error) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// Whether a session of this age was opened before the last refusal.
    pub fn concern(&self, age: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < age)
    }
}
