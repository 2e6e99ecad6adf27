//! The figures of this project, each measured on the shop that `up` made and printed with its goal. None is a test:
//! a busy machine makes them worse, not the code.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::cluster;
use crate::command::{command, stream};
use crate::environment::Places;
use crate::image::{self, Profile};
use crate::target::Target;
use crate::up::{GATEWAY, NAMESPACE, admin};

mod audit;
mod idle;
mod install;
mod memory;
mod pgbench;
mod repair;
mod start;

#[derive(Debug, Subcommand)]
pub enum Figure {
    /// From apply to Available of one more marketplace, images present
    Install,
    /// From a delete or an edit of a child to the operator's correction, by the API server's audit log
    Repair {
        /// Faults, 2 seconds apart
        #[arg(long, default_value_t = 50)]
        tries: usize,
    },
    /// Requests of the operator while nothing happens, by the audit log
    Idle {
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// Anonymous memory of the operator and of each service
    Memory,
    /// From process start to ready, dependencies up, for each service
    Start,
    /// Orders a second that PostgreSQL alone makes of one order's statements
    Pgbench,
    /// Size of both images
    Size,
    /// Complete orders at a rate that does not wait for the shop, and every invariant checked afterwards
    Orders {
        /// Orders started each second
        #[arg(long, default_value_t = 60)]
        rate: u32,
        #[arg(long, default_value_t = 180)]
        seconds: u32,
    },
}

/// A figure beside its goal.
pub fn print(name: &str, value: &str, goal: &str) {
    println!("{name:<44} {value:>14}   goal {goal}");
}

pub fn bench(places: &Places, figure: &Figure) -> Result<()> {
    if matches!(figure, Figure::Size) {
        return size(places);
    }
    if !cluster::is_up(places) {
        bail!("no shop here to measure; make one: cargo xtask up --release");
    }
    let target = Target::local(places);
    match figure {
        Figure::Install => install::measure(&target),
        Figure::Repair { tries } => repair::measure(places, &target, *tries),
        Figure::Idle { minutes } => idle::measure(places, Duration::from_secs(minutes * 60)),
        Figure::Memory => memory::measure(),
        Figure::Start => start::measure(),
        Figure::Pgbench => pgbench::measure(places),
        Figure::Size => size(places),
        Figure::Orders { rate, seconds } => orders(places, &target, *rate, *seconds),
    }
}

/// The value below which `share` of the sorted values lie.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into some hundred values"
    )]
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn orders(places: &Places, target: &Target, rate: u32, seconds: u32) -> Result<()> {
    let admin = admin(target)?;
    // Ten per order of a second: a visit that takes ten seconds still finds a free shopper for the next.
    let shoppers = (rate * 10).min(2_000).to_string();
    let program = [Profile::Release, Profile::Ci].map(|profile| image::binary(places, profile, "agora-shopper"));
    let Some(program) = program.iter().find(|file| file.exists()) else {
        bail!("agora-shopper is not built; run: cargo xtask up --release");
    };
    let mut run = command(program, ["run", "--url", GATEWAY, "--only-buy", "--registrations"]);
    run.args(["--rate", &rate.to_string(), "--seconds", &seconds.to_string(), "--shoppers", &shoppers]);
    run.args(["--admin-email", &admin.email]).env("AGORA_SHOP_ADMIN_PASSWORD", &admin.password);
    println!(
        "goals: at 60 orders/s for 180 s every invariant holds; at 50/s `order` p99 <= 60 ms (namespace {NAMESPACE})"
    );
    stream(&mut run)
}

fn size(places: &Places) -> Result<()> {
    for (name, archive) in image::build_all(places, Profile::Release)?.archives {
        let bytes = std::fs::metadata(archive)?.len();
        let goal = if name.contains("operator") { "25 MB" } else { "45 MB" };
        print(&format!("size of {name}"), &format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10), goal);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert!((quantile(&values, 0.5) - 2.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 0.99) - 4.0).abs() < f64::EPSILON);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
