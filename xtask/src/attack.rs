//! Hostile clients against the services as processes of their own with a real PostgreSQL, on the loopback interface: what
//! each attack costs in memory, and how long an honest newcomer waits meanwhile. Needs no cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::environment::Paths;
use crate::image::{self, Profile};
use crate::progress::{note, stage};

mod assaults;
mod client;
mod report;
pub mod shop;

use assaults::Assault;
use report::{Row, table};
use shop::Shop;

/// Most memory of any process, in KiB.
const MEMORY_KIB_MAX: u64 = 64 << 10;
/// How long after the last attack, and most memory of any process then, in KiB.
const REST: Duration = Duration::from_secs(30);
const RESTED_KIB_MAX: u64 = 32 << 10;
/// Longest wait of a newcomer's read.
const NEWCOMER_MAX: Duration = Duration::from_millis(250);
/// How many times longer than at rest half of the honest logins may take while others guess.
const LOGIN_FACTOR_MAX: f64 = 3.0;

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Cargo profile of the services
    #[arg(long, value_enum, default_value = "release")]
    profile: Profile,
}

/// Runs every attack and prints a table in Markdown. Fails if a figure is missed.
pub fn attack(paths: &Paths, options: &Options) -> Result<()> {
    stage("compile the services", || image::compile_one(paths, options.profile, "agora"))?;
    let folder = tempfile::tempdir()?;
    let binary = image::binary(paths, options.profile, "agora");
    let shop = stage("start PostgreSQL and the services", || Shop::start(paths, &binary, folder.path()))?;
    note("other work on this machine falsifies the waits");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = Vec::new();
    for assault in Assault::ALL {
        let row = stage(assault.name(), || runtime.block_on(run(&shop, assault)))?;
        note(&row.outcome);
        rows.push(row);
    }
    rows.push(stage("rest", || rested(&shop))?);
    println!("{}", table(&rows, &shop.names()));
    let missed: Vec<&str> = rows.iter().filter(|row| !row.holds()).map(|row| row.name).collect();
    if !missed.is_empty() {
        bail!("figures were missed: {}", missed.join(", "));
    }
    Ok(())
}

async fn run(shop: &Shop, assault: Assault) -> Result<Row> {
    shop.reset_peaks()?;
    let ended = Arc::new(Notify::new());
    // A task of its own: within that of the attackers, newcomers would wait for their thousands.
    let mut newcomers = JoinSet::new();
    newcomers.spawn(client::newcomers(shop.gateway, ended.clone()));
    let outcome = assault.run(shop).await;
    ended.notify_one();
    let waits = newcomers.join_next().await.context("no newcomer")??;
    let outcome = outcome?;
    Ok(Row {
        name: assault.name(),
        memory_kib: shop.peaks_kib()?,
        memory_kib_max: MEMORY_KIB_MAX,
        newcomer_max: waits?,
        login: outcome.login,
        outcome: outcome.text,
    })
}

/// What memory the processes keep.
fn rested(shop: &Shop) -> Result<Row> {
    std::thread::sleep(REST);
    Ok(Row {
        name: "memory 30 s later",
        memory_kib: shop.resident_kib()?,
        memory_kib_max: RESTED_KIB_MAX,
        newcomer_max: Duration::ZERO,
        login: None,
        outcome: "nothing".to_owned(),
    })
}
