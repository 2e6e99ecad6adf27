//! Faults of the local cluster's data services, for tests and for whoever wants to see what a shop does meanwhile.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::cluster::data;
use crate::cluster::processes::{self, Daemon};
use crate::environment::Places;
use crate::progress::step;

const SECONDS_MAX: u64 = 300;
const END_SECONDS_MAX: u64 = 30;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Which data service of the local cluster
    service: Service,
    /// For how long, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// It goes quiet instead of away: connections stay open, and nobody answers
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

    /// PostgreSQL's immediate shutdown writes no checkpoint and cuts every session, as a crash does; after a SIGKILL its
    /// helpers would outlive it for a while and hold the data folder (PostgreSQL's documentation, "Shutting Down the
    /// Server").
    const fn crash(self) -> &'static str {
        match self {
            Self::Postgres => "QUIT",
            Self::Kafka | Self::Redis => "KILL",
        }
    }
}

/// Takes a data service away, or lets it go quiet, and brings it back as it was.
pub fn fault(places: &Places, options: &Options) -> Result<()> {
    let (name, time) = (options.service.name(), Duration::from_secs(options.seconds));
    if options.quiet {
        return step(&format!("{name} is quiet"), || quiet(places, name, time));
    }
    let ended = step(&format!("{name} ends"), || {
        processes::end(places, name, options.service.crash(), Duration::from_secs(END_SECONDS_MAX))
    });
    let command = ended?;
    step(&format!("{name} is away"), || {
        std::thread::sleep(time);
        Ok(())
    })?;
    step(&format!("{name} is back"), || {
        processes::ensure(places, &Daemon::new(name, command))?;
        data::wait(places)
    })
}

fn quiet(places: &Places, name: &str, time: Duration) -> Result<()> {
    let pid =
        processes::alive(places, name).with_context(|| format!("{name} does not run; start it: cargo xtask up"))?;
    processes::signal("STOP", pid)?;
    std::thread::sleep(time);
    processes::signal("CONT", pid)
}
