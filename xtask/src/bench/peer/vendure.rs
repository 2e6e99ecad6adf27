//! The Vendure shop of `bench peer`: installs it once per machine from the lockfile, and runs it on the cluster's
//! PostgreSQL with its own database and login. `run.sh` ends it and removes both, also after Ctrl-C.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bench::cpu::{Group, Part, Roots};
use crate::cluster::postgres::superuser_password;
use crate::cluster::{jars, tools};
use crate::command::{command, digest, run, succeeds, tail, until, write};
use crate::environment::{Paths, which};
use crate::progress::step;

pub const DATABASE: &str = "agora_peer";
const PORT: &str = "30090";
pub const SHOP_API: &str = "http://127.0.0.1:30090/shop-api";
const HEALTH: &str = "http://127.0.0.1:30090/health";
const POSTGRES_PORT: &str = "15432";
/// Written into the folder of the installation on each run.
const SCRIPTS: [(&str, &str); 2] =
    [("shop.js", include_str!("../../../data/peer/shop.js")), ("run.sh", include_str!("../../../data/peer/run.sh"))];
const READY_SECONDS_MAX: u64 = 60;
const STOP_SECONDS_MAX: u64 = 30;

/// A running shop; dropping it ends its processes and removes database and login.
pub struct Vendure {
    script: Child,
    /// Closing it ends the shop.
    stdin: Option<ChildStdin>,
    /// The server and the worker.
    pub roots: Roots,
}

/// Installs the packages of the lockfile into the cache; the folder name is a digest of the lockfile. Idempotent.
pub fn install(paths: &Paths) -> Result<PathBuf> {
    ensure!(which("node").is_some() && which("npm").is_some(), "install Node.js 20 or newer with npm");
    tools::install(&[("psql", "postgresql-client"), ("setsid", "util-linux")])?;
    let source = paths.repo.join("xtask/data/peer");
    let files = ["package.json", "package-lock.json"];
    let key = digest(files.iter().map(|file| source.join(file)))?;
    let folder = paths.cache.join("peer").join(&key[..12]);
    if !folder.join("complete").exists() {
        step("install Vendure from its lockfile", || {
            std::fs::create_dir_all(&folder)?;
            for file in files {
                std::fs::copy(source.join(file), folder.join(file))?;
            }
            // The packages contain their compiled parts; no install script has to run.
            let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            run(command("npm", options).current_dir(&folder))
        })?;
        write(&folder.join("complete"), "")?;
    }
    for (name, text) in SCRIPTS {
        write(&folder.join(name), text)?;
    }
    Ok(folder)
}

impl Vendure {
    /// Creates the database, imports the products and starts server and worker.
    pub fn start(paths: &Paths, folder: &Path, products: &Value) -> Result<Self> {
        write(&folder.join("products.json"), &products.to_string())?;
        let mut script = script(paths, folder)?.spawn()?;
        let stdin = script.stdin.take();
        let lines = BufReader::new(script.stdout.take().context("the script has no standard output")?).lines();
        let mut shop = Self { script, stdin, roots: Roots::new() };
        // One line per process, after the import of the products.
        for line in lines.take(2).map_while(Result::ok) {
            let (name, pid) = line.split_once(' ').with_context(|| format!("unexpected output `{line}`"))?;
            shop.roots.insert(pid.parse()?, Part::new(Group::Vendure, name));
        }
        let answers = || succeeds(&mut command("curl", ["-sf", "-m", "2", "--noproxy", "*", HEALTH]));
        let ready = shop.roots.len() == 2 && until(Duration::from_secs(READY_SECONDS_MAX), answers);
        if !ready {
            bail!("Vendure did not start; its log:\n{}", tail(&folder.join("vendure.log")));
        }
        Ok(shop)
    }
}

impl Drop for Vendure {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let ended = until(Duration::from_secs(STOP_SECONDS_MAX), || !matches!(self.script.try_wait(), Ok(None)));
        if !ended {
            let pids: Vec<String> = self.roots.keys().map(ToString::to_string).collect();
            eprintln!("  Vendure did not end; its processes: {}", pids.join(", "));
        }
    }
}

/// `run.sh` with its settings.
fn script(paths: &Paths, folder: &Path) -> Result<Command> {
    let mut script = command("setsid", ["bash"]);
    script.arg(folder.join("run.sh")).stdin(Stdio::piped()).stdout(Stdio::piped());
    script.env("PEER_FOLDER", folder).env("PEER_PORT", PORT);
    script.env("PEER_DATABASE", DATABASE).env("PEER_DATABASE_PORT", POSTGRES_PORT);
    script.env("PEER_PASSWORD", jars::password()?).env("PEER_SUPERUSER_PASSWORD", superuser_password(paths)?);
    Ok(script)
}
