//! Benchmarks against the marketplace that `up` created. Each prints its result beside its target. None is a test: the
//! results also depend on what else runs on the machine.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::cluster;
use crate::environment::Paths;
use crate::image::{self, Profile};
use crate::progress::note;
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE, get_json};

mod audit;
mod counters;
mod cpu;
mod delays;
pub mod edge;
mod idle;
mod import;
mod install;
mod leftovers;
mod memory;
mod orders;
mod peer;
mod pgbench;
mod pinned;
mod repair;
mod running_load;
mod search;
mod searches;
mod shoppers;
mod shops;
mod start;
mod statements;
mod table;

#[derive(Debug, Clone, Subcommand)]
pub enum Benchmark {
    /// Run all benchmarks in sequence; takes about 30 minutes
    All,
    /// Time from `kubectl apply` of a second marketplace to Available, images present; target 45 s
    Install,
    /// Time from a delete or an edit of a child object to the operator's correction, from the audit log; target p50
    /// 100 ms, p99 1 s
    Repair {
        /// Number of deletes and edits, 2 seconds apart
        #[arg(long, default_value_t = 50)]
        tries: usize,
    },
    /// Requests that the operator sends while the marketplace is idle, from the audit log, and CPU time of each idle
    /// service; targets 0 and 1 ms per second
    Idle {
        /// Duration of the measurement
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(30..))]
        seconds: u64,
    },
    /// Anonymous memory of each process; target 20 MiB for the operator, 15 MiB for a service
    Memory,
    /// Time from process start to ready for each service, dependencies available; target 100 ms
    Start,
    /// Orders per second when PostgreSQL executes the statements of an order without the services
    Pgbench,
    /// Size of both container images; target 45 MB (services) and 25 MB (operator)
    Size {
        /// Build the images with the release profile, instead of measuring the deployed ones
        #[arg(long)]
        release: bool,
    },
    /// CPU time, statements, transactions and events per complete order under open-loop load, with every invariant
    /// checked; target 80 complete orders/s for 180 s
    Orders {
        /// Orders started per second; each rate is one column
        #[arg(long, value_delimiter = ',', default_values_t = [20, 40, 80])]
        rate: Vec<u32>,
        /// Duration of the load at each rate
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Skip `agora-check-invariants`, which needs the end-to-end tests compiled; the API is still checked
        #[arg(long)]
        without_checker: bool,
    },
    /// Latency of `POST /orders` under open-loop load; target p99 60 ms at 50/s
    Place {
        /// Orders started per second
        #[arg(long, default_value_t = 50)]
        rate: u32,
        /// Duration of the load
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Many buyers order few units at once; target: exactly these units are sold, final answers within 3 s, and 30 MiB
    /// of anonymous memory one minute later
    Rush {
        /// Number of buyers; each orders one unit
        #[arg(long, default_value_t = 500)]
        buyers: u32,
        /// Units in stock
        #[arg(long, default_value_t = 10)]
        units: u32,
    },
    /// Latency of `POST /orders` beside anonymous searches in a loop over many products; target: p50 at most 1.5 times that
    /// without searches
    Searches {
        /// Products to search
        #[arg(long, default_value_t = 200_000)]
        products: u32,
        /// Searches at the same time
        #[arg(long, default_value_t = 5)]
        searches: u32,
        /// Orders started per second
        #[arg(long, default_value_t = 20)]
        rate: u32,
        /// Duration of each load
        #[arg(long, default_value_t = 20)]
        seconds: u32,
        /// Pairs of loads, without and with searches
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
        tries: u32,
    },
    /// The same visit of the same shoppers in Agora and in Vendure, one after the other: complete orders per second, CPU
    /// time per order, and what each sells of few units
    Peer {
        /// Shoppers that buy at the same time
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=200))]
        shoppers: u32,
        /// Duration of the load on each shop
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(30..=300))]
        seconds: u32,
        /// Buyers of the rush
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1000))]
        buyers: u32,
        /// Units in stock in the rush
        #[arg(long, default_value_t = 20)]
        units: u32,
    },
    /// Watches, SQL sessions, CPU time and memory of the operator with many marketplaces on shared servers; needs no cluster
    Shops {
        /// Number of marketplaces
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
    },
    /// Time of an import of products over the API, until the search index has them; target 5 minutes. The products stay
    Import {
        /// Number of products
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        products: u32,
    },
    /// CPU time of the gateway per request with a token, beside nginx; needs no cluster; target 60 us
    Edge {
        /// Requests started per second
        #[arg(long, default_value_t = 1_000)]
        rate: u32,
        /// Number of measured requests
        #[arg(long, default_value_t = 20_000)]
        requests: u32,
    },
    /// Latency of searches with facets and of lists of 20 at half of the capacity, over many products, and the time to build
    /// the index from the catalog; needs no cluster; targets p99 40 ms and 25 ms, 45 s
    Search {
        /// Number of products
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
        products: u32,
        /// Duration of each load
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(5..=300))]
        seconds: u32,
    },
}

