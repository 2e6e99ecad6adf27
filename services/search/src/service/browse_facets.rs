//! Facets of all products, kept for a while: counting every product takes longer than a shopper should wait, and all shoppers
//! see the same counts.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use crate::{
    domain::{Filter, Matches},
    ports::{Searches, StoreError},
};

/// Age at which counts are read again. The first caller that finds them older waits for new ones; others get the old ones meanwhile.
const AGE_MAX: Duration = Duration::from_secs(30);
/// Filters whose facets are kept.
const FILTERS_MAX: usize = 100;

/// Facets by filter.
#[derive(Debug, Default)]
pub(super) struct BrowseFacets(std::sync::Mutex<BTreeMap<Filter, Arc<Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    kept: std::sync::Mutex<Option<(Instant, Matches)>>,
    /// Held by the one that reads.
    reading: Mutex<()>,
}

impl BrowseFacets {
    /// Facets that were counted at most 30 seconds ago, or older ones while another caller counts.
    pub async fn get(&self, filter: &Filter, store: &(impl Searches + ?Sized)) -> Result<Matches, StoreError> {
        let entry = self.entry(filter);
        if let Some(fresh) = entry.fresh() {
            return Ok(fresh);
        }
        let _reading: MutexGuard<'_, ()> = match (entry.reading.try_lock(), entry.any()) {
            (Ok(guard), _) => guard,
            (Err(_), Some(old)) => return Ok(old),
            (Err(_), None) => entry.reading.lock().await,
        };
        if let Some(fresh) = entry.fresh() {
            return Ok(fresh);
        }
        let counted = store.facets_of_all(filter).await?;
        *entry.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), counted.clone()));
        Ok(counted)
    }

    /// Drops all: the index was exchanged.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn entry(&self, filter: &Filter) -> Arc<Entry> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(filter) {
            return entry.clone();
        }
        if entries.len() >= FILTERS_MAX {
            entries.clear();
        }
        entries.entry(filter.clone()).or_default().clone()
    }
}

impl Entry {
    fn fresh(&self) -> Option<Matches> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(at, _)| at.elapsed() < AGE_MAX).map(|(_, matches)| matches.clone())
    }

    fn any(&self) -> Option<Matches> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|(_, matches)| matches.clone())
    }
}
