//! Runs test programs side by side: most of them wait for servers, leases and time limits longer than they compute.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command::describe;
use crate::progress::note;

/// Programs that run at the same time. Each starts servers of its own and, by default, one test per processor. With three,
/// two processors were never idle, and tests with time limits failed beside other work.
const AT_ONCE: usize = 2;

/// A compiled test program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Cargo's name of the target: of the crate for its unit tests, otherwise of the file or folder in `tests`.
    pub target: String,
    /// Whether it is a target of a folder `tests`.
    pub is_integration: bool,
    executable: PathBuf,
    /// Folder of the package, the working directory of its tests.
    folder: PathBuf,
}

impl Program {
    /// The program as an argument list, for a command that starts it in the folder of its package.
    pub fn run_by(&self, mut starter: Command) -> Command {
        starter.arg(&self.executable).arg("--quiet").current_dir(&self.folder);
        starter.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO", "cargo");
        starter
    }
}

/// What runs beside others: a label, and a command that ends by itself.
#[derive(Debug)]
pub struct Job {
    pub label: String,
    pub command: Command,
}

/// A message of Cargo about a compiled target; other messages lack some of the fields.
#[derive(Debug, Deserialize)]
struct Artifact {
    target: Target,
    profile: Profile,
    manifest_path: PathBuf,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

/// Runs a command of `cargo test`, with `--no-run` added, and returns the programs that it compiled or found compiled.
pub fn compile(cargo: &mut Command) -> Result<Vec<Program>> {
    cargo.args(["--no-run", "--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let name = describe(cargo);
    let Output { status, stdout, .. } = cargo.output().with_context(|| format!("starting `{name}`"))?;
    if !status.success() {
        bail!("`{name}` ended with {status}");
    }
    Ok(programs(&String::from_utf8_lossy(&stdout)))
}

/// The test programs among Cargo's messages, those of folders `tests` first: they take longest.
fn programs(messages: &str) -> Vec<Program> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    let tests = artifacts.filter(|artifact| artifact.profile.test);
    let mut programs: Vec<Program> = tests.filter_map(program).collect();
    programs.sort_by_key(|program| !program.is_integration);
    programs
}

fn program(Artifact { target, manifest_path, executable, .. }: Artifact) -> Option<Program> {
    let folder = manifest_path.parent()?.to_owned();
    let is_integration = target.kind.iter().any(|kind| kind == "test");
    Some(Program { target: target.name, is_integration, executable: executable?, folder })
}

/// Runs all jobs, `AT_ONCE` at a time, in this order. Prints a line for each that passed, and the whole output of each
/// that failed. The error lists the jobs that failed.
pub fn run(jobs: Vec<Job>) -> Result<()> {
    let count = jobs.len();
    let queue = Mutex::new(VecDeque::from(jobs));
    let next = || queue.lock().ok()?.pop_front();
    let work = || {
        let mut failed = Vec::new();
        while let Some(job) = next() {
            let label = job.label.clone();
            failed.extend((!passes(job)).then_some(label));
        }
        failed
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|_| vec!["a worker".to_owned()])).collect()
    });
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of {count} test programs failed: {}", failed.len(), failed.join(", "));
}

fn passes(Job { label, mut command }: Job) -> bool {
    let started = Instant::now();
    let done = command.stdin(Stdio::null()).output();
    let took = started.elapsed();
    match done {
        Ok(done) if done.status.success() => {
            note(&line(&label, took, &summary(&String::from_utf8_lossy(&done.stdout))));
            true
        }
        Ok(Output { status, stdout, stderr }) => {
            let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
            note(&format!("{}\n{stdout}{stderr}", line(&label, took, &format!("FAILED, {status}"))));
            false
        }
        Err(error) => {
            note(&line(&label, took, &format!("FAILED, it did not start: {error}")));
            false
        }
    }
}

fn line(label: &str, took: Duration, result: &str) -> String {
    format!("{label:<40}{:>7.1} s  {result}", took.as_secs_f64())
}

/// Tests that passed and were ignored, over all summary lines of the output.
fn summary(output: &str) -> String {
    let count = |what: &str| -> u32 {
        let lines = output.lines().filter(|line| line.starts_with("test result:"));
        let parts = lines.flat_map(|line| line.split(['.', ';']));
        parts.filter_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u32>().ok()).sum()
    };
    match count("ignored") {
        0 => format!("{} passed", count("passed")),
        ignored => format!("{} passed, {ignored} ignored", count("passed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::command;

    const MESSAGES: &str = r#"
{"reason":"compiler-artifact","package_id":"a","manifest_path":"/w/libs/a/Cargo.toml","target":{"kind":["lib"],"name":"a"},"profile":{"test":true},"executable":"/t/a-1","fresh":true}
{"reason":"compiler-artifact","package_id":"a","manifest_path":"/w/libs/a/Cargo.toml","target":{"kind":["lib"],"name":"a"},"profile":{"test":false},"executable":null,"fresh":true}
{"reason":"build-script-executed","package_id":"b"}
{"reason":"compiler-artifact","package_id":"a","manifest_path":"/w/libs/a/Cargo.toml","target":{"kind":["test"],"name":"tls"},"profile":{"test":true},"executable":"/t/tls-1","fresh":true}
{"reason":"build-finished","success":true}
"#;

    #[test]
    fn test_programs_are_found_in_cargos_messages_with_their_folder() {
        let found = programs(MESSAGES);
        assert_eq!(
            found.iter().map(|one| (one.target.as_str(), one.is_integration)).collect::<Vec<_>>(),
            [("tls", true), ("a", false)]
        );
        let run = found[0].run_by(command("flock", ["lock"]));
        assert_eq!(describe(&run), "flock lock /t/tls-1 --quiet");
        assert_eq!(run.get_current_dir(), Some(std::path::Path::new("/w/libs/a")));
    }

    #[test]
    fn a_failed_program_stops_no_other_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let job =
            |label: &str, script: String| Job { label: label.to_owned(), command: command("sh", ["-c", &script]) };
        let touch = |number: usize| format!("touch {}/{number}", folder.path().display());
        let mut jobs: Vec<Job> = (0..7).map(|number| job("good", touch(number))).collect();
        jobs.insert(1, job("bad", "exit 3".to_owned()));
        assert_eq!(run(jobs).unwrap_err().to_string(), "1 of 8 test programs failed: bad");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 7);
    }

    #[test]
    fn passed_tests_are_counted_over_all_results_of_a_program() {
        let result = |passed, ignored| {
            format!(
                "\nrunning 9 tests\n...\ntest result: ok. {passed} passed; 0 failed; {ignored} ignored; 0 measured; 0 filtered out; finished in 0.01s\n"
            )
        };
        assert_eq!(summary(&result(9, 0)), "9 passed");
        assert_eq!(summary(&[result(9, 0), result(2, 1)].concat()), "11 passed, 1 ignored");
    }
}
