//! Every way to build, run and check this project: `cargo xtask <verb>`. One arm a verb, nothing else.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

mod bench;
mod check;
mod checkout;
mod cluster;
mod codegen;
mod command;
mod environment;
mod image;
mod layers;
mod licences;
mod progress;
mod status;
mod target;
mod test;
mod tidy;
mod up;
mod workspace;

use environment::Places;

/// Every way to build, run and check Agora.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a real Kubernetes here, install the operator, and buy something from the shop that it builds
    ///
    /// Needs root on a Linux machine, 6 GiB of memory and 15 GiB of disk; no Docker. Run it again after an edit or a
    /// failure: it goes on where it stopped and repairs what was killed. With --context it uses a cluster of your
    /// kubeconfig instead (kind, k3d, minikube, or with --yes a remote one) and starts none.
    Up(up::Options),
    /// End the local cluster and leave the host as it was
    Down {
        /// Keep databases, topics and the cluster's objects for the next `up`
        #[arg(long)]
        keep_data: bool,
    },
    /// What runs here, and how to reach it
    Status {
        /// `json` gives {gateway, kubeconfig, namespace, marketplace, admin: {email, password}}
        #[arg(short, long, value_enum, default_value = "text")]
        output: status::Output,
    },
    /// Take a data service of the local cluster away for a while, to see what the shop does
    Fault(cluster::fault::Options),
    /// Run all tests, or only these stages, and print the time of each
    Test {
        #[arg(value_enum)]
        stages: Vec<test::Stage>,
    },
    /// Format, lints, layers, house rules, licences, generated files: the first stage of `test`
    Check,
    /// Rewrite every generated file: CRD, chart copy, snapshots, samples, migration copies
    Codegen,
    /// Build both images and load them into the local cluster where it is up
    Image {
        /// How the binaries are compiled
        #[arg(long, value_enum, default_value = "ci")]
        profile: image::Profile,
        /// Only stage binaries and libraries into this folder, for `docker build` or Tilt
        #[arg(long, value_name = "FOLDER")]
        stage: Option<std::path::PathBuf>,
    },
    /// Measure one of the project's figures on the shop that `up` made
    #[command(subcommand)]
    Bench(bench::Figure),
    /// Print the variables that tests and kubectl need: eval "$(cargo xtask env)"
    Env,
    /// Print a completion script: cargo xtask completion bash > /etc/bash_completion.d/cargo-xtask
    Completion {
        /// For which shell
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
    /// Whether Cargo is asked to compile the project.
    const fn compiles(&self) -> bool {
        use Verb::{Bench, Check, Codegen, Image, Test, Up};
        matches!(self, Up(_) | Test { .. } | Check | Codegen | Image { .. } | Bench(_))
    }
}

fn perform() -> Result<()> {
    let verb = Arguments::parse().verb;
    let places = Places::find()?;
    if verb.compiles() {
        checkout::take_build_output(&places)?;
    }
    match verb {
        Verb::Up(options) => up::up(&places, &options),
        Verb::Down { keep_data } => down(&places, keep_data),
        Verb::Status { output } => status::status(&places, output),
        Verb::Fault(options) => cluster::fault::fault(&places, &options),
        Verb::Test { stages } => test::test(&places, &stages),
        Verb::Check => check::check(&places),
        Verb::Codegen => codegen::codegen(&places),
        Verb::Image { profile, stage: Some(folder) } => image::stage_into(&places, profile, &folder),
        Verb::Image { profile, stage: None } => image(&places, profile),
        Verb::Bench(figure) => bench::bench(&places, &figure),
        Verb::Env => test::print_environment(&places),
        Verb::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "cargo-xtask", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn down(places: &Places, keep_data: bool) -> Result<()> {
    let differences = cluster::down(places, keep_data)?;
    if !differences.is_empty() {
        progress::note("differs from the host before `up` (others may have changed it since):");
    }
    for line in &differences {
        progress::note(line);
    }
    Ok(())
}

fn image(places: &Places, profile: image::Profile) -> Result<()> {
    let images = image::build_all(places, profile)?;
    if cluster::is_up(places) {
        image::import_all(places, &images)?;
    }
    for (name, archive) in &images.archives {
        println!("{name} {}", archive.display());
    }
    Ok(())
}
