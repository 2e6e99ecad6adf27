//! Complete orders at several rates: CPU time, statements, transactions and events per order, with every invariant
//! checked after each rate. Uses the command lines and reports of `agora-shopper` and `agora-check-invariants`.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::counters::Counters;
use super::cpu::{CpuSnapshot, Group, Roots};
use super::delays::Delays;
use super::pinned::Pinned;
use super::running_load::RunningLoad;
use super::shoppers::Bench;
use super::statements::StatementLog;
use super::table::{Measurement, Section, render};
use super::{delays, leftovers, print};
use crate::command::{command, stream};
use crate::environment::Paths;
use crate::target::Target;

/// Seconds of the load before the measured time: connections open, caches fill.
const WARM_UP_SECONDS: u32 = 5;
/// Seconds at the end of the load in which PostgreSQL logs its statements; their cost is not in the measured time.
const LOGGED_SECONDS: u32 = 5;
/// Seconds from the end of the measured time until the statement log is on.
const SWITCH_SECONDS: u32 = 3;
/// Seconds between the end of the statement log and the last visit.
const TAIL_SECONDS: u32 = 1;
/// Shortest load: the times above and ten measured seconds.
pub const SECONDS_MIN: u32 = WARM_UP_SECONDS + 10 + SWITCH_SECONDS + LOGGED_SECONDS + TAIL_SECONDS;

/// What `bench orders` measures.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    pub rates: &'a [u32],
    pub seconds: u32,
    pub without_checker: bool,
}

