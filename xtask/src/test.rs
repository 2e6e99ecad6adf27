//! `cargo xtask test`: runs the stages check, unit, database, e2e and cluster-clean and prints the minutes of each. CI
//! runs the same stages.

mod programs;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cluster::{self, host_changes, jars, tools, versions};
use crate::command::{command, run, stream, succeeds};
use crate::durations::Durations;
use crate::environment::Paths;
use crate::image::{self, Images, Profile};
use crate::progress::{note, stage};
use crate::target::Target;
use crate::workspace::{self, Workspace};
use crate::{check, pypi, up};
use programs::{Job, Program};

const CARGO_TEST: [&str; 6] = ["cargo", "test", "--quiet", "--no-fail-fast", "--profile", "ci"];
/// Time in which servers of test programs must end after the last test program.
const SERVERS_END_SECONDS_MAX: u64 = 30;
/// Test programs that execute the services' SQL. The operator's database tests choose their server versions themselves.
const STATEMENTS: [&str; 10] =
    ["cart", "catalog", "notification", "order", "outbox", "payments", "postgres", "recommendation", "search", "user"];

/// Modules of these programs whose time goes into other servers: a broker, Redis, a mail server. They run on the newest
/// PostgreSQL alone, which executes the same statements.
const WITH_OTHER_SERVERS: [&str; 10] = [
    "broker::",
    "cached::",
    "consumer::",
    "delivery::",
    "mails::",
    "poisoned::",
    "rejected::",
    "relay::",
    "scaling::",
    "webhooks::",
];

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Stage {
    /// Formatting, lints, dependency rules, source rules, licences, generated files
    Check,
    /// Unit, property, API and snapshot tests; no server needed
    Unit,
    /// The unit tests, and tests on temporary PostgreSQL, Kafka, Redis, etcd and Kubernetes API servers
    Database,
    /// Tests on the local cluster; if it does not run, it is started and stopped for them
    E2e,
    /// Start and stop the local cluster, and compare the host before and after
    ClusterClean,
}

/// Test programs that begin before others, so that none of them runs alone in the end.
const LONGEST: [&str; 6] = ["crash", "data", "outbox", "whole_shop", "attacks", "catalog"];
/// The feature that enables the tests on a cluster.
const CLUSTER_FEATURE: &str = "agora-e2e/cluster-tests";
/// The test program that needs a cluster.
const CLUSTER_PROGRAM: &str = "marketplace";
/// Default stages. `Database` includes the tests of `Unit`; running both would compile the workspace twice.
const ALL: [Stage; 3] = [Stage::Check, Stage::Database, Stage::E2e];

pub fn test(paths: &Paths, wanted: &[Stage]) -> Result<()> {
    tools::install(&tools::BUILD_NEEDS)?;
    let stages = if wanted.is_empty() { &ALL[..] } else { wanted };
    let mut durations = Durations::default();
    let failed = std::thread::scope(|scope| {
        // Downloads while the tests are compiled. The stages download what is missing then, and say why it fails.
        let with_database = stages.contains(&Stage::Database);
        if with_database {
            scope.spawn(|| fetch(paths));
        }
        let perform = |one: &Stage| {
            let result = perform(paths, *one, with_database, &mut durations);
            result.err().map(|error| format!("{}: {error:#}", name(*one)))
        };
        stages.iter().filter_map(perform).collect::<Vec<_>>()
    });
    println!("\n{}", durations.table());
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{}", failed.join("\n"));
}

fn perform(paths: &Paths, stage: Stage, with_database: bool, durations: &mut Durations) -> Result<()> {
    match stage {
        // The stage `database` lints what it compiles.
        Stage::Check => durations.measure(name(stage), || check::check(paths, !with_database)),
        Stage::Unit => durations.measure(name(stage), || unit(paths)),
        Stage::Database => {
            let programs = durations.measure("compile", || programs::compile(&mut cluster_tests(paths)?))?;
            let variables = durations.measure("servers", || servers(paths))?;
            durations.measure(name(stage), || database(paths, &programs, &variables))
        }
        Stage::E2e => end_to_end(paths, durations),
        Stage::ClusterClean => durations.measure(name(stage), || cluster_clean(paths)),
    }
}

/// Downloads what tests with servers need. Prints nothing.
fn fetch(paths: &Paths) {
    let _ = jars::fetch(paths);
    let _ = tools::fetch_sources(paths);
    let _ = cluster::observability::fetch_sources(paths);
}