/// The benchmarks of `all`: those that need an idle marketplace run before those that load it.
fn every() -> Vec<Benchmark> {
    vec![
        Benchmark::Size { release: false },
        Benchmark::Edge { rate: 1_000, requests: 20_000 },
        Benchmark::Search { products: 100_000, seconds: 20 },
        Benchmark::Shops { count: 200 },
        Benchmark::Memory,
        Benchmark::Start,
        Benchmark::Install,
        Benchmark::Repair { tries: 50 },
        Benchmark::Idle { seconds: 600 },
        Benchmark::Place { rate: 50, seconds: 60 },
        Benchmark::Rush { buyers: 500, units: 10 },
        Benchmark::Searches { products: 200_000, searches: 5, rate: 20, seconds: 20, tries: 3 },
        Benchmark::Orders { rate: vec![20, 40, 80], seconds: 180, without_checker: false },
        Benchmark::Pgbench,
        Benchmark::Import { products: 100_000 },
        Benchmark::Peer { shoppers: 16, seconds: 60, buyers: 500, units: 20 },
    ]
}

impl Benchmark {
    /// The command line that runs this benchmark.
    fn command(&self) -> String {
        let words = match self {
            Self::All => "all".to_owned(),
            Self::Install => "install".to_owned(),
            Self::Repair { tries } => format!("repair --tries {tries}"),
            Self::Idle { seconds } => format!("idle --seconds {seconds}"),
            Self::Memory => "memory".to_owned(),
            Self::Import { products } => format!("import --products {products}"),
            Self::Start => "start".to_owned(),
            Self::Pgbench => "pgbench".to_owned(),
            Self::Size { release } => format!("size{}", if *release { " --release" } else { "" }),
            Self::Orders { rate, seconds, without_checker } => {
                let rates: Vec<String> = rate.iter().map(ToString::to_string).collect();
                let checker = if *without_checker { " --without-checker" } else { "" };
                format!("orders --rate {} --seconds {seconds}{checker}", rates.join(","))
            }
            Self::Peer { shoppers, seconds, buyers, units } => {
                format!("peer --shoppers {shoppers} --seconds {seconds} --buyers {buyers} --units {units}")
            }
            Self::Place { rate, seconds } => format!("place --rate {rate} --seconds {seconds}"),
            Self::Searches { products, searches, rate, seconds, tries } => format!(
                "searches --products {products} --searches {searches} --rate {rate} --seconds {seconds} --tries {tries}"
            ),
            Self::Rush { buyers, units } => format!("rush --buyers {buyers} --units {units}"),
            Self::Shops { count } => format!("shops --count {count}"),
            Self::Edge { rate, requests } => format!("edge --rate {rate} --requests {requests}"),
            Self::Search { products, seconds } => format!("search --products {products} --seconds {seconds}"),
        };
        format!("cargo xtask bench {words}")
    }
}

/// Prints a result beside its target.
pub fn print(name: &str, value: &str, goal: &str) {
    println!("{name:<44} {value:>14}   target {goal}");
}