pub fn measure(paths: &Paths, target: &Target, plan: Plan) -> Result<()> {
    ensure!(plan.seconds >= SECONDS_MIN, "--seconds must be at least {SECONDS_MIN}");
    let bench = Bench::prepare(paths, target)?;
    let checker = if plan.without_checker { None } else { Some(bench.checker()?) };
    let pinned = Pinned::pin(target)?;
    let (mut measurements, mut failures) = (Vec::new(), Vec::new());
    for rate in plan.rates {
        let (measurement, verdict) = one_rate(&bench, target, *rate, plan.seconds, checker.as_deref())?;
        measurements.push(measurement);
        failures.extend(verdict.err());
    }
    drop(pinned);
    println!("\n{}", render(&measurements, true));
    if let Some(highest) = measurements.last() {
        print_budget(highest);
    }
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// CPU time per order beside its budget.
fn print_budget(measurement: &Measurement) {
    for (group, budget) in [(Group::Postgres, "6 ms"), (Group::Services, "6 ms"), (Group::Kafka, "2 ms")] {
        let value = format!("{:.2} ms", measurement.per_order(Section::Cpu(group)));
        print(&format!("CPU per order of {} {}", group.name(), measurement.title), &value, budget);
    }
}

/// Runs the load at one rate. The second value is the verdict of the invariant checkers.
fn one_rate(
    bench: &Bench,
    target: &Target,
    rate: u32,
    seconds: u32,
    checker: Option<&Path>,
) -> Result<(Measurement, Result<()>)> {
    let before = leftovers::children(target)?;
    let history = bench.folder.path().join("history.jsonl");
    let mut run = bench.shopper("run")?;
    Bench::add_load_profile(&mut run, rate, seconds);
    run.arg("--only-buy").arg("--history").arg(&history);
    let delays = Delays::read()?;
    let mut load = RunningLoad::start(&mut run)?;
    let window = Window::measure(bench.paths, &mut load, seconds)?;
    let by_api = load.finish();
    Delays::read()?.print_since(&delays);
    delays::print_mails(bench.paths, seconds)?;
    let report = bench.report()?;
    print_report(&report, rate, seconds);
    let measurement = window.measurement(rate, &report);
    let verdict = |good: bool| if good { "hold" } else { "VIOLATED" };
    print("invariants, from the API", verdict(by_api.is_ok()), "hold");
    let Some(checker) = checker else { return Ok((measurement, by_api)) };
    let left = bench.folder.path().join("leftovers.json");
    std::fs::write(&left, leftovers::find(target, &before)?.to_string())?;
    let mut checker = command(checker, [&history, &history.with_extension("evidence.json"), &left]);
    let by_tables = stream(checker.env("KUBECONFIG", target.kubeconfig()));
    print("invariants, from tables, topics and objects", verdict(by_tables.is_ok()), "hold");
    Ok((measurement, by_api.and(by_tables)))
}

fn print_report(report: &Value, rate: u32, seconds: u32) {
    let bought = report["bought"].as_f64().unwrap_or_default();
    let took = report["seconds"].as_f64().unwrap_or(f64::INFINITY);
    print(&format!("complete orders/s at {rate}/s for {seconds} s"), &format!("{:.1}", bought / took), "80 for 180 s");
    print(&format!("complete orders of {} planned", u64::from(rate) * u64::from(seconds)), &format!("{bought}"), "all");
    print("visits not started (no free shopper)", &report["notStarted"].to_string(), "0");
}

/// Differences between begin and end of the measured time, and the statements of some seconds after it.
struct Window {
    /// Seconds of the load between which CPU time and counters are measured.
    seconds: std::ops::Range<u32>,
    wall: f64,
    cpu: super::cpu::PartSeconds,
    counters: Counters,
    /// Seconds of the load whose statements are counted.
    logged: std::ops::Range<u32>,
    statements: std::collections::BTreeMap<String, f64>,
}

impl Window {
    fn measure(paths: &Paths, load: &mut RunningLoad, seconds: u32) -> Result<Self> {
        let logged = seconds - TAIL_SECONDS - LOGGED_SECONDS..seconds - TAIL_SECONDS;
        let (first, last) = (WARM_UP_SECONDS, logged.start - SWITCH_SECONDS);
        load.sleep_until(first)?;
        let (cpu, counters) = (CpuSnapshot::take(paths, &Roots::new())?, Counters::read(paths)?);
        load.sleep_until(last)?;
        let (wall, cpu) = CpuSnapshot::take(paths, &Roots::new())?.since(&cpu);
        let counters = Counters::read(paths)?.since(&counters);
        let mut log = StatementLog::start(paths)?;
        load.sleep_until(logged.start)?;
        log.restart()?;
        load.sleep_until(logged.end)?;
        let statements = log.by_database()?;
        Ok(Self { seconds: first..last, wall, cpu, counters, logged, statements })
    }

    fn measurement(self, rate: u32, report: &Value) -> Measurement {
        let Self { seconds, wall, cpu, counters, logged, statements } = self;
        let orders = bought_between(report, &seconds);
        let mut measurement = Measurement::new(&format!("at {rate}/s"), orders, wall);
        measurement.add_cpu(wall, cpu);
        for (database, counted) in &counters.databases {
            measurement.add(Section::Transactions, database, counted.transactions, wall);
            measurement.add(Section::Events, database, counted.events, wall);
        }
        measurement.add(Section::Writes, "all databases", counters.writes, wall);
        let logged_orders = bought_between(report, &logged);
        for (database, count) in statements {
            // As many per second as there would be at the order rate of the measured time.
            let per_order = count / logged_orders;
            measurement.add(Section::Statements, &database, per_order * orders, wall);
        }
        measurement
    }
}

/// Complete orders in these seconds of the load.
pub fn bought_between(report: &Value, seconds: &std::ops::Range<u32>) -> f64 {
    let per_second = report["boughtInSecond"].as_array().into_iter().flatten();
    let from = usize::try_from(seconds.start).unwrap_or_default();
    per_second.skip(from).take(seconds.len()).filter_map(Value::as_f64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders_are_counted_in_their_second() {
        let report = json!({"boughtInSecond": [1, 2, 4, 8, 16]});
        assert!((bought_between(&report, &(1..3)) - 6.0).abs() < 1e-9);
        assert!((bought_between(&report, &(3..9)) - 24.0).abs() < 1e-9);
        assert!(bought_between(&json!({}), &(0..9)).abs() < 1e-9);
    }
}
