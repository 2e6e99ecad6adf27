//! `cargo xtask test`: check, unit and database tests, e2e, in this order, and the time of each. All of what CI runs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cluster::{self, footprint, jars, tools};
use crate::command::{command, stream, succeeds};
use crate::environment::Places;
use crate::image::{self, Profile};
use crate::progress::{note, stage};
use crate::target::Target;
use crate::workspace::{self, Workspace};
use crate::{check, up};

const CARGO_TEST: [&str; 6] = ["cargo", "test", "--quiet", "--no-fail-fast", "--profile", "ci"];
/// A server that a test program left behind stops itself; one that does not within this time has a fault.
const SERVERS_END_SECONDS_MAX: u64 = 30;
/// The oldest that is supported.
const POSTGRES_15: &str = "/usr/lib/postgresql/15/bin";
/// The test programs about what services say to their databases. The operator's choose their servers themselves.
const STATEMENTS: [&str; 5] = ["laws", "order", "outbox", "payments", "postgres"];

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Stage {
    /// Format, lints, layers, house rules, licences, generated files
    Check,
    /// Unit, property, API and snapshot tests: nothing running
    Unit,
    /// The unit tests, and those on throwaway PostgreSQL, Kafka and Redis, and on an API server with its etcd
    Database,
    /// Tests on a real cluster: the one that is up, else one that is started and ended here
    E2e,
    /// Start and end the local cluster, and compare the host before and after
    ClusterClean,
}

/// Features of crates whose tests start servers: data services, and etcd with an API server.
const SERVER_FEATURES: [&str; 2] = ["db-tests", "api-tests"];
/// Without `Unit`, of which `Database` runs everything: the features that it turns on would compile the workspace twice.
const ALL: [Stage; 3] = [Stage::Check, Stage::Database, Stage::E2e];

pub fn test(places: &Places, wanted: &[Stage]) -> Result<()> {
    tools::install(&tools::BUILD_NEEDS)?;
    let stages = if wanted.is_empty() { &ALL[..] } else { wanted };
    let mut times = Vec::new();
    let mut failed = Vec::new();
    for one in stages {
        let begun = Instant::now();
        let result = stage(name(*one), || perform(places, *one));
        times.push((name(*one), begun.elapsed(), result.is_ok()));
        failed.extend(result.err().map(|error| format!("{}: {error:#}", name(*one))));
    }
    table(&times);
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{}", failed.join("\n"));
}

fn perform(places: &Places, stage: Stage) -> Result<()> {
    match stage {
        Stage::Check => check::check(places),
        Stage::Unit => unit(places),
        Stage::Database => database(places),
        Stage::E2e => end_to_end(places),
        Stage::ClusterClean => cluster_clean(places),
    }
}

fn unit(places: &Places) -> Result<()> {
    stream(cargo_test(places).args(workspace::WITHOUT_E2E))
}

/// What `unit` runs and more, each crate with its features for tests that start servers: the same packages, so that Cargo
/// unifies the dependencies' features in the same way and compiles none of them anew. The services' statements are tried on
/// the oldest PostgreSQL too: its planner is another.
fn database(places: &Places) -> Result<()> {
    let variables = environment(places)?;
    // etcd and the API server.
    tools::build(places)?;
    let features = Workspace::members(places)?.features_among(&SERVER_FEATURES).join(",");
    let alive = tempfile::NamedTempFile::new().context("a file that running servers keep locked")?;
    let with_servers = || {
        let mut cargo = in_checkout(places, command("flock", ["--shared"]));
        cargo.arg(alive.path()).args(CARGO_TEST).args(workspace::WITHOUT_E2E).args(["--features", &features]);
        cargo.envs(variables.iter().cloned()).env("AGORA_BIN", &places.bin);
        cargo
    };
    let newest = stream(&mut with_servers());
    let oldest = stage("statements on PostgreSQL 15", || {
        let programs = STATEMENTS.iter().flat_map(|program| ["--test", program]);
        stream(with_servers().args(programs).env("AGORA_PG_BIN", POSTGRES_15))
    });
    newest.and(oldest).and(all_ended(alive.path()))
}

/// Waits until every server is gone that the tests started. They end a moment after the test program that they served, and
/// what compares the host next would find their ports. `flock` leaves its lock open to all that it starts, and these to
/// theirs: whoever has it alone is the last. The runs share it, so that none waits for a server of the one before.
fn all_ended(alive: &Path) -> Result<()> {
    let seconds = SERVERS_END_SECONDS_MAX.to_string();
    let ended = succeeds(command("flock", ["--timeout", &seconds]).arg(alive).arg("true"));
    ended.then_some(()).with_context(|| format!("a server that the tests started is still there after {seconds} s"))
}

