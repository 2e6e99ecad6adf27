//! Counters of PostgreSQL by database of the shop: committed transactions, inserted events, and transactions that
//! write. Reads the statistics views; must not change any setting.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::cpu::short_database;
use super::statements::psql;
use crate::command::feed;
use crate::environment::Paths;

/// One row per database, after one row with the number of transaction ids assigned so far.
const IDS: &str = "select pg_snapshot_xmax(pg_current_snapshot());\n";
const DATABASE: &str = "select current_database(), xact_commit, \
    (select coalesce(sum(n_tup_ins), 0) from pg_stat_user_tables where relname ~ '^outbox') \
    from pg_stat_database where datname = current_database();\n";

/// Counts since the creation of the databases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    /// Transaction ids of the server; only transactions that write get one.
    pub writes: f64,
    /// By short name of the database.
    pub databases: BTreeMap<String, DatabaseCounters>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DatabaseCounters {
    /// Committed transactions, including those that only read.
    pub transactions: f64,
    /// Rows inserted into the outbox.
    pub events: f64,
}

impl Counters {
    pub fn read(paths: &Paths) -> Result<Self> {
        let names =
            feed(&mut psql(paths)?, "select datname from pg_database where datname ~ '^shop_shop_' order by 1;\n")?;
        let scripts: Vec<String> = names.lines().map(|name| format!("\\connect {name}\n{DATABASE}")).collect();
        parse(&feed(&mut psql(paths)?, &format!("{IDS}{}", scripts.concat()))?)
            .context("reading the statistics of PostgreSQL")
    }

    /// The increase since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let increase = |(name, now): (&String, &DatabaseCounters)| {
            let old = before.databases.get(name).copied().unwrap_or_default();
            let counters =
                DatabaseCounters { transactions: now.transactions - old.transactions, events: now.events - old.events };
            (name.clone(), counters)
        };
        Self { writes: self.writes - before.writes, databases: self.databases.iter().map(increase).collect() }
    }
}

fn parse(text: &str) -> Option<Counters> {
    let mut lines = text.lines();
    let writes = lines.next()?.trim().parse().ok()?;
    let database = |line: &str| {
        let mut fields = line.split('|');
        let name = short_database(fields.next()?).to_owned();
        let (transactions, events) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some((name, DatabaseCounters { transactions, events }))
    };
    Some(Counters { writes, databases: lines.map(database).collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_increase_is_by_database() {
        let before = parse("100\nshop_shop_cart|10|5\nshop_shop_order|20|7").unwrap();
        let after = parse("160\nshop_shop_cart|15|5\nshop_shop_order|50|19\nshop_shop_new|3|1").unwrap();
        let made = after.since(&before);
        assert!((made.writes - 60.0).abs() < 1e-9);
        assert_eq!(made.databases["order"], DatabaseCounters { transactions: 30.0, events: 12.0 });
        assert_eq!(made.databases["cart"], DatabaseCounters { transactions: 5.0, events: 0.0 });
        assert_eq!(made.databases["new"], DatabaseCounters { transactions: 3.0, events: 1.0 });
    }

    #[test]
    fn unexpected_output_is_no_count() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("100\nshop_shop_cart|x|5"), None);
    }
}
