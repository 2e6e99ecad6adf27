//! Outages of the local cluster's data services, for end-to-end tests and manual experiments. Must not depend on
//! Kubernetes.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::cluster::data;
use crate::cluster::processes::{self, Daemon};
use crate::environment::Paths;
use crate::progress::step;

const SECONDS_MAX: u64 = 300;
const END_SECONDS_MAX: u64 = 30;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Data service of the local cluster
    service: Service,
    /// Duration of the outage in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// Suspend the process (SIGSTOP) instead of ending it: connections stay open, requests get no response
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    Postgres,
    Kafka,
    Redis,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Redis => "redis",
        }
    }

    /// Signal that ends the service like a crash. PostgreSQL's immediate shutdown (SIGQUIT) writes no checkpoint and
    /// closes every session; after SIGKILL its child processes would still use the data folder for a while
    /// (PostgreSQL's documentation, "Shutting Down the Server").
    const fn crash(self) -> &'static str {
        match self {
            Self::Postgres => "QUIT",
            Self::Kafka | Self::Redis => "KILL",
        }
    }
}

/// Ends or suspends a data service for the given time, then starts or resumes it.
pub fn fault(paths: &Paths, options: &Options) -> Result<()> {
    let (name, time) = (options.service.name(), Duration::from_secs(options.seconds));
    if options.quiet {
        return step(&format!("suspend {name}"), || quiet(paths, name, time));
    }
    let ended = step(&format!("end {name}"), || {
        processes::end(paths, name, options.service.crash(), Duration::from_secs(END_SECONDS_MAX))
    });
    let command = ended?;
    step(&format!("{name} is down"), || {
        std::thread::sleep(time);
        Ok(())
    })?;
    step(&format!("start {name}"), || {
        processes::ensure(paths, &Daemon::new(name, command))?;
        data::wait(paths)
    })
}

fn quiet(paths: &Paths, name: &str, time: Duration) -> Result<()> {
    let pid =
        processes::alive(paths, name).with_context(|| format!("{name} does not run; start it: cargo xtask up"))?;
    processes::signal("STOP", pid)?;
    std::thread::sleep(time);
    processes::signal("CONT", pid)
}
