//! `agora-shopper`: places one order, runs a load profile, or checks a history. Accepts only a shop on this machine.

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
    closed::{self, ClosedLoad},
    collect, history,
    load::{AdminLogin, LoadProfile, run},
    place::{FreeUnits, place, restock},
    rush::rush,
    vendure::{self, Vendure},
};
use agora_vocab::Secret;
use anyhow::Context;
use clap::{Args, Parser, Subcommand};

const GATEWAY: &str = "http://127.0.0.1:30080";

/// Load generator and invariant checker for an Agora shop on this machine.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Register a shopper, place one order, pay it and print it
    BuyOne {
        /// URL of the shop
        #[arg(long, default_value = GATEWAY)]
        url: String,
    },
    /// Run an open-loop load of shoppers, then check all invariants
    Run(RunArguments),
    /// Place orders with an open-loop load, and cancel them afterwards
    Place {
        #[command(flatten)]
        load: LoadArguments,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Let many shoppers order a product with few units at the same moment; fails unless exactly these units are sold
    Rush {
        /// URL of the shop
        #[arg(long, default_value = GATEWAY)]
        url: String,
        /// Number of shoppers; they are registered before
        #[arg(long, default_value_t = 500)]
        buyers: u32,
        /// Units in stock
        #[arg(long, default_value_t = 10)]
        units: u32,
        #[command(flatten)]
        admin: AdminArguments,
        /// Write the result as JSON to this file
        #[arg(long)]
        report: Option<PathBuf>,
    },
    /// Let every shopper make one purchase after the other, in Agora or in Vendure
    Closed(ClosedArguments),
    /// Let many guests buy a Vendure variant with few units at the same moment
    VendureRush {
        /// URL of Vendure's shop API
        #[arg(long)]
        url: String,
        /// SKU of the variant
        #[arg(long)]
        sku: String,
        /// Number of guests
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=2000))]
        buyers: u32,
        /// Units in stock, for the report
        #[arg(long)]
        units: u32,
        /// Write the result as JSON to this file
        #[arg(long)]
        report: Option<PathBuf>,
    },
    /// Check the invariants on a history and, optionally, on the final state of the shop
    Check {
        /// History in JSON lines, as written by `run`
        #[arg(long)]
        history: PathBuf,
        /// Final state of the shop, as written by `run`
        #[arg(long)]
        evidence: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct LoadArguments {
    /// URL of the shop
    #[arg(long, default_value = GATEWAY)]
    url: String,
    /// Visits started per second
    #[arg(long)]
    rate: u32,
    /// Duration of the load
    #[arg(long)]
    seconds: u32,
    /// Number of shoppers, registered before; each makes one visit at a time
    #[arg(long)]
    shoppers: u32,
    /// Seed of the random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Add stock as the admin before the load, until each product has enough units free for it
    #[arg(long, requires = "admin_email")]
    restock: bool,
    /// Write the result as JSON to this file
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ClosedArguments {
    /// URL of the shop
    #[arg(long, default_value = GATEWAY)]
    url: String,
    /// Whether the URL is the shop API of Vendure
    #[arg(long)]
    vendure: bool,
    /// Shoppers that visit at the same time; they are registered before
    #[arg(long)]
    shoppers: u32,
    /// Duration of the load
    #[arg(long)]
    seconds: u32,
    /// Seed of the random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Add stock as the admin before the load, until each product has this many units free
    #[arg(long, requires = "admin_email", conflicts_with = "vendure")]
    restock: Option<i64>,
    #[command(flatten)]
    admin: AdminArguments,
    /// Write the result as JSON to this file
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct AdminArguments {
    /// E-mail address of the shop's admin; the password is read from AGORA_SHOP_ADMIN_PASSWORD
    #[arg(long, requires = "admin_password")]
    admin_email: Option<String>,
    #[arg(long, env = "AGORA_SHOP_ADMIN_PASSWORD", hide = true, hide_env_values = true)]
    admin_password: Option<Secret>,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    load: LoadArguments,
    /// The admin refunds payments and lists all orders; without an admin, stock is not checked
    #[command(flatten)]
    admin: AdminArguments,
    /// Make every visit the shortest complete purchase: list products, add one, order, pay, read the order
    #[arg(long)]
    only_buy: bool,
    /// Register one additional shopper per second
    #[arg(long)]
    registrations: bool,
    /// Seconds after the load within which all invariants must hold
    #[arg(long, default_value_t = 60)]
    settle_seconds: u64,
    /// Write the history to this file, and the final state of the shop to the same name with `.evidence.json`
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

/// Runs a command; returns whether it succeeded and no invariant is violated.
async fn perform(verb: Verb) -> anyhow::Result<bool> {
    match verb {
        Verb::BuyOne { url } => {
            let bought = buy_one(&Shop::at(&url)?).await?;
            println!("{}", serde_json::to_string(&bought)?);
            Ok(true)
        }
        Verb::Run(arguments) => send(arguments).await,
        Verb::Place { load, admin } => order(load, admin).await,
        Verb::Rush { url, buyers, units, admin, report } => {
            let admin = admin.login().context("a rush needs --admin-email")?;
            let result = rush(&Shop::at(&url)?, &admin, buyers, units).await?;
            println!("{}", serde_json::to_string_pretty(&result)?);
            write_report(report.as_deref(), &result)?;
            Ok(result.is_correct())
        }
        Verb::Closed(arguments) => repeat_visits(arguments).await,
        Verb::VendureRush { url, sku, buyers, units, report } => {
            let result = vendure::rush(&Vendure::at(&url)?, &sku, buyers, units).await?;
            println!("{}", serde_json::to_string_pretty(&result)?);
            write_report(report.as_deref(), &result)?;
            Ok(true)
        }
        Verb::Check { history, evidence } => {
            let records = history::read(BufReader::new(open(&history)?))?;
            let evidence = match evidence {
                Some(file) => serde_json::from_reader(BufReader::new(open(&file)?))?,
                None => Evidence::default(),
            };
            Ok(print_violations(&check(&records, &evidence)))
        }
    }
}

async fn send(arguments: RunArguments) -> anyhow::Result<bool> {
    let RunArguments { load, admin, only_buy, registrations, settle_seconds, history } = arguments;
    let admin = admin.login();
    let shop = open_shop(&load, admin.as_ref()).await?;
    let profile = LoadProfile { only_buy, registrations, ..load.profile(admin) };
    let run = run(&shop, &profile).await?;
    println!("{}", run.summary);
    write_report(load.report.as_deref(), &run.summary)?;
    if let Some(file) = &history {
        history::write(&run.history.records(), BufWriter::new(create(file)?))?;
    }
    let (evidence, violations) = collect::at_rest(&shop, &run, Duration::from_secs(settle_seconds)).await?;
    if profile.admin.is_none() {
        println!("stock is not checked without --admin-email");
    }
    if let Some(file) = history {
        serde_json::to_writer(BufWriter::new(create(&file.with_extension("evidence.json"))?), &evidence)?;
    }
    Ok(print_violations(&violations))
}

async fn repeat_visits(arguments: ClosedArguments) -> anyhow::Result<bool> {
    let ClosedArguments { url, vendure, shoppers, seconds, seed, restock, admin, report } = arguments;
    let load = ClosedLoad { shoppers, seconds, seed };
    let summary = if vendure {
        closed::vendure(&Vendure::at(&url)?, load).await?
    } else {
        let shop = Shop::at(&url)?;
        add_stock(&shop, restock.map(FreeUnits::Each), admin.login().as_ref()).await?;
        closed::agora(&shop, load).await?
    };
    println!("{summary}");
    write_report(report.as_deref(), &summary)?;
    Ok(true)
}

async fn order(load: LoadArguments, admin: AdminArguments) -> anyhow::Result<bool> {
    let shop = open_shop(&load, admin.login().as_ref()).await?;
    let summary = place(&shop, &load.profile(None)).await?;
    println!("{summary}");
    write_report(load.report.as_deref(), &summary)?;
    Ok(summary.refusals.is_empty())
}

impl LoadArguments {
    fn profile(&self, admin: Option<AdminLogin>) -> LoadProfile {
        let Self { rate, seconds, shoppers, seed, .. } = *self;
        LoadProfile { rate, seconds, shoppers, seed, only_buy: false, registrations: false, admin }
    }
}

async fn open_shop(load: &LoadArguments, admin: Option<&AdminLogin>) -> anyhow::Result<Shop> {
    let LoadArguments { rate, seconds, .. } = *load;
    let shop = Shop::at(&load.url)?;
    add_stock(&shop, load.restock.then_some(FreeUnits::ForLoad { rate, seconds }), admin).await?;
    Ok(shop)
}

async fn add_stock(shop: &Shop, units: Option<FreeUnits>, admin: Option<&AdminLogin>) -> anyhow::Result<()> {
    if let (Some(units), Some(admin)) = (units, admin) {
        println!("{} units added to stock", restock(shop, admin, units).await?);
    }
    Ok(())
}

fn write_report(report: Option<&Path>, numbers: &impl serde::Serialize) -> anyhow::Result<()> {
    match report {
        Some(file) => Ok(serde_json::to_writer(create(file)?, numbers)?),
        None => Ok(()),
    }
}

fn print_violations(violations: &[Violation]) -> bool {
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
