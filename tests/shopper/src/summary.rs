//! Summary of a load: requests by kind and outcome with their latency, and the number of purchases.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::history::{Action, Outcome, Record};

/// Later visits count in this second.
const SECONDS_COUNTED_MAX: usize = 3_600;

/// Counts and latencies of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub visits: u64,
    /// Visits that were not started because all shoppers were busy; if not 0, the load was below the requested rate.
    pub not_started: u64,
    /// Visits that ended with a paid order, without later cancellation or refund.
    pub bought: u64,
    /// The same by second since the first visit's start.
    pub bought_in_second: Vec<u64>,
    /// Seconds from the first visit's start to the last one's end.
    pub seconds: f64,
    /// Counts and latencies by kind of request.
    pub requests: BTreeMap<Action, Requests>,
    /// Counts of responses other than 2xx, with keys like `Pay 402 PAYMENT_DECLINED`.
    pub refusals: BTreeMap<String, usize>,
}

/// Counts and latencies of one kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    pub ok: usize,
    /// Requests with a final rejection.
    pub failed: usize,
    /// Requests without a final response.
    pub unknown: usize,
    /// Median latency of successful requests in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
}

impl Summary {
    /// Adds the requests of a history.
    #[must_use]
    pub fn of(self, records: &[Record]) -> Self {
        let mut latencies: BTreeMap<Action, Vec<u64>> = BTreeMap::new();
        let mut requests: BTreeMap<Action, Requests> = BTreeMap::new();
        let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
        for record in records {
            if record.outcome != Outcome::Ok {
                *refusals.entry(refusal(record)).or_default() += 1;
            }
            let counts = requests.entry(record.action).or_default();
            match record.outcome {
                Outcome::Ok => {
                    counts.ok += 1;
                    latencies.entry(record.action).or_default().push(record.took_us);
                }
                Outcome::Failed => counts.failed += 1,
                Outcome::Unknown => counts.unknown += 1,
            }
        }
        for (action, mut of_action) in latencies {
            of_action.sort_unstable();
            let counts = requests.entry(action).or_default();
            counts.p50_ms = percentile_ms(&of_action, 50);
            counts.p99_ms = percentile_ms(&of_action, 99);
        }
        Self { requests, refusals, ..self }
    }

    /// Counts an ended visit.
    pub(crate) fn add_visit(&mut self, bought: bool, since_start: Duration) {
        let second = usize::try_from(since_start.as_secs()).unwrap_or(usize::MAX).min(SECONDS_COUNTED_MAX);
        if self.bought_in_second.len() <= second {
            self.bought_in_second.resize(second + 1, 0);
        }
        self.bought_in_second[second] += u64::from(bought);
        self.bought += u64::from(bought);
    }

    /// Requests without a final response, except registration and login, which the shop may defer while it hashes
    /// passwords.
    pub fn unknown(&self) -> usize {
        let of_visits = |action: &Action| !matches!(action, Action::Register | Action::Login);
        self.requests.iter().filter(|(action, _)| of_visits(action)).map(|(_, requests)| requests.unknown).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "for display")]
        let per_second = self.bought as f64 / self.seconds.max(f64::EPSILON);
        writeln!(
            f,
            "{} visits, {} not started, {} bought, {per_second:.1} bought/s over {:.1} s",
            self.visits, self.not_started, self.bought, self.seconds
        )?;
        writeln!(
            f,
            "{:<10} {:>8} {:>8} {:>8} {:>10} {:>10}",
            "request", "ok", "failed", "unknown", "p50 ms", "p99 ms"
        )?;
        for (action, Requests { ok, failed, unknown, p50_ms, p99_ms }) in &self.requests {
            writeln!(
                f,
                "{:<10} {ok:>8} {failed:>8} {unknown:>8} {p50_ms:>10.1} {p99_ms:>10.1}",
                format!("{action:?}")
            )?;
        }
        for (refusal, count) in &self.refusals {
            writeln!(f, "{count:>8} × {refusal}")?;
        }
        Ok(())
    }
}

fn refusal(Record { action, status, code, .. }: &Record) -> String {
    let status = status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
    format!("{action:?} {status} {}", code.as_deref().unwrap_or_default())
}

/// Nearest-rank percentile of sorted microseconds, in milliseconds; 0 for an empty slice.
fn percentile_ms(sorted: &[u64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    sorted.get(rank).map_or(0.0, |&micros| micros as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Summary, percentile_ms};

    #[test]
    fn purchases_are_counted_in_their_second() {
        let mut summary = Summary::default();
        for (bought, ms) in [(true, 100), (false, 200), (true, 2_999), (true, 2_000)] {
            summary.add_visit(bought, Duration::from_millis(ms));
        }
        assert_eq!((summary.bought, summary.bought_in_second), (3, vec![1, 0, 2]));
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).map(|ms| ms * 1_000).collect();
        assert!((percentile_ms(&hundred, 50) - 50.0).abs() < 1e-9);
        assert!((percentile_ms(&hundred, 99) - 99.0).abs() < 1e-9);
        assert!((percentile_ms(&[7_000], 99) - 7.0).abs() < 1e-9);
        assert!(percentile_ms(&[], 99).abs() < 1e-9);
    }
}
