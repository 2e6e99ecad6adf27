//! What one order really makes PostgreSQL do, by its statement log, beside what `order.sql` says: so that the script
//! cannot drift from the services unseen.

use std::collections::BTreeSet;
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

/// What begins a statement that writes.
const WRITES: [&str; 4] = ["insert", "update", "delete", "with"];

/// Statements of one order.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Transactions that wrote, those of one statement included: each waits for the disk.
    commits: f64,
    /// All of them, `begin` and `commit` included: so often the server was asked.
    statements: f64,
}

/// Buys a few times, and prints what that took per order beside what the script holds.
pub fn compare(places: &Places, profile: Profile, script: &str) -> Result<()> {
    let recorded = record(places, profile)?;
    let script = of_script(script);
    let pair = |value: Counts| format!("{:.0} / {:.0}", value.commits, value.statements);
    print("commits / statements of an order as recorded", &pair(recorded), &format!("order.sql: {}", pair(script)));
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
    set(places, &["set log_statement = 'all'", "set log_line_prefix = '%d|%p|'", "set log_parameter_max_length = 0"])?;
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
    Ok(Counts {
        commits: per_order(busy.commits, idle.commits),
        statements: per_order(busy.statements, idle.statements),
    })
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

/// Lines like `shop_shop_cart|4711|LOG:  execute sqlx_s_1: insert into …`.
fn counted(log: &str) -> Counts {
    let told = log.lines().filter_map(|line| {
        let (database, rest) = line.split_once('|')?;
        let (session, said) = rest.split_once("|LOG:")?;
        let statement = said.trim_start();
        let told = statement.starts_with("execute ") || statement.starts_with("statement: ");
        let (_, text) = statement.split_once(": ").filter(|_| told && DATABASES.contains(&database))?;
        Some((session, text))
    });
    count(told)
}

fn of_script(script: &str) -> Counts {
    let statements = script.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    count(statements.map(|line| ("pgbench", line)))
}

/// A write outside of `begin … commit` commits by itself.
fn count<'a>(statements: impl Iterator<Item = (&'a str, &'a str)>) -> Counts {
    let (mut counts, mut inside) = (Counts::default(), BTreeSet::new());
    for (session, text) in statements {
        let verb = text.split([' ', ';']).next().unwrap_or_default().to_lowercase();
        let alone = WRITES.contains(&verb.as_str()) && !inside.contains(session);
        match verb.as_str() {
            "begin" => drop(inside.insert(session)),
            "commit" | "rollback" => drop(inside.remove(session)),
            _ => {}
        }
        counts.statements += 1.0;
        counts.commits += if alone || verb == "commit" { 1.0 } else { 0.0 };
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_and_the_script_are_counted_alike() {
        let log = "shop_shop_cart|1|LOG:  statement: BEGIN\n\
                   shop_shop_cart|1|LOG:  execute sqlx_s_1: insert into a values ($1)\n\
                   shop_shop_cart|2|LOG:  execute sqlx_s_2: with x as (delete from a) update b set c = 1\n\
                   shop_shop_cart|2|DETAIL:  parameters: insert\n\
                   shop_shop_cart|2|LOG:  execute sqlx_s_3: select 1\n\
                   shop_shop_cart|1|LOG:  statement: COMMIT\n\
                   shop_shop_user|3|LOG:  statement: COMMIT\n";
        let script =
            "begin;\ninsert into a values (1);\ncommit;\nupdate b set c = 1;\nselect 1;\n-- delete\n\\set a 1\n";
        assert_eq!(counted(log), Counts { commits: 2.0, statements: 5.0 });
        assert_eq!(counted(log), of_script(script));
        assert_eq!(of_script("delete from a;\n"), Counts { commits: 1.0, statements: 1.0 });
    }
}
