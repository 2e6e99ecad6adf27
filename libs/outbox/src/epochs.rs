//! Notices events of an older recovery epoch than a consumer has seen.
//!
//! Counts and logs. Must not decide whether an event is handled: it is, see `docs/adr/0008`.

use std::sync::atomic::{AtomicU32, Ordering};

use agora_events::Envelope;

/// The newest epoch that a consumer has seen.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    newest: AtomicU32,
    /// The newest epoch at the time of the last log line.
    logged: AtomicU32,
}

impl Epochs {
    /// Counts an event that is older, and logs the first one after each new epoch: until the processes of the older epoch have
    /// ended, some are expected.
    pub fn note(&self, service: &'static str, envelope: &Envelope) {
        let Some(newest) = self.older_than(envelope.epoch) else { return };
        metrics::counter!("consumer_older_epoch_total", "service" => service).increment(1);
        if self.logged.swap(newest, Ordering::Relaxed) < newest {
            let Envelope { id, kind, epoch, .. } = envelope;
            tracing::warn!(event.id = %id, event.kind = kind, epoch, newest, "an event of an older recovery epoch arrived; it is handled");
        }
    }

    /// The newest epoch that was seen before, if `epoch` is older.
    fn older_than(&self, epoch: u32) -> Option<u32> {
        let newest = self.newest.fetch_max(epoch, Ordering::Relaxed);
        (epoch < newest).then_some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_older_if_a_newer_epoch_was_seen_before() {
        let epochs = Epochs::default();
        let older: Vec<Option<u32>> = [0, 1, 1, 0, 3, 2].map(|epoch| epochs.older_than(epoch)).into();
        assert_eq!(older, [None, None, None, Some(1), None, Some(3)]);
    }
}
