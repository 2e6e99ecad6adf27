//! PostgreSQL's own measure: how many orders a second it makes of an order's statements, with no service in between.

use anyhow::{Context, Result};

use super::print;
use crate::cluster::postgres::{ADMIN, admin_password};
use crate::cluster::tools;
use crate::command::{command, feed, output, succeeds};
use crate::environment::Places;

const SCHEMA: &str = include_str!("order_schema.sql");
/// One order as a script.
pub const ORDER: &str = include_str!("order.sql");
const DATABASE: &str = "agora_bench";
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const CLIENTS: &str = "16";
const SECONDS: &str = "20";

pub fn measure(places: &Places) -> Result<()> {
    tools::install(&tools::DATABASE_NEEDS)?;
    let password = admin_password(places)?;
    let program = |name: &str| {
        let mut program = command(format!("{PROGRAMS}/{name}"), ["-h", "127.0.0.1", "-p", "15432", "-U", ADMIN]);
        program.env("PGPASSWORD", &password);
        program
    };
    succeeds(program("dropdb").args(["--if-exists", DATABASE]));
    output(program("createdb").arg(DATABASE))?;
    feed(program("psql").args(["-q", "-v", "ON_ERROR_STOP=1", DATABASE]), SCHEMA)?;
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), ORDER)?;
    let mut bench = program("pgbench");
    bench
        .args(["-n", "-M", "prepared", "-c", CLIENTS, "-j", "2", "-T", SECONDS, "-f"])
        .arg(script.path())
        .arg(DATABASE);
    let said = output(&mut bench);
    succeeds(program("dropdb").args(["--if-exists", "--force", DATABASE]));
    let said = said?;
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench names its rate")?;
    let rate = rate.split_whitespace().next().unwrap_or_default();
    print(&format!("orders/s of PostgreSQL alone ({CLIENTS} clients, {SECONDS} s)"), rate, "beside `bench orders`");
    Ok(())
}
