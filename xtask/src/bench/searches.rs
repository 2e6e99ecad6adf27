//! What searches of anybody cost those who order: latency of `POST /orders` with and without searches in a loop, over a large
//! catalog. The products are rows of the catalog's database without stock, and are removed at the end.

use std::fs::File;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::pinned::Pinned;
use super::shoppers::Bench;
use super::statements::psql;
use super::{print, quantile};
use crate::cluster::tools;
use crate::command::{command, feed, stream};
use crate::environment::Paths;
use crate::progress::{note, step};
use crate::target::Target;
use crate::up::GATEWAY;

const NEEDS: [tools::Need; 1] = [("curl", "curl")];
const DATABASE: &str = "shop_shop_catalog";
/// The seller of the products that are removed at the end.
const SELLER: &str = "0000feed-0000-7000-8000-000000000000";
/// Orders that restock the products before the catalog is filled, and their duration: they are not measured.
const WARM_UP: (u32, u32) = (5, 5);
/// The target: with searches, an order takes at most this many times as long.
const RATIO_MAX: f64 = 1.5;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Products beside those of the seed.
    pub products: u32,
    /// Searches in a loop at the same time.
    pub searches: u32,
    /// Orders started per second.
    pub rate: u32,
    /// Duration of each load.
    pub seconds: u32,
    /// Pairs of loads, without and with searches.
    pub tries: u32,
}

pub fn measure(paths: &Paths, target: &Target, plan: Plan) -> Result<()> {
    let Plan { products, searches, rate, seconds, tries } = plan;
    tools::install(&NEEDS)?;
    let bench = Bench::prepare(paths, target)?;
    let pinned = Pinned::pin(target)?;
    let mut run = bench.shopper("place")?;
    Bench::add_load_profile(&mut run, WARM_UP.0, WARM_UP.1);
    stream(&mut run)?;
    let filled = Filled::fill(paths, products)?;
    let mut ratios = Vec::new();
    for _ in 0..tries {
        let without = order_p50(&bench, rate, seconds)?;
        let searching = Searching::start(&bench, searches)?;
        let with = order_p50(&bench, rate, seconds);
        let answers = searching.end()?;
        let with = with?;
        print(&format!("POST /orders p50 at {rate}/s"), &format!("{without:.1} ms"), "-");
        print(&format!("the same with {searches} searches in a loop"), &format!("{with:.1} ms"), "-");
        print("searches answered with 200, of all", &format!("{} of {}", answers.0, answers.1), "all");
        ratios.push(with / without);
    }
    drop(filled);
    drop(pinned);
    ratios.sort_by(f64::total_cmp);
    let median = quantile(&ratios, 0.5);
    let range = format!("{:.2}, {:.2} to {:.2}", median, quantile(&ratios, 0.0), quantile(&ratios, 1.0));
    print(&format!("p50 with searches over {products} products, times"), &range, &format!("{RATIO_MAX}"));
    ensure!(median <= RATIO_MAX, "searches slow orders down {median:.2} times");
    Ok(())
}

/// The median latency of `POST /orders` under a load, in milliseconds.
fn order_p50(bench: &Bench<'_>, rate: u32, seconds: u32) -> Result<f64> {
    let mut run = bench.shopper("place")?;
    Bench::add_load(&mut run, rate, seconds);
    stream(&mut run)?;
    bench.report()?["requests"]["order"]["p50Ms"].as_f64().context("the report has no median of orders")
}

/// A catalog with more products, which are removed when this value is dropped.
struct Filled<'a>(&'a Paths);

impl<'a> Filled<'a> {
    fn fill(paths: &'a Paths, products: u32) -> Result<Self> {
        // Older than those of the seed, so that the list of the newest products stays as it is.
        let fill = format!(
            "\\connect {DATABASE}\n\
             insert into product (id, seller_id, version, name, name_key, description, price_amount, price_currency, category, \
                 created_at) \
             select gen_random_uuid(), '{SELLER}', 1, 'Lamp ' || n, 'lamp ' || n, md5(n::text) || ' of wood and wool', n, 'EUR', \
                 'c' || n % 200, '2000-01-01' from generate_series(1, {products}) as n;\n\
             vacuum analyze product;\n"
        );
        let filled = Self(paths);
        step(&format!("add {products} products"), || feed(&mut psql(paths)?, &fill).map(drop))?;
        Ok(filled)
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        let remove = format!(
            "\\connect {DATABASE}\ndelete from product where seller_id = '{SELLER}';\nvacuum analyze product;\n"
        );
        let removed = step("remove the products", || feed(&mut psql(self.0)?, &remove).map(drop));
        if let Err(error) = removed {
            note(&format!("the products of seller {SELLER} stay in {DATABASE}: {error:#}"));
        }
    }
}

/// Clients that each search again as soon as they have an answer; dropped, they end.
struct Searching<'a> {
    bench: &'a Bench<'a>,
    clients: Vec<Child>,
}

impl<'a> Searching<'a> {
    fn start(bench: &'a Bench<'a>, searches: u32) -> Result<Self> {
        let mut searching = Self { bench, clients: Vec::new() };
        for number in 0..searches {
            // One connection, and another search each time: none finds anything.
            let url = format!("{GATEWAY}/api/v1/products?q=zzzz{number}[000000-999999]");
            let answers = File::create(searching.answers(number))?;
            // Its standard output is buffered, and lost when it is killed.
            let mut client = command("curl", ["-s", "-o", "/dev/null", "-w", "%{stderr}%{http_code}\n", &url]);
            let client = client.stdin(Stdio::null()).stderr(answers).spawn().context("starting curl")?;
            searching.clients.push(client);
        }
        Ok(searching)
    }

    fn answers(&self, number: u32) -> std::path::PathBuf {
        self.bench.folder.path().join(format!("searches-{number}"))
    }

    /// Ends the searches; returns how many were answered with 200, and how many in all.
    fn end(mut self) -> Result<(usize, usize)> {
        self.kill();
        let (mut found, mut all) = (0, 0);
        for number in 0..u32::try_from(self.clients.len())? {
            let text = std::fs::read_to_string(self.answers(number))?;
            all += text.lines().count();
            found += text.lines().filter(|code| *code == "200").count();
        }
        ensure!(all > 0, "no search was answered");
        Ok((found, all))
    }

    fn kill(&mut self) {
        for client in &mut self.clients {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

impl Drop for Searching<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}
