//! Figures that shoppers measure: orders at a rate, one kind of request alone, a rush for few units. Knows the command
//! lines of `agora-shopper` and `agora-judge`, and the numbers that they write.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cpu::Used;
use super::pinned::Pinned;
use super::{pgbench, print, residue, statements};
use crate::command::{command, stream};
use crate::environment::Places;
use crate::image::{self, Profile};
use crate::progress::{note, stage};
use crate::target::Target;
use crate::up::{GATEWAY, admin};

const SHOPPER: &str = "agora-shopper";
/// Shoppers per order of a second: a visit that takes five seconds still finds a free shopper for the next.
const SHOPPERS_PER_RATE: u32 = 5;
const SHOPPERS_MAX: u32 = 2_000;
/// Products of the seeded catalogue: the load spreads over them evenly, so stock for twice the average suffices.
const PRODUCTS: u32 = 60;
const STOCK_MIN: u32 = 100;

/// Programs and places of one measurement.
struct Bench<'a> {
    places: &'a Places,
    target: &'a Target,
    profile: Profile,
    folder: tempfile::TempDir,
}

pub fn orders(places: &Places, target: &Target, rate: u32, seconds: u32) -> Result<()> {
    let bench = Bench::prepare(places, target)?;
    let judge = bench.judge()?;
    let pinned = Pinned::pin(target)?;
    let before = residue::children(target)?;
    let used = Used::now(places)?;
    let history = bench.folder.path().join("history.jsonl");
    let mut run = bench.shopper("run")?;
    Bench::crowd(&mut run, rate, seconds);
    run.args(["--only-buy", "--registrations", "--history"]).arg(&history);
    let by_api = stream(&mut run);
    Used::print_since(places, &used)?;
    let report = bench.report()?;
    let left = bench.folder.path().join("residue.json");
    std::fs::write(&left, residue::residue(target, &before)?.to_string())?;
    let mut judge = command(judge, [&history, &history.with_extension("evidence.json"), &left]);
    let by_tables = stream(judge.env("KUBECONFIG", target.kubeconfig()));
    drop(pinned);
    let bought = report["bought"].as_f64().unwrap_or_default();
    let took = report["seconds"].as_f64().unwrap_or(f64::INFINITY);
    print(&format!("complete orders/s at {rate}/s for {seconds} s"), &format!("{:.1}", bought / took), "60 for 180 s");
    print(&format!("complete of {}", u64::from(rate) * u64::from(seconds)), &format!("{bought}"), "all");
    print("visits without a free shopper", &report["notStarted"].to_string(), "0");
    let verdict = |good: bool| if good { "hold" } else { "BROKEN" };
    print("invariants by the API", verdict(by_api.is_ok()), "hold");
    print("invariants by tables, topics and children", verdict(by_tables.is_ok()), "hold");
    beside(places)?;
    by_api.and(by_tables)
}

/// What PostgreSQL alone can do, and whether the script for that is still what an order does.
pub fn beside(places: &Places) -> Result<()> {
    let profile = super::running_profile(places)?;
    stage(&format!("compile the shoppers ({})", profile.name()), || image::compile_one(places, profile, SHOPPER))?;
    pgbench::measure(places)?;
    statements::compare(places, profile, pgbench::ORDER)
}

pub fn place(places: &Places, target: &Target, rate: u32, seconds: u32) -> Result<()> {
    let bench = Bench::prepare(places, target)?;
    let pinned = Pinned::pin(target)?;
    let mut run = bench.shopper("place")?;
    Bench::crowd(&mut run, rate, seconds);
    let done = stream(&mut run);
    drop(pinned);
    let report = bench.report()?;
    let order = &report["requests"]["order"];
    let ms = |name: &str| format!("{:.1} ms", order[name].as_f64().unwrap_or(f64::NAN));
    print(&format!("POST /orders p50 at {rate}/s for {seconds} s"), &ms("p50Ms"), "-");
    print(&format!("POST /orders p99 at {rate}/s for {seconds} s"), &ms("p99Ms"), "60 ms");
    print("visits without a free shopper", &report["notStarted"].to_string(), "0");
    done
}

pub fn rush(places: &Places, target: &Target, buyers: u32, units: u32) -> Result<()> {
    let bench = Bench::prepare(places, target)?;
    let pinned = Pinned::pin(target)?;
    let mut run = bench.shopper("rush")?;
    run.args(["--buyers", &buyers.to_string(), "--units", &units.to_string()]);
    let done = stream(&mut run);
    drop(pinned);
    let report = bench.report()?;
    print(&format!("sold of {units} units to {buyers} buyers"), &report["sold"].to_string(), &units.to_string());
    print("told that there are none left", &report["tooLate"].to_string(), &(buyers.saturating_sub(units)).to_string());
    let last = report["lastMs"].as_f64().unwrap_or(f64::NAN) / 1_000.0;
    print("until the last buyer knew", &format!("{last:.2} s"), "3 s");
    done
}

impl<'a> Bench<'a> {
    /// Builds the shoppers as the shop that runs was built.
    fn prepare(places: &'a Places, target: &'a Target) -> Result<Self> {
        let profile = super::running_profile(places)?;
        stage(&format!("compile the shoppers ({})", profile.name()), || image::compile_one(places, profile, SHOPPER))?;
        Ok(Self { places, target, profile, folder: tempfile::tempdir()? })
    }

    /// As the end-to-end tests are built, for the same reason: nothing is compiled twice.
    fn judge(&self) -> Result<PathBuf> {
        let Places { repo, target, .. } = self.places;
        let mut cargo = command("cargo", ["test", "--quiet", "--no-run", "--profile", Profile::Ci.name()]);
        cargo.args(["--workspace", "--test", "marketplace"]).current_dir(repo).env("CARGO_TARGET_DIR", target);
        stage("compile the judge", || stream(&mut cargo))?;
        Ok(image::binary(self.places, Profile::Ci, "agora-judge"))
    }

    fn shopper(&self, verb: &str) -> Result<Command> {
        let admin = admin(self.target)?;
        let mut shopper = command(image::binary(self.places, self.profile, SHOPPER), [verb, "--url", GATEWAY]);
        shopper.arg("--report").arg(self.folder.path().join("report.json"));
        shopper.args(["--admin-email", &admin.email]).env("AGORA_SHOP_ADMIN_PASSWORD", &admin.password);
        Ok(shopper)
    }

    fn crowd(shopper: &mut Command, rate: u32, seconds: u32) {
        let shoppers = rate.saturating_mul(SHOPPERS_PER_RATE).min(SHOPPERS_MAX);
        let stock = rate.saturating_mul(seconds).saturating_mul(2) / PRODUCTS + STOCK_MIN;
        let options = [("--rate", rate), ("--seconds", seconds), ("--shoppers", shoppers), ("--restock", stock)];
        for (name, value) in options {
            shopper.args([name, &value.to_string()]);
        }
        note(&format!("{shoppers} shoppers register beforehand: passwords are hashed slowly on purpose"));
    }

    fn report(&self) -> Result<Value> {
        let file = self.folder.path().join("report.json");
        let text = std::fs::read_to_string(file).context("the shoppers wrote no report")?;
        let report: Value = serde_json::from_str(&text)?;
        if !report.is_object() {
            bail!("the shoppers' report is no object");
        }
        Ok(report)
    }
}
