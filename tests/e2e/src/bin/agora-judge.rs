//! `agora-judge HISTORY EVIDENCE RESIDUE`: judges what `agora-shopper run` wrote, with the tables and topics of the shop
//! that `cargo xtask up` made, and with what lies beside it, as `cargo xtask bench orders` found it.

use std::{fs::File, io::BufReader, process::ExitCode, time::Duration};

use agora_e2e::{
    at_rest,
    cluster::{Cluster, SECRET, text},
    market::Market,
    settings::POSTGRES_PORT,
    tables::Tables,
};
use agora_shopper::{
    checker::{Evidence, Residue, check},
    history,
};
use agora_vocab::Secret;
use anyhow::{Context, bail};
use base64::Engine as _;
use serde_json::Value;

const NAMESPACE: &str = "shop";
const MARKETPLACE: &str = "shop";
const ADMIN_SECRET: &str = "postgres-admin";
const PATIENCE: Duration = Duration::from_mins(1);
const SHOWN_MAX: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    match judge().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("agora-judge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn judge() -> anyhow::Result<bool> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [history, evidence, residue] = files.as_slice() else { bail!("usage: agora-judge HISTORY EVIDENCE RESIDUE") };
    let history = history::read(open(history)?)?;
    let by_api: Evidence = serde_json::from_reader(open(evidence)?)?;
    let residue: Residue = serde_json::from_reader(open(residue)?)?;
    let evidence = at_rest::complete(&tables().await?, Evidence { residue, ..by_api }, PATIENCE).await?;
    let violations = check(&history, &evidence);
    for violation in violations.iter().take(SHOWN_MAX) {
        println!("{violation}");
    }
    let Evidence { orders, payments, stock, ledger, outbox, topics, residue, .. } = &evidence;
    println!(
        "judged {} requests, {} orders, {} payments, {} products, {} ledger entries, {} facts, {} events, {} children: \
         {} violations",
        history.len(),
        orders.len(),
        payments.len(),
        stock.len(),
        ledger.len(),
        outbox.len(),
        topics.len(),
        residue.found.len(),
        violations.len()
    );
    // An empty list proves nothing, and would pass.
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
