//! `agora-check-invariants HISTORY EVIDENCE LEFTOVERS`: checks the invariants on the files of `agora-shopper run`, on tables
//! and topics of the shop that `cargo xtask up` created, and on the leftover objects that `cargo xtask bench orders` found.

use std::{fs::File, io::BufReader, process::ExitCode, time::Duration};

use agora_e2e::{
    at_rest,
    cluster::{Cluster, SECRET, text},
    market::Market,
    settings::POSTGRES_PORT,
    tables::Tables,
};
use agora_shopper::{
    checker::{Evidence, Leftovers, check},
    history,
};
use agora_vocab::Secret;
use anyhow::{Context, bail};
use base64::Engine as _;
use serde_json::Value;

const NAMESPACE: &str = "shop";
const MARKETPLACE: &str = "shop";
const ADMIN_SECRET: &str = "postgres-admin";
const TIMEOUT: Duration = Duration::from_mins(1);
const SHOWN_MAX: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    match check_invariants().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("agora-check-invariants: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn check_invariants() -> anyhow::Result<bool> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [history, evidence, leftovers] = files.as_slice() else {
        bail!("usage: agora-check-invariants HISTORY EVIDENCE LEFTOVERS")
    };
    let history = history::read(open(history)?)?;
    let by_api: Evidence = serde_json::from_reader(open(evidence)?)?;
    let leftovers: Leftovers = serde_json::from_reader(open(leftovers)?)?;
    let evidence = at_rest::complete(&tables().await?, Evidence { leftovers, ..by_api }, TIMEOUT).await?;
    let violations = check(&history, &evidence);
    for violation in violations.iter().take(SHOWN_MAX) {
        println!("{violation}");
    }
    let Evidence { orders, payments, stock, ledger, outbox, topics, leftovers, .. } = &evidence;
    println!(
        "checked {} requests, {} orders, {} payments, {} products, {} ledger entries, {} committed events, {} delivered events, {} child objects: \
         {} violations",
        history.len(),
        orders.len(),
        payments.len(),
        stock.len(),
        ledger.len(),
        outbox.len(),
        topics.len(),
        leftovers.found.len(),
        violations.len()
    );
    // Invariants on an empty list are not checked, so an empty list is a failure.
    Ok(violations.is_empty() && !orders.is_empty() && !stock.is_empty() && !topics.is_empty())
}

async fn tables() -> anyhow::Result<Tables> {
    let cluster = Cluster::connect(NAMESPACE).await?;
    let secret = cluster.get(SECRET, ADMIN_SECRET).await?;
    let secret = secret.with_context(|| format!("no Secret {NAMESPACE}/{ADMIN_SECRET}"))?;
    let market = Market { cluster, name: MARKETPLACE.to_owned() };
    let password = Secret::new(field(&secret, "password")?);
    Ok(Tables { user: field(&secret, "username")?, password, port: POSTGRES_PORT, market })
}

fn field(secret: &Value, key: &str) -> anyhow::Result<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text(&secret["data"][key]))?;
    Ok(String::from_utf8(bytes)?)
}

fn open(file: &str) -> anyhow::Result<BufReader<File>> {
    Ok(BufReader::new(File::open(file).with_context(|| format!("opening {file}"))?))
}
