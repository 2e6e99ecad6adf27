//! Command line of `cargo xtask`: build, run, test and measure this project. Parses arguments and calls one module per
//! command; must not contain the commands' own logic.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

mod attack;
mod bench;
mod check;
mod checkout;
mod cluster;
mod codegen;
mod command;
mod coverage;
mod durations;
mod environment;
mod go_module;
mod image;
mod layers;
mod licences;
mod progress;
mod pypi;
mod rooms;
mod rows;
mod scan;
mod status;
mod target;
mod test;
mod tidy;
mod up;
mod words;
mod workspace;

use environment::Paths;

/// Build, run, test and measure Agora
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a local Kubernetes cluster, install the operator, create a marketplace and place one test order
    ///
    /// Requires Debian or Ubuntu, root, 6 GiB of memory and 15 GiB of disk; Docker is not needed. Safe to repeat: a
    /// second run continues after a failure, restarts processes that ended and deploys changed code. With --context it
    /// installs into an existing cluster of your kubeconfig (kind, k3d, minikube, or a remote one with --yes) and does
    /// not require root.
    Up(up::Options),
    /// Stop the local cluster and restore the host's previous state
    Down {
        /// Keep databases, topics and Kubernetes objects for the next `up`
        #[arg(long)]
        keep_data: bool,
    },
    /// Show the processes of the local cluster, the marketplace's conditions and how to connect
    Status {
        /// Output format; `json` prints {gateway, kubeconfig, namespace, marketplace, admin: {email, password}}
        #[arg(short, long, value_enum, default_value = "text")]
        output: status::Output,
    },
    /// Inject an outage of PostgreSQL, Kafka or Redis into the local cluster
    Fault(cluster::fault::Options),
    /// Run the test stages check, database and e2e, or only the given stages, and print the minutes of each
    Test {
        #[arg(value_enum)]
        stages: Vec<test::Stage>,
    },
    /// Check formatting, lints, dependency rules, source rules, licences and generated files
    Check,
    /// Print the share of lines that the tests execute, by crate
    ///
    /// Requires cargo-llvm-cov, which compiles the workspace once more, with instrumented code.
    Coverage(coverage::Options),
    /// Scan the rendered Kubernetes objects and the Dockerfile with kubeconform, kube-score and checkov
    ///
    /// Fails on a finding that xtask/data/accepted-findings.yaml does not accept, and on an entry there that accepts nothing.
    Scan,
    /// Print the capabilities of docs/CAPABILITIES.md that have no test
    Rows(rows::Options),
    /// Regenerate all generated files: CRD, chart copy, documents of the API, snapshots, samples, migration copies
    Codegen,
    /// Build both container images, and load them into the local cluster if it runs
    Image {
        /// Cargo profile of the binaries
        #[arg(long, value_enum, default_value = "ci")]
        profile: image::Profile,
        /// Only copy binaries and libraries into this folder, for `docker build` or Tilt
        #[arg(long, value_name = "FOLDER")]
        stage: Option<std::path::PathBuf>,
    },
    /// Attack the services on this machine, without a cluster, and print what each attack cost
    ///
    /// Starts the services and PostgreSQL as processes of their own on 127.0.0.1. Requires root.
    Attack(attack::Options),
    /// Run a benchmark against the marketplace that `up` created
    #[command(subcommand)]
    Bench(bench::Benchmark),
    /// Print the environment variables for tests and kubectl: eval "$(cargo xtask env)"
    Env,
    /// Print a shell completion script: cargo xtask completion bash > /etc/bash_completion.d/cargo-xtask
    Completion {
        /// Shell to generate the script for
        shell: Shell,
    },
}

fn main() -> ExitCode {
    match perform() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Verb {
    /// Whether the command compiles the project with Cargo.
    const fn compiles(&self) -> bool {
        use Verb::{Attack, Bench, Check, Codegen, Coverage, Image, Test, Up};
        matches!(self, Up(_) | Test { .. } | Check | Coverage(_) | Codegen | Image { .. } | Bench(_) | Attack(_))
    }
}

fn perform() -> Result<()> {
    let verb = Arguments::parse().verb;
    let paths = Paths::find()?;
    if verb.compiles() {
        checkout::take_build_output(&paths)?;
    }
    match verb {
        Verb::Up(options) => up::up(&paths, &options),
        Verb::Down { keep_data } => down(&paths, keep_data),
        Verb::Status { output } => status::status(&paths, output),
        Verb::Fault(options) => cluster::fault::fault(&paths, &options),
        Verb::Test { stages } => test::test(&paths, &stages),
        Verb::Check => check::check(&paths, true),
        Verb::Coverage(options) => coverage::coverage(&paths, options),
        Verb::Scan => scan::scan(&paths),
        Verb::Rows(options) => rows::rows(&paths, &options),
        Verb::Codegen => codegen::codegen(&paths),
        Verb::Image { profile, stage: Some(folder) } => image::stage_into(&paths, profile, &folder),
        Verb::Image { profile, stage: None } => image(&paths, profile),
        Verb::Attack(options) => attack::attack(&paths, &options),
        Verb::Bench(benchmark) => bench::bench(&paths, &benchmark),
        Verb::Env => test::print_environment(&paths),
        Verb::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "cargo-xtask", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn down(paths: &Paths, keep_data: bool) -> Result<()> {
    let differences = cluster::down(paths, keep_data)?;
    if !differences.is_empty() {
        progress::note("the host differs from its state before `up` (other programs may have changed it since):");
    }
    for line in &differences {
        progress::note(line);
    }
    Ok(())
}

fn image(paths: &Paths, profile: image::Profile) -> Result<()> {
    let images = image::build_all(paths, profile)?;
    if cluster::is_up(paths) {
        image::import_all(paths, &images)?;
    }
    for (name, archive) in &images.archives {
        println!("{name} {}", archive.display());
    }
    Ok(())
}
