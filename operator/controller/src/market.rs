//! The reference to a Marketplace, the request to reconcile it, and the delay before another attempt.

use std::time::Duration;

use tokio::sync::mpsc;

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// A Marketplace, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarketRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Asks for a reconcile.
#[derive(Clone, Debug)]
pub struct Trigger(pub mpsc::UnboundedSender<MarketRef>);

impl Trigger {
    /// Asks for a reconcile of that Marketplace.
    pub fn send(&self, market: MarketRef) {
        // Nobody listens any more when the process ends.
        let _ = self.0.send(market);
    }
}

/// 1, 2, 4, … 60 seconds.
pub fn backoff(failures: u32) -> Duration {
    RETRY_MAX.min(RETRY_MIN * 2_u32.pow(failures.saturating_sub(1).min(6)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::backoff;

    #[test]
    fn pauses_grow_to_a_minute() {
        assert_eq!([1, 2, 7, 90].map(backoff), [1, 2, 60, 60].map(Duration::from_secs));
    }
}
