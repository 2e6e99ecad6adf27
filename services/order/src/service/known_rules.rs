//! The price rules that this process has read last, so that they cost an order no statement.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    domain::PriceRules,
    ports::{PriceStore, StoreError},
};

/// Time after which rules are read again: a change in another process applies this much later, at most.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// Price rules and when they were read.
#[derive(Debug, Default)]
pub struct KnownRules(Mutex<Option<(Instant, Arc<PriceRules>)>>);

impl KnownRules {
    pub(super) async fn get(&self, store: &dyn PriceStore) -> Result<Arc<PriceRules>, StoreError> {
        let known = self.lock().clone();
        if let Some((_, rules)) = known.filter(|(at, _)| at.elapsed() < KNOWN_FOR) {
            return Ok(rules);
        }
        // The time before the statement, so that the rules are never taken for younger than they are.
        let at = Instant::now();
        let rules = Arc::new(store.price_rules().await?);
        *self.lock() = Some((at, rules.clone()));
        Ok(rules)
    }

    /// Reads the rules again with the next order, after a change in this process.
    pub(super) fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Arc<PriceRules>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
