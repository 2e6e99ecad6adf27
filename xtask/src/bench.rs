//! The figures of this project, each measured on the shop that `up` made and printed with its goal. None is a test:
//! a busy machine makes them worse, not the code.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::cluster;
use crate::environment::Places;
use crate::image::{self, Profile};
use crate::progress::note;
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE, get_json};

mod audit;
mod cpu;
mod idle;
mod install;
mod memory;
mod pgbench;
mod pinned;
mod repair;
mod residue;
mod shoppers;
mod start;
mod statements;

#[derive(Debug, Clone, Subcommand)]
pub enum Figure {
    /// All of them, one after the other: about half an hour on an idle machine
    All,
    /// From apply to Available of one more marketplace, images present: 45 s
    Install,
    /// From a delete or an edit of a child to the operator's correction, by the audit log: p50 100 ms, p99 1 s
    Repair {
        /// Faults, 2 seconds apart
        #[arg(long, default_value_t = 50)]
        tries: usize,
    },
    /// Requests of the operator while nothing happens, by the audit log: none
    Idle {
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// Anonymous memory of the operator (20 MiB) and of each service (15 MiB)
    Memory,
    /// From process start to ready, dependencies up, for each service: 100 ms
    Start,
    /// Orders a second that PostgreSQL alone makes of one order's statements
    Pgbench,
    /// Size of both images: 45 MB and 25 MB
    Size {
        /// Build them optimised, instead of taking those that run
        #[arg(long)]
        release: bool,
    },
    /// Complete orders at a rate that does not wait for the shop, every invariant checked, `pgbench` beside: 60/s
    Orders {
        /// Orders started each second
        #[arg(long, default_value_t = 60)]
        rate: u32,
        #[arg(long, default_value_t = 180)]
        seconds: u32,
    },
    /// How long `POST /orders` takes at a rate that does not wait for the shop: p99 60 ms at 50/s
    Place {
        /// Orders started each second
        #[arg(long, default_value_t = 50)]
        rate: u32,
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Many buyers of few units, all at once: exactly these are sold, and everybody knows within 3 s
    Rush {
        #[arg(long, default_value_t = 500)]
        buyers: u32,
        #[arg(long, default_value_t = 10)]
        units: u32,
    },
}

/// Those of `all`, with the numbers: what needs a quiet shop comes before what loads it.
const EVERY: [Figure; 9] = [
    Figure::Size { release: false },
    Figure::Memory,
    Figure::Start,
    Figure::Install,
    Figure::Repair { tries: 50 },
    Figure::Idle { minutes: 10 },
    Figure::Place { rate: 50, seconds: 60 },
    Figure::Rush { buyers: 500, units: 10 },
    Figure::Orders { rate: 60, seconds: 180 },
];

impl Figure {
    /// What to type for it.
    fn command(&self) -> String {
        let words = match self {
            Self::All => "all".to_owned(),
            Self::Install => "install".to_owned(),
            Self::Repair { tries } => format!("repair --tries {tries}"),
            Self::Idle { minutes } => format!("idle --minutes {minutes}"),
            Self::Memory => "memory".to_owned(),
            Self::Start => "start".to_owned(),
            Self::Pgbench => "pgbench".to_owned(),
            Self::Size { release } => format!("size{}", if *release { " --release" } else { "" }),
            Self::Orders { rate, seconds } => format!("orders --rate {rate} --seconds {seconds}"),
            Self::Place { rate, seconds } => format!("place --rate {rate} --seconds {seconds}"),
            Self::Rush { buyers, units } => format!("rush --buyers {buyers} --units {units}"),
        };
        format!("cargo xtask bench {words}")
    }
}

/// A figure beside its goal.
pub fn print(name: &str, value: &str, goal: &str) {
    println!("{name:<44} {value:>14}   goal {goal}");
}

/// Measures one figure, or all of them; the rest goes on where one cannot be had.
pub fn bench(places: &Places, figure: &Figure) -> Result<()> {
    let figures = if matches!(figure, Figure::All) { &EVERY[..] } else { std::slice::from_ref(figure) };
    let mut failed = Vec::new();
    for figure in figures {
        println!("$ {}", figure.command());
        if let Err(error) = measure(places, figure) {
            eprintln!("{}: {error:#}", figure.command());
            failed.push(figure.command());
        }
        println!();
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("no figure, or a broken promise: {}", failed.join(", "));
}

fn measure(places: &Places, figure: &Figure) -> Result<()> {
    if matches!(figure, Figure::Size { release: true }) {
        return built_size(places);
    }
    if !cluster::is_up(places) {
        bail!("no shop here to measure; make one: cargo xtask up --release");
    }
    let target = Target::local(places);
    if running_profile(places)? == Profile::Ci {
        note("the running images are no release build of this checkout; for the real figure: cargo xtask up --release");
    }
    match figure {
        Figure::All => Ok(()),
        Figure::Install => install::measure(&target),
        Figure::Repair { tries } => repair::measure(places, &target, *tries),
        Figure::Idle { minutes } => idle::measure(places, &target, Duration::from_secs(minutes * 60)),
        Figure::Memory => memory::measure(),
        Figure::Start => start::measure(),
        Figure::Pgbench => shoppers::beside(places),
        Figure::Size { .. } => running_size(places, &target),
        Figure::Orders { rate, seconds } => shoppers::orders(places, &target, *rate, *seconds),
        Figure::Place { rate, seconds } => shoppers::place(places, &target, *rate, *seconds),
        Figure::Rush { buyers, units } => shoppers::rush(places, &target, *buyers, *units),
    }
}

/// How what runs was compiled: in the release profile where it is, byte for byte, what lies in Cargo's folder of it.
pub fn running_profile(places: &Places) -> Result<Profile> {
    let Ok(released) = std::fs::read(image::binary(places, Profile::Release, "agora")) else { return Ok(Profile::Ci) };
    let services = memory::running()?;
    let service = services.iter().find(|process| process.name != "agora-operator");
    let runs = service.and_then(|process| std::fs::read(format!("/proc/{}/exe", process.pid)).ok());
    Ok(if runs.is_some_and(|runs| runs == released) { Profile::Release } else { Profile::Ci })
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

fn built_size(places: &Places) -> Result<()> {
    sizes(image::build_all(places, Profile::Release)?.archives)
}

fn running_size(places: &Places, target: &Target) -> Result<()> {
    let shop = get_json(target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE])?;
    sizes(image::archives(places, shop["spec"]["release"]["version"].as_str().unwrap_or_default()))
}

fn sizes(archives: Vec<(String, std::path::PathBuf)>) -> Result<()> {
    for (name, archive) in archives {
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

    #[test]
    fn what_is_printed_is_what_can_be_typed() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Typed {
            #[command(subcommand)]
            figure: Figure,
        }
        for figure in EVERY {
            let words = figure.command();
            let typed = Typed::try_parse_from(words.split_whitespace().skip(2)).unwrap();
            assert_eq!(typed.figure.command(), words);
        }
    }
}
