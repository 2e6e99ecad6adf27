//! `agora-shopper`: buys one thing, sends a crowd, or judges what a crowd saw. Only in a shop on this machine.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use agora_shopper::{
    Shop, buy_one,
    checker::{Evidence, Violation, check},
    collect, history,
    load::{AdminLogin, Load, run},
};
use agora_vocab::Secret;
use anyhow::Context;
use clap::{Args, Parser, Subcommand};

/// Shoppers of an Agora shop on this machine.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Register, fill a cart, order, pay, and read the paid order back
    BuyOne {
        /// Where the shop is
        #[arg(long, default_value = "http://127.0.0.1:30080")]
        url: String,
    },
    /// Send shoppers at a rate that does not wait for the shop, then check what they saw
    Run(RunArguments),
    /// Check a history and, where given, the shop at rest
    Check {
        /// JSON lines, as `run` writes them
        #[arg(long)]
        history: PathBuf,
        /// The shop at rest, as `run` writes it
        #[arg(long)]
        evidence: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Where the shop is
    #[arg(long, default_value = "http://127.0.0.1:30080")]
    url: String,
    /// Visits started each second
    #[arg(long)]
    rate: u32,
    /// For how long
    #[arg(long)]
    seconds: u32,
    /// Registered beforehand; each makes one visit at a time
    #[arg(long)]
    shoppers: u32,
    /// Repeats the choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every visit is cart, order, payment, receipt
    #[arg(long)]
    only_buy: bool,
    /// One more registration each second beside
    #[arg(long)]
    registrations: bool,
    /// Who refunds by hand, by e-mail; his password stands in AGORA_SHOP_ADMIN_PASSWORD
    #[arg(long, requires = "admin_password")]
    admin_email: Option<String>,
    #[arg(long, env = "AGORA_SHOP_ADMIN_PASSWORD", hide = true, hide_env_values = true)]
    admin_password: Option<Secret>,
    /// Seconds that the shop may take to settle before what is still wrong counts
    #[arg(long, default_value_t = 60)]
    settle_seconds: u64,
    /// Where to write the history; the shop at rest goes beside it, with `.evidence.json`
    #[arg(long)]
    history: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match perform(Arguments::parse().verb).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("agora-shopper: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
async fn perform(verb: Verb) -> anyhow::Result<bool> {
    match verb {
        Verb::BuyOne { url } => {
            let bought = buy_one(&Shop::at(&url)?).await?;
            println!("{}", serde_json::to_string(&bought)?);
            Ok(true)
        }
        Verb::Run(arguments) => send(arguments).await,
        Verb::Check { history, evidence } => {
            let records = history::read(BufReader::new(open(&history)?))?;
            let evidence = match evidence {
                Some(file) => serde_json::from_reader(BufReader::new(open(&file)?))?,
                None => Evidence::default(),
            };
            Ok(judge(&check(&records, &evidence)))
        }
    }
}

async fn send(arguments: RunArguments) -> anyhow::Result<bool> {
    let RunArguments { url, rate, seconds, shoppers, seed, only_buy, registrations, .. } = arguments;
    let admin = match (arguments.admin_email, arguments.admin_password) {
        (Some(email), Some(password)) => Some(AdminLogin { email, password }),
        _ => None,
    };
    let shop = Shop::at(&url)?;
    let load = Load { rate, seconds, shoppers, seed, only_buy, registrations, admin };
    let run = run(&shop, &load).await?;
    println!("{}", run.summary);
    if let Some(file) = &arguments.history {
        history::write(&run.history.records(), BufWriter::new(create(file)?))?;
    }
    let patience = Duration::from_secs(arguments.settle_seconds);
    let (evidence, violations) = collect::at_rest(&shop, &run, patience).await?;
    if let Some(file) = arguments.history {
        serde_json::to_writer(BufWriter::new(create(&file.with_extension("evidence.json"))?), &evidence)?;
    }
    Ok(judge(&violations))
}

fn judge(violations: &[Violation]) -> bool {
    for violation in violations {
        println!("{violation}");
    }
    println!("{} invariant(s) violated", violations.len());
    violations.is_empty()
}

fn open(file: &Path) -> anyhow::Result<File> {
    File::open(file).with_context(|| format!("opening {}", file.display()))
}

fn create(file: &Path) -> anyhow::Result<File> {
    File::create(file).with_context(|| format!("creating {}", file.display()))
}
