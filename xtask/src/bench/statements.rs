//! Counts statements in PostgreSQL's statement log: by database while a load runs, and of some orders in comparison
//! with `order.sql`, so that the script does not become outdated unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::cpu::short_database;
use super::print;
use crate::cluster::postgres::superuser_password;
use crate::cluster::tools;
use crate::command::{command, output, run};
use crate::environment::Paths;
use crate::image::{self, Profile};
use crate::up::GATEWAY;

/// Any version can read the counters of the server.
const NEEDS: [tools::Need; 1] = [("psql", "postgresql-client")];
/// Databases of the services that take part in an order; registration and login do not count.
const DATABASES: [&str; 4] = ["shop_shop_cart", "shop_shop_catalog", "shop_shop_order", "shop_shop_payment"];
const ORDERS: u32 = 5;
/// Time after the last order for relays and consumers of its events.
const SETTLE: Duration = Duration::from_secs(3);
const RELOAD: Duration = Duration::from_secs(1);

/// First words of statements that write.
const WRITES: [&str; 4] = ["insert", "update", "delete", "with"];

/// Averages per order.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Transactions that write, including single statements; each waits for the disk.
    commits: f64,
    /// All statements, including `begin` and `commit`.
    statements: f64,
}

/// Places some orders and prints their average counts beside those of the script.
pub fn compare(paths: &Paths, profile: Profile, script: &str) -> Result<()> {
    let recorded = record(paths, profile)?;
    let script = count_script(script);
    let pair = |value: Counts| format!("{:.0} / {:.0}", value.commits, value.statements);
    print("commits / statements of a real order", &pair(recorded), &format!("order.sql: {}", pair(script)));
    Ok(())
}

/// PostgreSQL logs statements without their parameter values until this value is dropped.
pub struct StatementLog<'a> {
    paths: &'a Paths,
    from: u64,
}

impl<'a> StatementLog<'a> {
    /// Returns after `RELOAD`, when every session has the settings.
    pub fn start(paths: &'a Paths) -> Result<Self> {
        let mut log = Self { paths, from: 0 };
        set(
            paths,
            &["set log_statement = 'all'", "set log_line_prefix = '%d|%p|'", "set log_parameter_max_length = 0"],
        )?;
        std::thread::sleep(RELOAD);
        log.restart()?;
        Ok(log)
    }

    /// Counts only statements that are logged from now on.
    pub fn restart(&mut self) -> Result<()> {
        self.from = self.length()?;
        Ok(())
    }

    /// Statements by short name of the database, since the start.
    pub fn by_database(&self) -> Result<BTreeMap<String, f64>> {
        Ok(count_by_database(&self.part(self.from, self.length()?)?))
    }

    fn length(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.paths.log("postgres"))?.len())
    }

    fn part(&self, from: u64, to: u64) -> Result<String> {
        let mut file = std::fs::File::open(self.paths.log("postgres"))?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(to - from).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for StatementLog<'_> {
    fn drop(&mut self) {
        let _ = set(self.paths, &["reset log_statement", "reset log_line_prefix", "reset log_parameter_max_length"]);
    }
}

fn record(paths: &Paths, profile: Profile) -> Result<Counts> {
    let log = StatementLog::start(paths)?;
    let started = Instant::now();
    for _ in 0..ORDERS {
        run(&mut command(image::binary(paths, profile, "agora-shopper"), ["buy-one", "--url", GATEWAY]))?;
    }
    std::thread::sleep(SETTLE);
    let (took, middle) = (started.elapsed(), log.length()?);
    // The same time without orders: these statements are polling and are subtracted.
    std::thread::sleep(took);
    let (busy, idle) = (log.part(log.from, middle)?, log.part(middle, log.length()?)?);
    drop(log);
    let (busy, idle) = (count_log(&busy), count_log(&idle));
    let per_order = |busy: f64, idle: f64| (busy - idle).max(0.0) / f64::from(ORDERS);
    Ok(Counts {
        commits: per_order(busy.commits, idle.commits),
        statements: per_order(busy.statements, idle.statements),
    })
}

/// psql as superuser on the local cluster; its output has one line per row, without headings.
pub fn psql(paths: &Paths) -> Result<Command> {
    tools::install(&NEEDS)?;
    let mut psql = command("psql", ["-h", "127.0.0.1", "-p", "15432", "-U", "postgres", "-d", "postgres"]);
    psql.args(["-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).env("PGPASSWORD", superuser_password(paths)?);
    Ok(psql)
}

fn set(paths: &Paths, changes: &[&str]) -> Result<()> {
    let mut psql = psql(paths)?;
    for change in changes {
        psql.arg("-c").arg(format!("alter system {change}"));
    }
    output(psql.args(["-c", "select pg_reload_conf()"])).map(drop)
}

/// Database, session and text of each line like `shop_shop_cart|4711|LOG:  execute sqlx_s_1: insert into …`. The second
/// and later lines of a statement have no prefix.
fn logged(log: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    log.lines().filter_map(|line| {
        let (database, rest) = line.split_once('|')?;
        let (session, message) = rest.split_once("|LOG:")?;
        let statement = message.trim_start();
        let is_statement = statement.starts_with("execute ") || statement.starts_with("statement: ");
        let (_, text) = statement.split_once(": ").filter(|_| is_statement)?;
        Some((database, session, text))
    })
}

fn count_log(log: &str) -> Counts {
    let of_orders = logged(log).filter(|(database, ..)| DATABASES.contains(database));
    count(of_orders.map(|(_, session, text)| (session, text)))
}

fn count_by_database(log: &str) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for (database, ..) in logged(log).filter(|(database, ..)| short_database(database) != *database) {
        *counts.entry(short_database(database).to_owned()).or_default() += 1.0;
    }
    counts
}

fn count_script(script: &str) -> Counts {
    let statements = script.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    count(statements.map(|line| ("pgbench", line)))
}

/// A write outside of `begin … commit` counts as one commit.
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
    fn log_and_script_are_counted_in_the_same_way() {
        let log = "shop_shop_cart|1|LOG:  statement: BEGIN\n\
                   shop_shop_cart|1|LOG:  execute sqlx_s_1: insert into a values ($1)\n\
                   shop_shop_cart|2|LOG:  execute sqlx_s_2: with x as (delete from a) update b set c = 1\n\
                   shop_shop_cart|2|DETAIL:  parameters: insert\n\
                   shop_shop_cart|2|LOG:  execute sqlx_s_3: select 1\n\
                   shop_shop_cart|1|LOG:  statement: COMMIT\n\
                   shop_shop_user|3|LOG:  statement: COMMIT\n";
        let script =
            "begin;\ninsert into a values (1);\ncommit;\nupdate b set c = 1;\nselect 1;\n-- delete\n\\set a 1\n";
        assert_eq!(count_log(log), Counts { commits: 2.0, statements: 5.0 });
        assert_eq!(count_log(log), count_script(script));
        assert_eq!(count_by_database(log), BTreeMap::from([("cart".to_owned(), 5.0), ("user".to_owned(), 1.0)]));
        assert_eq!(count_script("delete from a;\n"), Counts { commits: 1.0, statements: 1.0 });
    }
}
