//! The same visits of the same number of shoppers in Agora and in Vendure, one after the other on this machine: complete
//! orders per second, CPU time per order by part, and what each sells of few units to many buyers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cpu::{CpuSnapshot, Group, Part, PartSeconds, Roots};
use super::orders::bought_between;
use super::pinned::Pinned;
use super::running_load::RunningLoad;
use super::shoppers::Bench;
use super::table::{Measurement, render};
use crate::command::{command, output, stream};
use crate::environment::Paths;
use crate::progress::stage;
use crate::target::Target;
use crate::up::GATEWAY;

mod vendure;

use vendure::{DATABASE, SHOP_API, Vendure};

/// Seconds of the load before the measured time: connections open, caches fill, Node.js compiles.
const WARM_UP_SECONDS: u32 = 15;
/// Units of each product before the load; more than any of these shops can sell in the time.
const STOCK: u32 = 5_000;
/// Time for work that follows the import of the products: the search index.
const SETTLE: Duration = Duration::from_secs(10);
/// SKU of the product of the rush in Vendure. In Agora the load generator creates one.
const RUSH_SKU: &str = "RUSH-1";
const RUSH_CENTS: u32 = 999;
/// Products of a page of the catalog, and the most pages that are read.
const PAGE_PRODUCTS: usize = 100;
const PAGES_MAX: usize = 100;
const CENTS_PER_UNIT: i64 = 100;

/// What `bench peer` measures.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub shoppers: u32,
    pub seconds: u32,
    pub buyers: u32,
    pub units: u32,
}

/// Result for one shop.
struct Outcome {
    load: Measurement,
    report: Value,
    rush: Value,
}

pub fn measure(paths: &Paths, target: &Target, plan: Plan) -> Result<()> {
    let bench = Bench::prepare(paths, target)?;
    let folder = vendure::install(paths)?;
    let pinned = Pinned::pin(target)?;
    let products = products(plan.units)?;
    let agora = stage("measure Agora", || agora(&bench, plan))?;
    let vendure = stage("measure Vendure", || vendure(&bench, &folder, &products, plan))?;
    drop(pinned);
    println!("\n{}", render(&[agora.load, vendure.load], false));
    println!("{:<44} {:>14} {:>14}", "", "Agora", "Vendure");
    let row = |name: &str, value: &dyn Fn(&Value) -> String, of: [&Value; 2]| {
        println!("{name:<44} {:>14} {:>14}", value(of[0]), value(of[1]));
    };
    let (reports, rushes) = ([&agora.report, &vendure.report], [&agora.rush, &vendure.rush]);
    row("visits that ended without a paid order", &|of| failed(of).to_string(), reports);
    row(&format!("sold of {} units to {} buyers", plan.units, plan.buyers), &|of| of["sold"].to_string(), rushes);
    row("rejected as sold out", &|of| of["tooLate"].to_string(), rushes);
    row("other outcomes", &|of| of["other"].to_string(), rushes);
    row("time until the last final answer", &seconds_of_last, rushes);
    Ok(())
}

fn agora(bench: &Bench, plan: Plan) -> Result<Outcome> {
    let mut load = with_amount(bench.shopper("closed")?, plan);
    load.args(["--restock", &STOCK.to_string()]);
    let (load, report) = measure_load(bench, load, plan, "Agora", &Roots::new(), |_| true)?;
    let mut rush = bench.shopper("rush")?;
    rush.args(["--buyers", &plan.buyers.to_string(), "--units", &plan.units.to_string()]);
    stream(&mut rush)?;
    Ok(Outcome { load, report, rush: bench.report()? })
}

fn vendure(bench: &Bench, folder: &Path, products: &Value, plan: Plan) -> Result<Outcome> {
    let shop = Vendure::start(bench.paths, folder, products)?;
    std::thread::sleep(SETTLE);
    let mut load = with_amount(bench.shopper_at("closed", SHOP_API), plan);
    load.arg("--vendure");
    let (load, report) = measure_load(bench, load, plan, "Vendure", &shop.roots, belongs_to_vendure)?;
    let mut rush = bench.shopper_at("vendure-rush", SHOP_API);
    rush.args(["--sku", RUSH_SKU, "--buyers", &plan.buyers.to_string(), "--units", &plan.units.to_string()]);
    stream(&mut rush)?;
    let rush = bench.report()?;
    drop(shop);
    Ok(Outcome { load, report, rush })
}