fn end_to_end(places: &Places) -> Result<()> {
    let was_up = cluster::is_up(places);
    let before = (!was_up).then(|| footprint::take(places));
    if !was_up {
        stage("local cluster", || cluster::up(places))?;
    }
    let result = end_to_end_tests(places);
    if let Some(before) = before {
        stage("end the local cluster", || cluster::down(places, false))?;
        unchanged(&footprint::differences(&before, &footprint::take(places)))?;
    }
    result
}

fn end_to_end_tests(places: &Places) -> Result<()> {
    let target = Target::local(places);
    let images = image::build_all(places, Profile::Ci)?;
    image::import_all(places, &images)?;
    up::foundations(places, &target)?;
    let mut cargo = cargo_test(places);
    cargo.args(["--workspace", "--test", "marketplace", "--", "--test-threads", "1"]).envs(environment(places)?);
    cargo.env("KUBECONFIG", target.kubeconfig()).env("AGORA_BIN", &places.bin).env("AGORA_STATE", &places.state);
    cargo
        .env("AGORA_REPO", &places.repo)
        .env("AGORA_IMAGE_TAG", &images.tag)
        .env("AGORA_IMAGE_REGISTRY", image::REGISTRY);
    cargo.env("AGORA_PROGRAMS", places.target.join(Profile::Ci.name()));
    stream(&mut cargo)
}

/// The promise of `down`, tested.
fn cluster_clean(places: &Places) -> Result<()> {
    if cluster::is_up(places) {
        bail!("a local cluster is up; end it first: cargo xtask down");
    }
    let before = footprint::take(places);
    stage("up", || cluster::up(places))?;
    stage("down", || cluster::down(places, false))?;
    unchanged(&footprint::differences(&before, &footprint::take(places)))
}

fn unchanged(differences: &[String]) -> Result<()> {
    if differences.is_empty() {
        note("the host is as it was before");
        return Ok(());
    }
    bail!("the host differs from before `up`:\n  {}", differences.join("\n  "));
}

/// Where the tests find the servers that they start for themselves.
pub fn environment(places: &Places) -> Result<Vec<(&'static str, String)>> {
    tools::install(&tools::DATABASE_NEEDS)?;
    let jars = jars::ensure(places)?;
    let redis = crate::environment::which("redis-server").context("redis-server was just installed")?;
    Ok(vec![
        ("AGORA_PG_BIN", jars.postgres.display().to_string()),
        ("AGORA_PG15_BIN", POSTGRES_15.to_owned()),
        ("AGORA_KAFKA_LIB", jars.kafka.display().to_string()),
        ("AGORA_REDIS_SERVER", redis.display().to_string()),
    ])
}

/// The same for a developer's shell, with what kubectl needs.
pub fn print_environment(places: &Places) -> Result<()> {
    for (name, value) in stage("data services for tests", || environment(places))? {
        println!("export {name}={value}");
    }
    println!("export AGORA_BIN={}", places.bin.display());
    println!("export CARGO_TARGET_DIR={}", places.target.display());
    println!("export KUBECONFIG={}", places.kubeconfig("admin").display());
    println!("export PATH={}:$PATH", places.bin.display());
    Ok(())
}

fn cargo_test(places: &Places) -> Command {
    in_checkout(places, command(CARGO_TEST[0], &CARGO_TEST[1..]))
}

fn in_checkout(places: &Places, mut command: Command) -> Command {
    command.current_dir(&places.repo).env("CARGO_TARGET_DIR", &places.target);
    command
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Check => "check",
        Stage::Unit => "unit",
        Stage::Database => "database",
        Stage::E2e => "e2e",
        Stage::ClusterClean => "cluster-clean",
    }
}

fn table(times: &[(&str, Duration, bool)]) {
    println!("\n{:<16}{:>10}", "stage", "time");
    for (name, time, good) in times {
        println!("{name:<16}{:>8.1} s  {}", time.as_secs_f64(), if *good { "passed" } else { "FAILED" });
    }
    let all: Duration = times.iter().map(|(_, time, _)| *time).sum();
    println!("{:<16}{:>8.1} s", "all", all.as_secs_f64());
}
