//! Liveness of a process: work that has to show progress. It must not know what the work is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::readiness::Waiting;

/// The heartbeats of one process; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heartbeats(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    beats: BTreeMap<u64, Beat>,
}

#[derive(Debug)]
struct Beat {
    service: &'static str,
    name: String,
    limit: Duration,
    last: Instant,
}

/// Work that shows progress at least once per limit, until this is dropped. Otherwise `/livez` answers 503, so that the
/// process is restarted.
#[derive(Debug)]
pub struct Heartbeat {
    all: Heartbeats,
    id: u64,
}

impl Heartbeats {
    pub(crate) fn start(&self, service: &'static str, name: String, limit: Duration) -> Heartbeat {
        let mut inner = self.inner();
        let id = inner.next;
        inner.next += 1;
        inner.beats.insert(id, Beat { service, name, limit, last: Instant::now() });
        Heartbeat { all: self.clone(), id }
    }

    /// The work that has shown no progress for longer than its limit.
    pub(crate) fn overdue(&self) -> Vec<Waiting> {
        let inner = self.inner();
        let overdue = inner.beats.values().filter(|beat| beat.last.elapsed() > beat.limit);
        overdue
            .map(|beat| Waiting {
                service: beat.service,
                name: beat.name.clone(),
                reason: format!("no progress for more than {} s", beat.limit.as_secs()),
            })
            .collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// Reports progress: the time until the work is overdue begins again.
    pub fn beat(&self) {
        if let Some(beat) = self.all.inner().beats.get_mut(&self.id) {
            beat.last = Instant::now();
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.all.inner().beats.remove(&self.id);
    }
}
