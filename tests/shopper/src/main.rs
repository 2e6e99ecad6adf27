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
    place::{place, restock},
    rush::rush,
};
use agora_vocab::Secret;
use anyhow::Context;
use clap::{Args, Parser, Subcommand};

const GATEWAY: &str = "http://127.0.0.1:30080";

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
        #[arg(long, default_value = GATEWAY)]
        url: String,
    },
    /// Send shoppers at a rate that does not wait for the shop, then check what they saw
    Run(RunArguments),
    /// Place orders at a rate that does not wait for the shop, and cancel them afterwards
    Place {
        #[command(flatten)]
        crowd: CrowdArguments,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Let many buy a product of few units at the same moment; right is that exactly these are sold
    Rush {
        /// Where the shop is
        #[arg(long, default_value = GATEWAY)]
        url: String,
        /// Registered and logged in beforehand
        #[arg(long, default_value_t = 500)]
        buyers: u32,
        /// Units that there are
        #[arg(long, default_value_t = 10)]
        units: u32,
        #[command(flatten)]
        admin: AdminArguments,
        /// Where to write the numbers, as JSON
        #[arg(long)]
        report: Option<PathBuf>,
    },
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
struct CrowdArguments {
    /// Where the shop is
    #[arg(long, default_value = GATEWAY)]
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
    /// Beforehand the admin books stock in until each product has this many units free
    #[arg(long, requires = "admin_email")]
    restock: Option<i64>,
    /// Where to write the numbers, as JSON
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct AdminArguments {
    /// The shop's admin, by e-mail; his password stands in AGORA_SHOP_ADMIN_PASSWORD
    #[arg(long, requires = "admin_password")]
    admin_email: Option<String>,
    #[arg(long, env = "AGORA_SHOP_ADMIN_PASSWORD", hide = true, hide_env_values = true)]
    admin_password: Option<Secret>,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    crowd: CrowdArguments,
    /// Refunds by hand, and sees everybody's orders: without him stock is not judged
    #[command(flatten)]
    admin: AdminArguments,
    /// Every visit is the shortest complete purchase: browse, cart, order, payment, receipt
    #[arg(long)]
    only_buy: bool,
    /// One more registration each second beside
    #[arg(long)]
    registrations: bool,
    /// Seconds that the shop may take to settle before what is still wrong counts
    #[arg(long, default_value_t = 60)]
    settle_seconds: u64,
    /// Where to write the history; the shop at rest goes beside it, with `.evidence.json`
    #[arg(long)]
    history: Option<PathBuf>,
}

impl AdminArguments {
    fn login(self) -> Option<AdminLogin> {
        Some(AdminLogin { email: self.admin_email?, password: self.admin_password? })
    }
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
        Verb::Place { crowd, admin } => order(crowd, admin).await,
        Verb::Rush { url, buyers, units, admin, report } => {
            let admin = admin.login().context("a rush needs --admin-email")?;
            let rushed = rush(&Shop::at(&url)?, &admin, buyers, units).await?;
            println!("{}", serde_json::to_string_pretty(&rushed)?);
            tell(report.as_deref(), &rushed)?;
            Ok(rushed.is_right())
        }
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
    let RunArguments { crowd, admin, only_buy, registrations, settle_seconds, history } = arguments;
    let admin = admin.login();
    let shop = open_shop(&crowd, admin.as_ref()).await?;
    let load = Load { only_buy, registrations, ..crowd.load(admin) };
    let run = run(&shop, &load).await?;
    println!("{}", run.summary);
    tell(crowd.report.as_deref(), &run.summary)?;
    if let Some(file) = &history {
        history::write(&run.history.records(), BufWriter::new(create(file)?))?;
    }
    let (evidence, violations) = collect::at_rest(&shop, &run, Duration::from_secs(settle_seconds)).await?;
    if load.admin.is_none() {
        println!("stock is not judged without --admin-email");
    }
    if let Some(file) = history {
        serde_json::to_writer(BufWriter::new(create(&file.with_extension("evidence.json"))?), &evidence)?;
    }
    Ok(judge(&violations))
}

async fn order(crowd: CrowdArguments, admin: AdminArguments) -> anyhow::Result<bool> {
    let shop = open_shop(&crowd, admin.login().as_ref()).await?;
    let summary = place(&shop, &crowd.load(None)).await?;
    println!("{summary}");
    tell(crowd.report.as_deref(), &summary)?;
    Ok(summary.refusals.is_empty())
}

impl CrowdArguments {
    fn load(&self, admin: Option<AdminLogin>) -> Load {
        let Self { rate, seconds, shoppers, seed, .. } = *self;
        Load { rate, seconds, shoppers, seed, only_buy: false, registrations: false, admin }
    }
}

async fn open_shop(crowd: &CrowdArguments, admin: Option<&AdminLogin>) -> anyhow::Result<Shop> {
    let shop = Shop::at(&crowd.url)?;
    if let (Some(units), Some(admin)) = (crowd.restock, admin) {
        println!("{} units booked in", restock(&shop, admin, units).await?);
    }
    Ok(shop)
}

fn tell(report: Option<&Path>, numbers: &impl serde::Serialize) -> anyhow::Result<()> {
    match report {
        Some(file) => Ok(serde_json::to_writer(create(file)?, numbers)?),
        None => Ok(()),
    }
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
