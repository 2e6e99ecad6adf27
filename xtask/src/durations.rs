//! Durations of the stages of `cargo xtask test`, and the table that reports them. Must not know the stages.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::progress::stage;

/// One row per measured stage, in the order of execution. Rows do not overlap, so their sum is the total.
#[derive(Debug, Default)]
pub struct Durations {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    took: Duration,
    passed: bool,
}

impl Durations {
    /// Runs a stage, prints its label, and records its duration whether it succeeds or fails.
    pub fn measure<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let result = stage(name, work);
        self.rows.push(Row { name, took: started.elapsed(), passed: result.is_ok() });
        result
    }

    /// The table: minutes and result of each stage, and the total.
    pub fn table(&self) -> String {
        let mut text = format!("{:<16}{:>8}\n", "stage", "minutes");
        for Row { name, took, passed } in &self.rows {
            let result = if *passed { "passed" } else { "FAILED" };
            let _ = writeln!(text, "{name:<16}{:>8.1}  {result}", minutes(*took));
        }
        let total = self.rows.iter().map(|row| row.took).sum();
        let _ = writeln!(text, "{:<16}{:>8.1}", "total", minutes(total));
        text
    }
}

fn minutes(duration: Duration) -> f64 {
    duration.as_secs_f64() / 60.0
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_table_lists_minutes_and_result_of_each_stage_and_their_sum() {
        let row = |name, seconds, passed| Row { name, took: Duration::from_secs(seconds), passed };
        let rows = vec![row("check", 90, true), row("cluster start", 45, true), row("e2e", 600, false)];
        let expected = "\
stage            minutes
check                1.5  passed
cluster start        0.8  passed
e2e                 10.0  FAILED
total               12.2
";
        assert_eq!(Durations { rows }.table(), expected);
    }

    #[test]
    fn a_failed_stage_is_recorded() {
        let mut durations = Durations::default();
        durations.measure("unit", || Ok(())).unwrap();
        durations.measure("database", || -> Result<()> { bail!("no server") }).unwrap_err();
        let results: Vec<_> = durations.rows.iter().map(|row| (row.name, row.passed)).collect();
        assert_eq!(results, [("unit", true), ("database", false)]);
    }
}
