//! The binary of all services: serves them, migrates their databases, seeds a catalog, and decides on dead letters.
//!
//! Contains the command line only; depends on no internals of a service.

mod admin_client;
mod dlq;
mod mailbox;
mod migrate;
mod probe;
mod replay;
mod seed;
mod services;
mod verify;

use std::{io, net::IpAddr, process::ExitCode};

use agora_events::{Topic, topics};
use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use replay::{Plan, Projection};
use tikv_jemallocator::Jemalloc;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Returns the memory of a burst to the node, with the settings of `.cargo/config.toml`; glibc keeps it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// A marketplace's services in one binary.
#[derive(Debug, Parser)]
#[command(name = "agora", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve one service, several, or all of them in one process
    ///
    /// Settings come from the environment; <SERVICE>_<NAME> wins over <NAME>. Shuts down gracefully on SIGTERM.
    Serve {
        /// Services by name, or `all`
        #[arg(required = true, value_parser = services::names())]
        services: Vec<String>,
    },
    /// Bring the databases of services to what this build needs
    ///
    /// Reads DATABASE_URL or DATABASE_URL_FILE; <SERVICE>_DATABASE_URL wins. Repeating it changes nothing.
    Migrate {
        /// Services by name, or `all`
        #[arg(required = true, value_parser = services::names())]
        services: Vec<String>,
    },
    /// Fill the catalog with 500 products in three languages and two currencies through the public API
    ///
    /// Logs in as an admin with AGORA_ADMIN_PASSWORD (or AGORA_ADMIN_PASSWORD_FILE). Products whose SKU exists do not
    /// change.
    Seed {
        /// The gateway's address
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
        url: String,
        /// The admin's e-mail address; that of AGORA_ADMIN_EMAIL if absent
        #[arg(long, value_name = "EMAIL")]
        email: Option<String>,
    },
    /// Send archived events to their topics again, or apply them to a projection
    ///
    /// Reads the archive of ARCHIVE_URL. Consumers recognise the events that they have handled, so that a replay changes
    /// only what was lost; no mail is sent and no money moved again. Repeating it is safe. Events that are older than 13 days
    /// can only be applied to a projection.
    Replay {
        /// Time of the first event, like 2026-11-29T23:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: OffsetDateTime,
        /// Events before this time
        #[arg(long, value_name = "TIME", value_parser = time)]
        to: OffsetDateTime,
        /// A topic, like order-events; may be repeated. All but the dead letters if absent
        #[arg(long = "topic", value_parser = topic)]
        topics: Vec<Topic>,
        /// Apply the events to this projection, whose service's settings are read, and send none. An event changes nothing
        /// that is newer
        #[arg(long, value_enum, conflicts_with = "topics")]
        into: Option<Projection>,
        /// Count the events and send none
        #[arg(long)]
        dry_run: bool,
    },
    /// Compare stored records with the events that they result from
    ///
    /// Reads DATABASE_URL or DATABASE_URL_FILE; ORDER_DATABASE_URL wins. Changes nothing, and may run while the services do.
    /// Prints the ids of records that differ, at most 100, and exits with 1 if there are any.
    Verify {
        /// The records
        records: Records,
    },
    /// List, show, replay or discard dead letters: messages and mails that services gave up
    ///
    /// Logs in like `seed`.
    Dlq {
        /// The gateway's address
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000", global = true)]
        url: String,
        #[command(subcommand)]
        action: dlq::Action,
    },
    /// Take every mail of a shop under development, deliver none, and show them over HTTP
    Mailbox {
        /// The address to listen on
        #[arg(long, default_value = "127.0.0.1")]
        address: IpAddr,
        /// The port for mails
        #[arg(long, default_value_t = 1025)]
        smtp_port: u16,
        /// The port for people
        #[arg(long, default_value_t = 8025)]
        http_port: u16,
    },
    /// Exit with 0 if an address answers with success, such as that of a ready process
    Probe {
        /// The address
        #[arg(value_name = "URL", default_value = "http://127.0.0.1:9090/readyz")]
        url: String,
    },
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// What `agora verify` compares.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Records {
    /// Every order with its history
    Orders,
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Serve { services } => {
            agora_chassis::run(services::chosen(&services).map(services::Entry::service).collect())
        }
        Verb::Migrate { services } => on_runtime(migrate::run(services::chosen(&services))),
        Verb::Seed { url, email } => on_runtime(seed::run(&url, email.as_deref())),
        Verb::Replay { from, to, topics, into, dry_run } => {
            on_runtime(replay::run(&Plan { from, to, topics, into, dry_run }))
        }
        Verb::Verify { records: Records::Orders } => on_runtime(verify::orders()),
        Verb::Dlq { url, action } => on_runtime(dlq::run(&url, action)),
        Verb::Mailbox { address, smtp_port, http_port } => on_runtime(mailbox::run(address, smtp_port, http_port)),
        Verb::Probe { url } => on_runtime(probe::run(&url)),
        Verb::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "agora", &mut io::stdout());
            Ok(())
        }
    }
}

/// Runs a command on one thread.
fn on_runtime(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the async runtime")?;
    runtime.block_on(command)
}

fn time(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "must be a time like 2026-11-29T23:00:00Z".to_owned())
}

fn topic(name: &str) -> Result<Topic, String> {
    let names = topics::ALL.map(Topic::name).join(", ");
    topics::named(name).ok_or_else(|| format!("must be one of {names}"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::{Cli, Verb};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_unknown_service_is_rejected_with_the_list_of_known_ones() {
        let cli = Cli::try_parse_from(["agora", "serve", "user", "gateway"]).unwrap();
        assert!(matches!(cli.verb, Verb::Serve { services } if services == ["user", "gateway"]));
        let refused = Cli::try_parse_from(["agora", "serve", "basket"]).unwrap_err().to_string();
        assert!(refused.contains("gateway, user, catalog"), "{refused}");
        assert!(Cli::try_parse_from(["agora", "migrate"]).is_err());
    }

    #[test]
    fn a_replay_needs_two_times_and_known_topics() {
        let with = |more: &[&str]| {
            Cli::try_parse_from([&["agora", "replay", "--from", "2026-11-29T23:00:00Z", "--to"][..], more].concat())
        };
        assert!(with(&["2026-11-30T23:00:00+01:00", "--topic", "order-events", "--dry-run"]).is_ok());
        assert!(with(&["tomorrow"]).unwrap_err().to_string().contains("must be a time like"));
        let unknown = with(&["2026-11-30T23:00:00Z", "--topic", "orders"]).unwrap_err().to_string();
        assert!(unknown.contains("order-events"), "{unknown}");
        assert!(with(&["2026-11-30T23:00:00Z", "--into", "recommendation"]).is_ok());
        assert!(
            with(&["2026-11-30T23:00:00Z", "--into", "payment"]).unwrap_err().to_string().contains("recommendation")
        );
        assert!(with(&["2026-11-30T23:00:00Z", "--into", "recommendation", "--topic", "order-events"]).is_err());
    }
}
