//! Every way to build, run and check this project: `cargo xtask <verb>`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

mod cluster;
mod command;
mod environment;
mod image;
mod progress;

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
    /// Start a real Kubernetes here, install the operator, and buy something from the shop it builds
    Up {
        /// Only the cluster and its data services: no operator, no shop
        #[arg(long)]
        only_cluster: bool,
    },
    /// End the local cluster and leave the host as it was
    Down {
        /// Keep databases, topics and the cluster's objects for the next `up`
        #[arg(long)]
        keep_data: bool,
    },
    /// Print a completion script: cargo xtask completion bash > /etc/bash_completion.d/cargo-xtask
    Completion { shell: Shell },
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

fn perform() -> Result<()> {
    let places = Places::find()?;
    match Arguments::parse().verb {
        Verb::Up { only_cluster: _ } => cluster::up(&places),
        Verb::Down { keep_data } => {
            for line in cluster::down(&places, keep_data)? {
                progress::note(&line);
            }
            Ok(())
        }
        Verb::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "cargo-xtask", &mut std::io::stdout());
            Ok(())
        }
    }
}
