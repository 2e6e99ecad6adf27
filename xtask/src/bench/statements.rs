//! What one order really makes PostgreSQL do, by its statement log, beside what `order.sql` says: so that the script
//! cannot drift from the services unseen.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::print;
use crate::cluster::postgres::superuser_password;
use crate::command::{command, output, run};
use crate::environment::Places;
use crate::image::{self, Profile};
use crate::up::GATEWAY;

const PROGRAM: &str = "/usr/lib/postgresql/15/bin/psql";
/// Databases of the services that an order passes; registering and logging in is not part of it.
const DATABASES: [&str; 4] = ["shop_shop_cart", "shop_shop_catalog", "shop_shop_order", "shop_shop_payment"];
const ORDERS: u32 = 5;
/// After the last order, for the relays and consumers of its facts.
const SETTLE: Duration = Duration::from_secs(3);
const RELOAD: Duration = Duration::from_secs(1);

/// Statements of one order.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Counts {
    commits: f64,
    writes: f64,
}

/// Buys a few times, and prints what that took per order beside what the script holds.
pub fn compare(places: &Places, profile: Profile, script: &str) -> Result<()> {
    let recorded = record(places, profile)?;
    let script = of_script(script);
    let pair = |value: Counts| format!("{:.0} / {:.0}", value.commits, value.writes);
    print("commits / writes of an order as recorded", &pair(recorded), &format!("order.sql: {}", pair(script)));
    Ok(())
}

/// The log tells statements while this lives, without the values in them.
struct Logged<'a>(&'a Places);

impl Drop for Logged<'_> {
    fn drop(&mut self) {
        let _ = set(self.0, &["reset log_statement", "reset log_line_prefix", "reset log_parameter_max_length"]);
    }
}

fn record(places: &Places, profile: Profile) -> Result<Counts> {
    let logged = Logged(places);
    set(places, &["set log_statement = 'all'", "set log_line_prefix = '%d|'", "set log_parameter_max_length = 0"])?;
    std::thread::sleep(RELOAD);
    let (begun, mark) = (Instant::now(), length(places)?);
    for _ in 0..ORDERS {
        run(&mut command(image::binary(places, profile, "agora-shopper"), ["buy-one", "--url", GATEWAY]))?;
    }
    std::thread::sleep(SETTLE);
    let (took, middle) = (begun.elapsed(), length(places)?);
    // As long again with no order: what then goes on is polling.
    std::thread::sleep(took);
    let end = length(places)?;
    drop(logged);
    let (busy, idle) = (counted(&part(places, mark, middle)?), counted(&part(places, middle, end)?));
    let per_order = |busy: f64, idle: f64| (busy - idle).max(0.0) / f64::from(ORDERS);
    Ok(Counts { commits: per_order(busy.commits, idle.commits), writes: per_order(busy.writes, idle.writes) })
}

fn set(places: &Places, changes: &[&str]) -> Result<()> {
    let mut psql = command(PROGRAM, ["-h", "127.0.0.1", "-p", "15432", "-U", "postgres", "-d", "postgres", "-q"]);
    psql.env("PGPASSWORD", superuser_password(places)?);
    for change in changes {
        psql.arg("-c").arg(format!("alter system {change}"));
    }
    output(psql.args(["-c", "select pg_reload_conf()"])).map(drop)
}

fn length(places: &Places) -> Result<u64> {
    Ok(std::fs::metadata(places.log("postgres"))?.len())
}

fn part(places: &Places, from: u64, to: u64) -> Result<String> {
    let mut file = std::fs::File::open(places.log("postgres"))?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Lines like `shop_shop_cart|LOG:  execute sqlx_s_1: insert into …`.
fn counted(log: &str) -> Counts {
    let mut verbs: BTreeMap<String, u32> = BTreeMap::new();
    for line in log.lines() {
        let Some((database, said)) = line.split_once("|LOG:") else { continue };
        let statement = said.trim_start();
        let told = statement.starts_with("execute ") || statement.starts_with("statement: ");
        if !told || !DATABASES.contains(&database) {
            continue;
        }
        let text = statement.split_once(": ").map_or("", |(_, text)| text);
        let verb = text.split_whitespace().next().unwrap_or_default().to_lowercase();
        *verbs.entry(verb).or_default() += 1;
    }
    let sum =
        |wanted: &[&str]| wanted.iter().map(|verb| f64::from(verbs.get(*verb).copied().unwrap_or_default())).sum();
    Counts { commits: sum(&["commit"]), writes: sum(&["insert", "update", "delete", "with"]) }
}

/// A write outside of `begin … commit` commits by itself.
fn of_script(script: &str) -> Counts {
    let (mut counts, mut inside) = (Counts::default(), false);
    for line in script.lines() {
        let write = ["insert ", "update ", "delete ", "with "].iter().any(|verb| line.starts_with(verb));
        inside = (inside || line.starts_with("begin")) && !line.starts_with("commit");
        counts.writes += if write { 1.0 } else { 0.0 };
        counts.commits += if line.starts_with("commit") || (write && !inside) { 1.0 } else { 0.0 };
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_and_the_script_are_counted_alike() {
        let log = "shop_shop_cart|LOG:  statement: BEGIN\n\
                   shop_shop_cart|LOG:  execute sqlx_s_1: insert into a values ($1)\n\
                   shop_shop_cart|LOG:  execute sqlx_s_2: with x as (delete from a) update b set c = 1\n\
                   shop_shop_cart|DETAIL:  parameters: insert\n\
                   shop_shop_cart|LOG:  statement: COMMIT\n\
                   shop_shop_user|LOG:  statement: COMMIT\n";
        let script = "begin;\ninsert into a values (1);\nupdate b set c = 1;\ncommit;\n-- delete\n";
        assert_eq!(counted(log), Counts { commits: 1.0, writes: 2.0 });
        assert_eq!(counted(log), of_script(script));
        assert_eq!(of_script("delete from a;\n"), Counts { commits: 1.0, writes: 1.0 });
    }
}
