//! Benchmarks with `agora-shopper`: complete orders, `POST /orders` alone, and a rush for few units. Uses the command
//! lines and reports of `agora-shopper` and `agora-check-invariants`; must not depend on their code.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cpu::Used;
use super::pinned::Pinned;
use super::{leftovers, pgbench, print, statements};
use crate::command::{command, stream};
use crate::environment::Paths;
use crate::image::{self, Profile};
use crate::progress::{note, stage};
use crate::target::Target;
use crate::up::{GATEWAY, admin};

const SHOPPER: &str = "agora-shopper";
/// Shoppers per order started each second, so that the rate holds for visits of up to five seconds.
const SHOPPERS_PER_RATE: u32 = 5;
const SHOPPERS_MAX: u32 = 2_000;
/// Products of the seeded catalog. The load is spread evenly, so stock for twice the average is enough.
const PRODUCTS: u32 = 60;
const STOCK_MIN: u32 = 100;

/// Programs and files of one measurement.
struct Bench<'a> {
    paths: &'a Paths,
    target: &'a Target,
    profile: Profile,
    folder: tempfile::TempDir,
}

pub fn orders(paths: &Paths, target: &Target, rate: u32, seconds: u32) -> Result<()> {
    let bench = Bench::prepare(paths, target)?;
    let checker = bench.checker()?;
    let pinned = Pinned::pin(target)?;
    let before = leftovers::children(target)?;
    let used = Used::now(paths)?;
    let history = bench.folder.path().join("history.jsonl");
    let mut run = bench.shopper("run")?;
    Bench::add_load_profile(&mut run, rate, seconds);
    run.args(["--only-buy", "--registrations", "--history"]).arg(&history);
    let by_api = stream(&mut run);
    Used::print_since(paths, &used)?;
    let report = bench.report()?;
    let left = bench.folder.path().join("leftovers.json");
    std::fs::write(&left, leftovers::find(target, &before)?.to_string())?;
    let mut checker = command(checker, [&history, &history.with_extension("evidence.json"), &left]);
    let by_tables = stream(checker.env("KUBECONFIG", target.kubeconfig()));
    drop(pinned);
    let bought = report["bought"].as_f64().unwrap_or_default();
    let took = report["seconds"].as_f64().unwrap_or(f64::INFINITY);
    print(&format!("complete orders/s at {rate}/s for {seconds} s"), &format!("{:.1}", bought / took), "60 for 180 s");
    print(&format!("complete orders of {} planned", u64::from(rate) * u64::from(seconds)), &format!("{bought}"), "all");
    print("visits not started (no free shopper)", &report["notStarted"].to_string(), "0");
    let verdict = |good: bool| if good { "hold" } else { "VIOLATED" };
    print("invariants, from the API", verdict(by_api.is_ok()), "hold");
    print("invariants, from tables, topics and objects", verdict(by_tables.is_ok()), "hold");
    compare_with_pgbench(paths)?;
    by_api.and(by_tables)
}

/// Runs pgbench with the statements of an order, and compares the script with the statements of real orders.
pub fn compare_with_pgbench(paths: &Paths) -> Result<()> {
    let profile = super::running_profile(paths)?;
    stage(&format!("compile the load generator ({})", profile.name()), || image::compile_one(paths, profile, SHOPPER))?;
    pgbench::measure(paths)?;
    statements::compare(paths, profile, pgbench::ORDER)
}

pub fn place(paths: &Paths, target: &Target, rate: u32, seconds: u32) -> Result<()> {
    let bench = Bench::prepare(paths, target)?;
    let pinned = Pinned::pin(target)?;
    let mut run = bench.shopper("place")?;
    Bench::add_load_profile(&mut run, rate, seconds);
    let done = stream(&mut run);
    drop(pinned);
    let report = bench.report()?;
    let order = &report["requests"]["order"];
    let ms = |name: &str| format!("{:.1} ms", order[name].as_f64().unwrap_or(f64::NAN));
    print(&format!("POST /orders p50 at {rate}/s for {seconds} s"), &ms("p50Ms"), "-");
    print(&format!("POST /orders p99 at {rate}/s for {seconds} s"), &ms("p99Ms"), "60 ms");
    print("visits not started (no free shopper)", &report["notStarted"].to_string(), "0");
    done
}

pub fn rush(paths: &Paths, target: &Target, buyers: u32, units: u32) -> Result<()> {
    let bench = Bench::prepare(paths, target)?;
    let pinned = Pinned::pin(target)?;
    let mut run = bench.shopper("rush")?;
    run.args(["--buyers", &buyers.to_string(), "--units", &units.to_string()]);
    let done = stream(&mut run);
    drop(pinned);
    let report = bench.report()?;
    print(&format!("sold of {units} units to {buyers} buyers"), &report["sold"].to_string(), &units.to_string());
    print("rejected as sold out", &report["tooLate"].to_string(), &(buyers.saturating_sub(units)).to_string());
    let last = report["lastMs"].as_f64().unwrap_or(f64::NAN) / 1_000.0;
    print("time until the last final answer", &format!("{last:.2} s"), "3 s");
    done
}

impl<'a> Bench<'a> {
    /// Compiles the load generator with the profile of the deployed images.
    fn prepare(paths: &'a Paths, target: &'a Target) -> Result<Self> {
        let profile = super::running_profile(paths)?;
        stage(&format!("compile the load generator ({})", profile.name()), || {
            image::compile_one(paths, profile, SHOPPER)
        })?;
        Ok(Self { paths, target, profile, folder: tempfile::tempdir()? })
    }

    /// Compiles the invariant checker with the packages of the end-to-end tests, so that nothing is compiled twice.
    fn checker(&self) -> Result<PathBuf> {
        let Paths { repo, target, .. } = self.paths;
        let mut cargo = command("cargo", ["test", "--quiet", "--no-run", "--profile", Profile::Ci.name()]);
        cargo.args(["--workspace", "--test", "marketplace"]).current_dir(repo).env("CARGO_TARGET_DIR", target);
        stage("compile the invariant checker", || stream(&mut cargo))?;
        Ok(image::binary(self.paths, Profile::Ci, "agora-check-invariants"))
    }

    fn shopper(&self, verb: &str) -> Result<Command> {
        let admin = admin(self.target)?;
        let mut shopper = command(image::binary(self.paths, self.profile, SHOPPER), [verb, "--url", GATEWAY]);
        shopper.arg("--report").arg(self.folder.path().join("report.json"));
        shopper.args(["--admin-email", &admin.email]).env("AGORA_SHOP_ADMIN_PASSWORD", &admin.password);
        Ok(shopper)
    }

    fn add_load_profile(shopper: &mut Command, rate: u32, seconds: u32) {
        let shoppers = rate.saturating_mul(SHOPPERS_PER_RATE).min(SHOPPERS_MAX);
        let stock = rate.saturating_mul(seconds).saturating_mul(2) / PRODUCTS + STOCK_MIN;
        let options = [("--rate", rate), ("--seconds", seconds), ("--shoppers", shoppers), ("--restock", stock)];
        for (name, value) in options {
            shopper.args([name, &value.to_string()]);
        }
        note(&format!("registering {shoppers} shoppers; password hashing makes this slow"));
    }

    fn report(&self) -> Result<Value> {
        let file = self.folder.path().join("report.json");
        let text = std::fs::read_to_string(file).context("reading the report of agora-shopper")?;
        let report: Value = serde_json::from_str(&text)?;
        if !report.is_object() {
            bail!("the report of agora-shopper is not a JSON object");
        }
        Ok(report)
    }
}