fn with_amount(mut load: Command, Plan { shoppers, seconds, .. }: Plan) -> Command {
    load.args(["--shoppers", &shoppers.to_string(), "--seconds", &seconds.to_string()]);
    load
}

/// Runs the load, and measures the CPU time of the parts that take part in it.
fn measure_load(
    bench: &Bench,
    mut load: Command,
    plan: Plan,
    title: &str,
    roots: &Roots,
    takes_part: fn(&Part) -> bool,
) -> Result<(Measurement, Value)> {
    let mut load = RunningLoad::start(&mut load)?;
    let seconds = WARM_UP_SECONDS..plan.seconds - 1;
    load.sleep_until(seconds.start)?;
    let before = CpuSnapshot::take(bench.paths, roots)?;
    load.sleep_until(seconds.end)?;
    let (wall, used) = CpuSnapshot::take(bench.paths, roots)?.since(&before);
    load.finish()?;
    let report = bench.report()?;
    let used: PartSeconds = used.into_iter().filter(|(part, _)| takes_part(part)).collect();
    let mut measurement = Measurement::new(title, bought_between(&report, &seconds), wall);
    measurement.add_cpu(wall, used);
    Ok((measurement, report))
}

/// Agora's services, its databases and Kafka are idle while Vendure is measured.
fn belongs_to_vendure(part: &Part) -> bool {
    match part.group {
        Group::Vendure | Group::Rest => true,
        Group::Postgres => part.name == DATABASE || part.name == "background",
        Group::Services | Group::Kafka => false,
    }
}

fn failed(report: &Value) -> u64 {
    let count = |name: &str| report[name].as_u64().unwrap_or_default();
    count("visits").saturating_sub(count("bought"))
}

fn seconds_of_last(rush: &Value) -> String {
    format!("{:.2} s", rush["lastMs"].as_f64().unwrap_or(f64::NAN) / 1_000.0)
}

/// The products of Agora's catalog in the form that `shop.js` imports, and one with few units for the rush.
fn products(units: u32) -> Result<Value> {
    let mut products = for_import(&catalog()?)?;
    products.push(json!({"sku": RUSH_SKU, "name": "Rush", "description": "", "cents": RUSH_CENTS, "stock": units}));
    Ok(Value::Array(products))
}

/// All products of Agora's catalog, so that both shops sell the same ones.
fn catalog() -> Result<Vec<Value>> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let url = format!("{GATEWAY}/api/v1/products?limit={PAGE_PRODUCTS}{cursor}");
        let page = output(&mut command("curl", ["-sf", "-m", "10", &url]))?;
        let page: Value = serde_json::from_str(&page).context("parsing the list of products")?;
        items.extend(page["items"].as_array().context("the list of products has no items")?.iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(items),
        }
    }
    bail!("Agora's catalog has more than {} products: compare the shops with fewer", PAGES_MAX * PAGE_PRODUCTS)
}

fn for_import(items: &[Value]) -> Result<Vec<Value>> {
    if items.is_empty() {
        bail!("Agora's catalog is empty; run `cargo xtask up`");
    }
    let one = |item: &Value| {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let cents = item["price"]["amount"].as_i64().filter(|cents| *cents > 0).unwrap_or(CENTS_PER_UNIT);
        let sku = if text("sku").is_empty() { text("id") } else { text("sku") };
        json!({"sku": sku, "name": text("name"), "description": text("description"), "cents": cents, "stock": STOCK})
    };
    Ok(items.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_keep_their_sku_name_and_price() {
        let items = [json!({"id": "1", "sku": "A-1", "name": "Lamp", "price": {"amount": 7990, "currency": "EUR"}})];
        let made = for_import(&items).unwrap();
        assert_eq!(made, [json!({"sku": "A-1", "name": "Lamp", "description": "", "cents": 7990, "stock": STOCK})]);
        assert!(for_import(&[]).is_err());
    }

    #[test]
    fn only_parts_that_serve_vendure_count_for_it() {
        assert!(belongs_to_vendure(&Part::new(Group::Postgres, DATABASE)));
        assert!(belongs_to_vendure(&Part::new(Group::Vendure, "server")));
        assert!(!belongs_to_vendure(&Part::new(Group::Postgres, "order")));
        assert!(!belongs_to_vendure(&Part::new(Group::Services, "order")));
    }
}