fn unit(paths: &Paths) -> Result<()> {
    stream(cargo_test(paths).arg(workspace::ALL_PACKAGES))
}

/// Fetches and builds the server programs that tests start, etcd and the API server among them.
fn servers(paths: &Paths) -> Result<Vec<(&'static str, String)>> {
    let variables = environment(paths)?;
    tools::build(paths)?;
    Ok(variables)
}

/// Runs the tests of `unit` and those that start servers, several programs at a time. The services' SQL also runs on the
/// oldest supported PostgreSQL, whose planner differs.
fn database(paths: &Paths, programs: &[Program], variables: &[(&'static str, String)]) -> Result<()> {
    let oldest_postgres = jars::ensure_postgres_15(paths)?;
    let alive = tempfile::NamedTempFile::new().context("creating the lock file of the test servers")?;
    let start = |program: &Program| {
        let mut run = program.run_by(command("flock", [OsStr::new("--shared"), alive.path().as_os_str()]));
        run.envs(variables.iter().cloned()).env("AGORA_BIN", &paths.bin);
        run
    };
    let newest = |program: &Program| Job { label: program.target.clone(), command: start(program) };
    let oldest = |program: &Program| {
        let mut command = start(program);
        command
            .env("AGORA_PG_BIN", &oldest_postgres)
            .args(WITH_OTHER_SERVERS.iter().flat_map(|name| ["--skip", *name]));
        Job { label: format!("{} on PostgreSQL 15", program.target), command }
    };
    let (integration, unit): (Vec<_>, Vec<_>) =
        programs.iter().filter(|program| program.target != CLUSTER_PROGRAM).partition(|program| program.is_integration);
    let statements = integration.iter().filter(|program| STATEMENTS.contains(&program.target.as_str()));
    let (long, short): (Vec<_>, Vec<_>) =
        integration.iter().partition(|program| LONGEST.contains(&program.target.as_str()));
    let mut jobs: Vec<Job> = long.into_iter().copied().map(newest).collect();
    jobs.extend(statements.copied().map(oldest));
    jobs.extend(short.into_iter().chain(&unit).copied().map(newest));
    let mut examples = cluster_tests(paths)?;
    examples.arg("--doc");
    jobs.push(Job { label: "examples of the documentation".to_owned(), command: examples });
    programs::run(jobs).and(wait_for_servers(alive.path()))
}

/// Waits until all servers of the tests have ended. They end shortly after their test program; a comparison of the host
/// before that would find their ports. Every descendant of `flock` inherits its shared lock, so an exclusive lock
/// succeeds only after the last server has ended. The runs share the lock, so no run waits for servers of an earlier
/// one.
fn wait_for_servers(alive: &Path) -> Result<()> {
    let seconds = SERVERS_END_SECONDS_MAX.to_string();
    let ended = succeeds(command("flock", ["--timeout", &seconds]).arg(alive).arg("true"));
    ended.then_some(()).with_context(|| {
        format!("a server that the tests started still runs after {seconds} s; find it with: ss -ltnp")
    })
}

fn end_to_end(paths: &Paths, durations: &mut Durations) -> Result<()> {
    if cluster::is_up(paths) {
        return end_to_end_tests(paths, durations);
    }
    let before = host_changes::snapshot(paths);
    durations.measure("cluster start", || cluster::up(paths))?;
    let result = end_to_end_tests(paths, durations);
    if result.is_err() {
        match keep_logs(paths) {
            Ok(folder) => note(&format!("logs of the cluster: {}", folder.display())),
            Err(error) => note(&format!("the logs of the cluster were not kept: {error:#}")),
        }
    }
    durations.measure("cluster stop", || cluster::down(paths, false))?;
    unchanged(&host_changes::differences(&before, &host_changes::snapshot(paths)))?;
    result
}

fn end_to_end_tests(paths: &Paths, durations: &mut Durations) -> Result<()> {
    let images = durations.measure("images", || {
        // The programs that the tests of the stage `database` started. Other packages or features would compile all again.
        stage("compile", || stream(cluster_tests(paths)?.arg("--no-run")))?;
        let images = image::build_compiled(paths, Profile::Ci)?;
        image::import_all(paths, &images)?;
        Ok(images)
    })?;
    durations.measure(name(Stage::E2e), || run_end_to_end(paths, &images))
}

fn run_end_to_end(paths: &Paths, images: &Images) -> Result<()> {
    let target = Target::local(paths);
    up::prerequisites(paths, &target)?;
    let mut cargo = cluster_tests(paths)?;
    cargo.args(["--test", CLUSTER_PROGRAM, "--", "--test-threads", "1"]).envs(environment(paths)?);
    cargo.env("KUBECONFIG", target.kubeconfig()).env("AGORA_BIN", &paths.bin).env("AGORA_STATE", &paths.state);
    cargo
        .env("AGORA_REPO", &paths.repo)
        .env("AGORA_IMAGE_TAG", &images.tag)
        .env("AGORA_IMAGE_REGISTRY", image::REGISTRY);
    cargo.env("AGORA_PROGRAMS", paths.target.join(Profile::Ci.name()));
    stream(&mut cargo)
}

/// Copies the logs of processes and pods to a folder that `down` does not remove; replaces an earlier copy.
fn keep_logs(paths: &Paths) -> Result<PathBuf> {
    let folder = paths.cache.join("failed-e2e");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    run(command("cp", ["-r"]).arg(paths.state.join("log")).arg(&folder))?;
    // The dump contains no Secrets. It is incomplete if the API server does not respond.
    let mut dump = cluster::kubectl(paths, ["cluster-info", "dump", "--all-namespaces", "--request-timeout=60s"]);
    let _ = run(dump.arg("--output-directory").arg(folder.join("pods")));
    Ok(folder)
}

/// Tests that `down` restores the host.
fn cluster_clean(paths: &Paths) -> Result<()> {
    if cluster::is_up(paths) {
        bail!("the local cluster runs; stop it first: cargo xtask down");
    }
    let before = host_changes::snapshot(paths);
    stage("up", || cluster::up(paths))?;
    stage("down", || cluster::down(paths, false))?;
    unchanged(&host_changes::differences(&before, &host_changes::snapshot(paths)))
}

fn unchanged(differences: &[String]) -> Result<()> {
    if differences.is_empty() {
        note("the host is in the same state as before");
        return Ok(());
    }
    bail!("the host differs from its state before `up`:\n  {}", differences.join("\n  "));
}

/// Environment variables with the paths of the server programs that tests start. Installs missing packages.
pub fn environment(paths: &Paths) -> Result<Vec<(&'static str, String)>> {
    tools::install(&tools::DATABASE_NEEDS)?;
    if let Some(fault) = versions::java_fault() {
        bail!(fault);
    }
    let jars = jars::ensure(paths)?;
    let redis = crate::environment::which("redis-server").context("redis-server is not on the PATH")?;
    Ok(vec![
        ("AGORA_PG_BIN", jars.postgres.display().to_string()),
        ("AGORA_PG15_BIN", jars::ensure_postgres_15(paths)?.display().to_string()),
        ("AGORA_KAFKA_LIB", jars.kafka.display().to_string()),
        ("AGORA_REDIS_SERVER", redis.display().to_string()),
        ("AGORA_DUCKDB", pypi::DUCKDB.ensure(paths)?.display().to_string()),
        ("AGORA_PROMETHEUS", cluster::observability::prometheus(paths)?.display().to_string()),
    ])
}

/// Prints the variables of `environment` and those for kubectl as shell commands.
pub fn print_environment(paths: &Paths) -> Result<()> {
    for (name, value) in stage("prepare data services for tests", || environment(paths))? {
        println!("export {name}={value}");
    }
    println!("export AGORA_BIN={}", paths.bin.display());
    println!("export CARGO_TARGET_DIR={}", paths.target.display());
    println!("export KUBECONFIG={}", paths.kubeconfig("admin").display());
    println!("export PATH={}:$PATH", paths.bin.display());
    Ok(())
}

/// The tests of all stages; a cluster is needed for those of `tests/e2e` alone.
fn cluster_tests(paths: &Paths) -> Result<Command> {
    let mut features = Workspace::members(paths)?.server_features();
    features.push(CLUSTER_FEATURE.to_owned());
    let mut cargo = cargo_test(paths);
    cargo.args([workspace::ALL_PACKAGES, "--features", &features.join(",")]);
    Ok(cargo)
}

fn cargo_test(paths: &Paths) -> Command {
    in_checkout(paths, command(CARGO_TEST[0], &CARGO_TEST[1..]))
}

/// Sets the folders of a command that runs Cargo, and that it lints what it compiles.
fn in_checkout(paths: &Paths, mut command: Command) -> Command {
    command.current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target).envs(check::linting(paths));
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
