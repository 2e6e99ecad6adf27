//! Benchmarks with `agora-shopper`: `POST /orders` alone and a rush for few units, and what the other benchmarks with
//! it share. Uses the command line and the reports of `agora-shopper`; must not depend on its code.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::pinned::Pinned;
use super::{memory, pgbench, print, statements};
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
/// Time from the end of a rush to the measurement of memory.
const AFTER_RUSH: Duration = Duration::from_mins(1);

/// Programs and files of one measurement.
pub struct Bench<'a> {
    pub paths: &'a Paths,
    target: &'a Target,
    profile: Profile,
    pub folder: tempfile::TempDir,
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
    print(&format!("POST /orders p99 at {rate}/s for {seconds} s"), &ms("p99Ms"), "40 ms");
    print("visits not started (no free shopper)", &report["notStarted"].to_string(), "0");
    done
}

pub fn rush(paths: &Paths, target: &Target, buyers: u32, units: u32) -> Result<()> {
    let bench = Bench::prepare(paths, target)?;
    let pinned = Pinned::pin(target)?;
    let mut run = bench.shopper("rush")?;
    run.args(["--buyers", &buyers.to_string(), "--units", &units.to_string()]);
    let done = stream(&mut run);
    let report = bench.report()?;
    print(&format!("sold of {units} units to {buyers} buyers"), &report["sold"].to_string(), &units.to_string());
    print("rejected as sold out", &report["tooLate"].to_string(), &(buyers.saturating_sub(units)).to_string());
    let seconds = |name: &str| format!("{:.2} s", report[name].as_f64().unwrap_or(f64::NAN) / 1_000.0);
    print("time until half of the buyers had a final answer", &seconds("p50Ms"), "-");
    print("time until the last final answer", &seconds("lastMs"), "2 s");
    std::thread::sleep(AFTER_RUSH);
    memory::measure_services(&["gateway", "order"], ", 1 min after", "20 MiB")?;
    drop(pinned);
    done
}

impl<'a> Bench<'a> {
    /// Compiles the load generator with the profile of the deployed images.
    pub fn prepare(paths: &'a Paths, target: &'a Target) -> Result<Self> {
        let profile = super::running_profile(paths)?;
        stage(&format!("compile the load generator ({})", profile.name()), || {
            image::compile_one(paths, profile, SHOPPER)
        })?;
        Ok(Self { paths, target, profile, folder: tempfile::tempdir()? })
    }

    /// Compiles the invariant checker with the packages of the end-to-end tests, so that nothing is compiled twice.
    pub fn checker(&self) -> Result<PathBuf> {
        let Paths { repo, target, .. } = self.paths;
        let mut cargo = command("cargo", ["test", "--quiet", "--no-run", "--profile", Profile::Ci.name()]);
        cargo.args(["--workspace", "--test", "marketplace"]).current_dir(repo).env("CARGO_TARGET_DIR", target);
        stage("compile the invariant checker", || stream(&mut cargo))?;
        Ok(image::binary(self.paths, Profile::Ci, "agora-check-invariants"))
    }

    /// The load generator with a report and the URL of a shop.
    pub fn shopper_at(&self, verb: &str, url: &str) -> Command {
        let mut shopper = command(image::binary(self.paths, self.profile, SHOPPER), [verb, "--url", url]);
        shopper.arg("--report").arg(self.folder.path().join("report.json"));
        shopper
    }

    /// The load generator with the login of Agora's admin.
    pub fn shopper(&self, verb: &str) -> Result<Command> {
        let admin = admin(self.target)?;
        let mut shopper = self.shopper_at(verb, GATEWAY);
        shopper.args(["--admin-email", &admin.email]).env("AGORA_SHOP_ADMIN_PASSWORD", &admin.password);
        Ok(shopper)
    }

    /// Adds the options of a load, which is preceded by restocking every product for it.
    pub fn add_load_profile(shopper: &mut Command, rate: u32, seconds: u32) {
        shopper.arg("--restock");
        Self::add_load(shopper, rate, seconds);
    }

    /// Adds the options of a load of the products that have stock.
    pub fn add_load(shopper: &mut Command, rate: u32, seconds: u32) {
        let shoppers = rate.saturating_mul(SHOPPERS_PER_RATE).min(SHOPPERS_MAX);
        for (name, value) in [("--rate", rate), ("--seconds", seconds), ("--shoppers", shoppers)] {
            shopper.args([name, &value.to_string()]);
        }
        note(&format!("registering {shoppers} shoppers; password hashing makes this slow"));
    }

    pub fn report(&self) -> Result<Value> {
        let file = self.folder.path().join("report.json");
        let text = std::fs::read_to_string(file).context("reading the report of agora-shopper")?;
        let report: Value = serde_json::from_str(&text)?;
        if !report.is_object() {
            bail!("the report of agora-shopper is not a JSON object");
        }
        Ok(report)
    }
}
