//! Time of an import of many products over the public API while the search index follows it. The products stay; a second
//! import adds as many again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::print;
use super::statements::psql;
use crate::cluster::tools;
use crate::command::{command, feed, output, until};
use crate::environment::Paths;
use crate::progress::{note, stage, step};
use crate::target::Target;
use crate::up::{GATEWAY, admin};

const NEEDS: [tools::Need; 1] = [("curl", "curl")];
/// The target, and how long an import and the index may take before the benchmark gives up.
const GOAL: Duration = Duration::from_mins(5);
const GIVE_UP: Duration = Duration::from_mins(20);
/// A request of an import ends within 55 s, also when lines are left.
const REQUEST_SECONDS_MAX: &str = "60";

pub fn measure(paths: &Paths, target: &Target, products: u32) -> Result<()> {
    tools::install(&NEEDS)?;
    let folder = tempfile::tempdir()?;
    let import = Import::prepare(target, folder.path(), products)?;
    let started = Instant::now();
    let done = stage(&format!("import {products} products"), || import.complete(started))?;
    let took = started.elapsed();
    ensure!(done["created"] == products && done["failed"] == 0, "not all products were created: {done}");
    let indexed = || import.indexed(paths).is_ok_and(|count| count == products);
    let label = "wait until the search index has them";
    step(label, || until(GIVE_UP, indexed).then_some(()).context("the index does not have all products"))?;
    let goal = format!("{:.0} s", GOAL.as_secs_f64());
    print(&format!("import of {products} products"), &format!("{:.0} s", took.as_secs_f64()), &goal);
    print("until the search index had them", &format!("{:.0} s", started.elapsed().as_secs_f64()), &goal);
    ensure!(started.elapsed() <= GOAL, "the import with its index took longer than {goal}");
    Ok(())
}

/// An import that can be sent again until it is complete.
struct Import {
    id: String,
    lines: PathBuf,
    /// File with the header that has the admin's token: arguments can be read by other users.
    token: PathBuf,
}

impl Import {
    fn prepare(target: &Target, folder: &Path, products: u32) -> Result<Self> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
        let (lines, token) = (folder.join("products.ndjson"), folder.join("authorization"));
        std::fs::write(&lines, text(&id, products)?)?;
        let admin = admin(target)?;
        let login = json!({ "email": admin.email, "password": admin.password }).to_string();
        let url = format!("{GATEWAY}/api/v1/auth/login");
        let json = "content-type: application/json";
        let mut send =
            command("curl", ["-sS", "--fail-with-body", "-m", "10", "-H", json, "--data-binary", "@-", &url]);
        let tokens: Value = serde_json::from_str(&feed(&mut send, &login)?)?;
        let bearer = tokens["accessToken"].as_str().context("the login has no access token")?;
        std::fs::write(&token, format!("authorization: Bearer {bearer}\n"))?;
        Ok(Self { id, lines, token })
    }

    /// Sends the lines until all are handled, and returns the final progress.
    fn complete(&self, started: Instant) -> Result<Value> {
        loop {
            let progress = self.send()?;
            if progress["state"] == "complete" {
                return Ok(progress);
            }
            if progress["code"] != "IMPORT_UNFINISHED" && progress["code"] != "IMPORT_IN_PROGRESS" {
                bail!("the import was rejected: {progress}");
            }
            if started.elapsed() > GIVE_UP {
                bail!("the import did not end within {} minutes: {progress}", GIVE_UP.as_secs() / 60);
            }
            note("sent again: the request ended before the last line");
        }
    }

    fn send(&self) -> Result<Value> {
        let url = format!("{GATEWAY}/api/v1/admin/products/import?format=ndjson&importId={}", self.id);
        let mut send = command("curl", ["-sS", "-m", REQUEST_SECONDS_MAX, "-H", "content-type: application/x-ndjson"]);
        send.arg("-H").arg(format!("@{}", self.token.display()));
        send.arg("--data-binary").arg(format!("@{}", self.lines.display()));
        Ok(serde_json::from_str(&output(send.arg(&url))?)?)
    }

    /// Products of the import in the live index.
    fn indexed(&self, paths: &Paths) -> Result<u32> {
        let count = format!(
            "\\connect shop_shop_search\nselect count(*) from product_entry as p \
                join index_generation as g on g.number = p.generation \
                where g.state = 'live' and p.visible and p.category = '{}';\n",
            self.id
        );
        Ok(feed(&mut psql(paths)?, &count)?.trim().parse()?)
    }
}

/// The lines of an import; its id is the category of the products.
fn text(id: &str, products: u32) -> Result<String> {
    let mut text = String::new();
    for number in 1..=products {
        let line = json!({
            "sku": format!("{id}-{number}"),
            "name": format!("Lamp {number} of oak"),
            "description": format!("A lamp with a shade of wool, number {number}, for rooms of any size."),
            "price": { "amount": 1_000 + number % 50_000, "currency": "EUR" },
            "stock": number % 100,
            "category": id,
            "brand": format!("Brand {}", number % 300),
        });
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_product_with_a_number_of_its_own() {
        let lines: Vec<Value> = text("c", 3).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let numbers: Vec<&str> = lines.iter().filter_map(|line| line["sku"].as_str()).collect();
        assert_eq!(numbers, ["c-1", "c-2", "c-3"]);
    }
}
