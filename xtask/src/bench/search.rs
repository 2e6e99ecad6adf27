//! Latency of the search over a filled catalog. Needs no cluster: starts the release binary with a PostgreSQL of its own and
//! sends the load itself.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::edge::load::Load;
use super::print;
use crate::attack::shop::Shop;
use crate::cluster::tools;
use crate::command::{command, output, run, until};
use crate::environment::Paths;
use crate::image::{self, Profile};
use crate::progress::{note, stage};

const NEEDS: [tools::Need; 2] = [("openssl", "openssl"), ("psql", "postgresql-client")];

/// Distinct words of the products. A word ends with a letter, so that no word begins with another one.
const WORDS: u32 = 20_000;
/// Keep-alive connections of the load; each repeats a query of its own.
const CONNECTIONS: u32 = 64;
/// Connections that are busy at a time while the capacity is measured.
const CAPACITY_CONNECTIONS: usize = 8;
const CAPACITY_REQUESTS: usize = 1_000;
const BUILD_MAX: Duration = Duration::from_mins(10);

/// Words of names and descriptions are drawn so that the first ones are frequent: the first word is in every third product.
const FILL: &str = "
    create function word(draw double precision) returns text language sql immutable
    return format('w%sx', (exp(draw * ln(WORDS)) - 1)::int);
    create function words(count int) returns text language sql volatile
    return (select string_agg(word(random()), ' ') from generate_series(1, count));
    select setseed(0.5);
    insert into product (id, seller_id, version, name, name_key, description, price_amount, price_currency, category, brand)
    select
        ('0192f0c1-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '00000000-0000-0000-0000-000000000001', 1, d.name, d.name,
        d.description, 100 + (power(d.draw, 3) * 100000)::int, 'EUR', 'category ' || (40 * d.draw * d.draw)::int,
        'brand ' || (n % 17 * n % 300)
    from generate_series(1, PRODUCTS) as n
    cross join lateral (
        select words(2 + n % 4) as name, words(10 + n % 50) as description, random() as draw
    ) as d;
    insert into stock (product_id, variant, warehouse_id, on_hand, version)
    select id, '', '00000000-0000-0000-0000-000000000001', price_amount % 20, 1 from product;
    drop function words;
    drop function word;
    analyze product";

pub fn measure(paths: &Paths, products: u32, seconds: u32, profile: Profile) -> Result<()> {
    tools::install(&NEEDS)?;
    stage("compile the services", || image::compile_one(paths, profile, "agora"))?;
    let folder = tempfile::tempdir()?;
    let binary = image::binary(paths, profile, "agora");
    let shop = stage("start PostgreSQL and the services", || Shop::start(paths, &binary, folder.path()))?;
    let fill = FILL.replace("WORDS", &WORDS.to_string()).replace("PRODUCTS", &products.to_string());
    stage(&format!("insert {products} products"), || run(psql(&shop, "catalog").args(["-q", "-c", &fill])))?;
    let build_seconds = stage("build the index from the catalog", || build(&shop, products))?;
    note("other work on this machine falsifies the latencies");
    print(&format!("index of {products} products"), &format!("{build_seconds:.0} s"), "45 s");
    let port = shop.search.port();
    let searches: Vec<String> = (0..CONNECTIONS).map(|n| head(&query(n))).collect();
    row("search with facets", port, &searches, seconds, 40.0)?;
    let lists: Vec<String> = (0..CONNECTIONS).map(|n| head(&list(n))).collect();
    row("list of 20", port, &lists, seconds, 25.0)
}

/// Begins a build as the admin's request does, and returns how long the service needed for it, in seconds.
fn build(shop: &Shop, products: u32) -> Result<f64> {
    const BEGIN: &str = include_str!("../../../services/search/sql/begin_rebuild.sql");
    const TIME: &str = "select extract(epoch from built_at - started_at) from index_generation \
        where state = 'live' and products = ";
    run(psql(shop, "search").args(["-q", "-c", BEGIN]))?;
    let mut time = String::new();
    let is_built = || {
        time = output(psql(shop, "search").args(["-A", "-t", "-c", &format!("{TIME}{products}")])).unwrap_or_default();
        !time.trim().is_empty()
    };
    if !until(BUILD_MAX, is_built) {
        bail!("the index was not built in {BUILD_MAX:?}");
    }
    run(psql(shop, "search").args(["-q", "-c", "vacuum analyze"]))?;
    Ok(time.trim().parse()?)
}

/// Measures the capacity, then the latency at half of it.
fn row(name: &str, port: u16, requests: &[String], seconds: u32, goal_ms: f64) -> Result<()> {
    Load::connect(port, requests)?.send(requests.len(), Duration::ZERO)?;
    let mut load = Load::connect(port, &requests[..CAPACITY_CONNECTIONS])?;
    let started = Instant::now();
    load.send(CAPACITY_REQUESTS, Duration::ZERO)?;
    let each = started.elapsed() / u32::try_from(CAPACITY_REQUESTS)?;
    let interval = each * 2;
    let count = usize::try_from(Duration::from_secs(seconds.into()).as_nanos() / interval.as_nanos().max(1))?;
    let report = Load::connect(port, requests)?.send(count, interval)?;
    print(&format!("{name}: p99"), &format!("{:.1} ms", report.p99_us / 1e3), &format!("{goal_ms:.0} ms"));
    println!(
        "  p50 {:.1} ms, {count} requests at {:.0}/s, half of the capacity",
        report.p50_us / 1e3,
        1.0 / interval.as_secs_f64()
    );
    Ok(())
}

/// Every tenth query has a misspelt word, every fifth a filter, every third two words. Words are drawn as in the products.
fn query(n: u32) -> String {
    let drawn = |draw: u32| {
        let share = f64::from(draw.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24);
        (share * f64::from(WORDS).ln()).exp() - 1.0
    };
    let word = |draw: u32| format!("w{:.0}x", drawn(draw));
    let text = match n {
        n if n % 10 == 9 => format!("ww{:.0}x", drawn(n)),
        n if n.is_multiple_of(3) => format!("{}%20{}", word(n), word(n + 1_000)),
        n => word(n),
    };
    let filter = if n.is_multiple_of(5) { "&category=category%203&inStock=true" } else { "" };
    format!("/api/v1/search?q={text}{filter}")
}

/// Lists as a storefront requests them: of a category, of a brand, by price, and what a search found without facets.
fn list(n: u32) -> String {
    match n % 4 {
        0 => format!("/api/v1/search?facets=false&category=category%20{}", n % 40),
        1 => format!("/api/v1/search?facets=false&sort=price&inStock=true&minPrice={}", n * 100),
        2 => format!("/api/v1/search?facets=false&sort=name&brand=brand%20{}", n % 300),
        _ => format!("{}&facets=false", query(n)),
    }
}

fn head(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: application/json\r\n\r\n")
}

fn psql(shop: &Shop, database: &str) -> Command {
    let port = shop.postgres_port.to_string();
    command("psql", ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_of_every_kind_and_their_words_are_in_the_vocabulary() {
        let all: Vec<String> = (0..CONNECTIONS).map(query).collect();
        for part in ["%20", "category=", "q=ww"] {
            assert!(all.iter().any(|query| query.contains(part)), "{part}");
        }
        let numbers = all.iter().flat_map(|query| query.split("q=w").skip(1)).filter_map(|rest| rest.split('x').next());
        assert!(numbers.filter_map(|number| number.parse::<u32>().ok()).all(|number| number < WORDS));
    }
}
