//! A run in numbers: requests by kind and outcome with their latency, and what share of the visits bought.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::history::{Action, Outcome, Record};

/// A run in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Visits that were started.
    pub visits: u64,
    /// Visits that the rate asked for and nobody was free to make: the load was not as asked.
    pub not_started: u64,
    /// Visits that ended with a paid order which stayed.
    pub bought: u64,
    /// Seconds from the first visit's start to the last one's end.
    pub seconds: f64,
    /// By kind of request.
    pub requests: BTreeMap<Action, Requests>,
    /// How often which answer was no success, as `Pay 402 PAYMENT_DECLINED`.
    pub refusals: BTreeMap<String, usize>,
}

/// Requests of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// Took effect.
    pub ok: usize,
    /// Refused for good.
    pub failed: usize,
    /// No final answer.
    pub unknown: usize,
    /// Half of those that took effect were answered within this many milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 were.
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

    /// Requests of visits without a final answer. Who comes in by the hundred may be asked to wait for his password's hash.
    pub fn unknown(&self) -> usize {
        let of_visits = |action: &Action| !matches!(action, Action::Register | Action::Login);
        self.requests.iter().filter(|(action, _)| of_visits(action)).map(|(_, requests)| requests.unknown).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
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
    let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    format!("{action:?} {status} {}", code.as_deref().unwrap_or_default())
}

/// Nearest rank of sorted microseconds; 0 of none.
fn percentile_ms(sorted: &[u64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    sorted.get(rank).map_or(0.0, |&micros| micros as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::percentile_ms;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).map(|ms| ms * 1_000).collect();
        assert!((percentile_ms(&hundred, 50) - 50.0).abs() < 1e-9);
        assert!((percentile_ms(&hundred, 99) - 99.0).abs() < 1e-9);
        assert!((percentile_ms(&[7_000], 99) - 7.0).abs() < 1e-9);
        assert!(percentile_ms(&[], 99).abs() < 1e-9);
    }
}
