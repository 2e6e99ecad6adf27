//! Upper bound for orders per second: pgbench executes the statements of one order without the services.

use anyhow::{Context, Result};

use super::print;
use crate::cluster::postgres::{ADMIN, admin_password};
use crate::cluster::tools;
use crate::command::{command, feed, output, succeeds};
use crate::environment::Paths;

const SCHEMA: &str = include_str!("order_schema.sql");
/// pgbench script with the statements of one order.
pub const ORDER: &str = include_str!("order.sql");
const DATABASE: &str = "agora_bench";
/// pgbench and the client programs.
const NEEDS: [tools::Need; 2] = [("pgbench", "postgresql"), ("createdb", "postgresql-client")];
/// Variable of both scripts: as many products as `agora seed` adds.
const PRODUCTS: &str = "products=500";
const CLIENTS: &str = "16";
const SECONDS: &str = "20";

pub fn measure(paths: &Paths) -> Result<()> {
    tools::install(&NEEDS)?;
    let password = admin_password(paths)?;
    let program = |name: &str| {
        let mut program = command(name, ["-h", "127.0.0.1", "-p", "15432", "-U", ADMIN]);
        program.env("PGPASSWORD", &password);
        program
    };
    succeeds(program("dropdb").args(["--if-exists", DATABASE]));
    output(program("createdb").arg(DATABASE))?;
    feed(program("psql").args(["-q", "-v", "ON_ERROR_STOP=1", "-v", PRODUCTS, DATABASE]), SCHEMA)?;
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), ORDER)?;
    let mut bench = program("pgbench");
    bench
        .args(["-n", "-M", "prepared", "-c", CLIENTS, "-j", "2", "-T", SECONDS, "-D", PRODUCTS, "-f"])
        .arg(script.path())
        .arg(DATABASE);
    let output_text = output(&mut bench);
    succeeds(program("dropdb").args(["--if-exists", "--force", DATABASE]));
    let output_text = output_text?;
    let rate = output_text
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))
        .context("the output of pgbench has no rate")?;
    let rate = rate.split_whitespace().next().unwrap_or_default();
    print(&format!("orders/s in pgbench ({CLIENTS} clients, {SECONDS} s)"), rate, "compare with `bench orders`");
    Ok(())
}