/// Runs one benchmark or all of them. A failure does not stop the remaining ones; it is returned at the end.
pub fn bench(paths: &Paths, benchmark: &Benchmark) -> Result<()> {
    let benchmarks = if matches!(benchmark, Benchmark::All) { every() } else { vec![benchmark.clone()] };
    let mut failed = Vec::new();
    for benchmark in &benchmarks {
        println!("$ {}", benchmark.command());
        if let Err(error) = measure(paths, benchmark) {
            eprintln!("{}: {error:#}", benchmark.command());
            failed.push(benchmark.command());
        }
        println!();
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "));
}

fn measure(paths: &Paths, benchmark: &Benchmark) -> Result<()> {
    if matches!(benchmark, Benchmark::Size { release: true }) {
        return built_size(paths);
    }
    if let Benchmark::Edge { rate, requests } = benchmark {
        return edge::measure(paths, *rate, *requests);
    }
    if let Benchmark::Search { products, seconds } = benchmark {
        return search::measure(paths, *products, *seconds);
    }
    if let Benchmark::Shops { count } = benchmark {
        return shops::measure(paths, *count);
    }
    if !cluster::is_up(paths) {
        bail!("the local cluster does not run; start it: cargo xtask up --release");
    }
    let target = Target::local(paths);
    if running_profile(paths)? == Profile::Ci {
        note(
            "the deployed images are not a release build of this checkout; for comparable results run: cargo xtask up --release",
        );
    }
    match benchmark {
        Benchmark::All | Benchmark::Edge { .. } | Benchmark::Search { .. } | Benchmark::Shops { .. } => Ok(()),
        Benchmark::Install => install::measure(&target),
        Benchmark::Repair { tries } => repair::measure(paths, &target, *tries),
        Benchmark::Idle { seconds } => idle::measure(paths, &target, Duration::from_secs(*seconds)),
        Benchmark::Memory => memory::measure(),
        Benchmark::Start => start::measure(),
        Benchmark::Pgbench => shoppers::compare_with_pgbench(paths),
        Benchmark::Import { products } => import::measure(paths, &target, *products),
        Benchmark::Size { .. } => running_size(paths, &target),
        Benchmark::Orders { rate, seconds, without_checker } => {
            let plan = orders::Plan { rates: rate, seconds: *seconds, without_checker: *without_checker };
            orders::measure(paths, &target, plan)
        }
        Benchmark::Place { rate, seconds } => shoppers::place(paths, &target, *rate, *seconds),
        Benchmark::Rush { buyers, units } => shoppers::rush(paths, &target, *buyers, *units),
        Benchmark::Searches { products, searches, rate, seconds, tries } => {
            let plan = searches::Plan {
                products: *products,
                searches: *searches,
                rate: *rate,
                seconds: *seconds,
                tries: *tries,
            };
            searches::measure(paths, &target, plan)
        }
        Benchmark::Peer { shoppers, seconds, buyers, units } => {
            let plan = peer::Plan { shoppers: *shoppers, seconds: *seconds, buyers: *buyers, units: *units };
            peer::measure(paths, &target, plan)
        }
    }
}

/// The Cargo profile of the deployed binaries: Release if they are identical to the release binaries in Cargo's target
/// folder, else Ci.
pub fn running_profile(paths: &Paths) -> Result<Profile> {
    let Ok(released) = std::fs::read(image::binary(paths, Profile::Release, "agora")) else { return Ok(Profile::Ci) };
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
        reason = "an index into a few hundred values"
    )]
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn built_size(paths: &Paths) -> Result<()> {
    sizes(image::build_all(paths, Profile::Release)?.archives)
}

fn running_size(paths: &Paths, target: &Target) -> Result<()> {
    let shop = get_json(target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE])?;
    sizes(image::archives(paths, shop["spec"]["release"]["version"].as_str().unwrap_or_default()))
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
    fn a_quantile_is_one_of_the_measured_values() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert!((quantile(&values, 0.5) - 2.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 0.99) - 4.0).abs() < f64::EPSILON);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_printed_command_line_parses_to_the_same_benchmark() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Typed {
            #[command(subcommand)]
            benchmark: Benchmark,
        }
        for benchmark in every() {
            let words = benchmark.command();
            let typed = Typed::try_parse_from(words.split_whitespace().skip(2)).unwrap();
            assert_eq!(typed.benchmark.command(), words);
        }
    }
}
