//! The reference to a Marketplace, the request to reconcile it, and the delay before a retry. Knows no other module.

use std::time::Duration;

use tokio::sync::mpsc;

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Namespace and name of a Marketplace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarketRef {
    pub namespace: String,
    pub name: String,
}

/// Requests reconciliations from the scheduler.
#[derive(Clone, Debug)]
pub struct Trigger(pub mpsc::UnboundedSender<MarketRef>);

impl Trigger {
    /// Returns at once; requests for the same Marketplace are merged by the scheduler.
    pub fn send(&self, market: MarketRef) {
        // The scheduler drops its receiver when the process ends; the request is then not needed.
        let _ = self.0.send(market);
    }
}

/// Delay before the next attempt after this many failures in a row: 1, 2, 4, … 60 seconds.
pub fn backoff(failures: u32) -> Duration {
    RETRY_MAX.min(RETRY_MIN * 2_u32.pow(failures.saturating_sub(1).min(6)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::backoff;

    #[test]
    fn delays_double_up_to_one_minute() {
        assert_eq!([1, 2, 7, 90].map(backoff), [1, 2, 60, 60].map(Duration::from_secs));
    }
}
