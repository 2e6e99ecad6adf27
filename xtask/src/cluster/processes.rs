//! The processes that `up` starts: each has a file with its pid and start time, and a log file. No other process is
//! ever stopped. Must not depend on what the processes do.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::command::{command, last_lines, run, until, write};
use crate::environment::Paths;

const POLL: Duration = Duration::from_millis(100);

/// A process that should run.
#[derive(Debug)]
pub struct Daemon {
    pub name: &'static str,
    pub command: Vec<String>,
    /// Whether a configuration file changed, which requires a restart.
    pub changed: bool,
}

impl Daemon {
    pub fn new<S: Into<String>>(name: &'static str, words: impl IntoIterator<Item = S>) -> Self {
        Self { name, command: words.into_iter().map(Into::into).collect(), changed: false }
    }

    /// A command line in one string, split at white space; no word may contain white space.
    pub fn parse(name: &'static str, program: &Path, arguments: &str) -> Self {
        let words = arguments.split_whitespace().map(str::to_owned);
        Self::new(name, std::iter::once(program.display().to_string()).chain(words))
    }
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Record {
    pid: u32,
    /// Field 22 of /proc/PID/stat, in ticks since boot; distinguishes the process from a later one with the same pid.
    started: u64,
    boot: String,
    command: Vec<String>,
}

/// Starts the process unless it runs with this command line. Restarts it if the command line or its configuration
/// changed.
pub fn ensure(paths: &Paths, daemon: &Daemon) -> Result<()> {
    if let Some(record) = recorded(paths, daemon.name) {
        if record.command == daemon.command && !daemon.changed {
            return Ok(());
        }
        stop(paths, daemon.name, Duration::from_secs(15))?;
    }
    start(paths, daemon).with_context(|| format!("starting {}", daemon.name))
}

/// Waits until `probe` returns true. The error contains the last lines of the log; it is returned early if the process
/// ends.
pub fn wait_for(paths: &Paths, name: &str, limit_seconds: u64, mut probe: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    loop {
        if probe() {
            return Ok(());
        }
        if alive(paths, name).is_none() {
            return Err(process_error(paths, name, "has ended"));
        }
        if started.elapsed() > Duration::from_secs(limit_seconds) {
            return Err(process_error(paths, name, &format!("is not ready after {limit_seconds} s")));
        }
        std::thread::sleep(POLL);
    }
}

/// The pid of the recorded process; None if it has ended.
pub fn alive(paths: &Paths, name: &str) -> Option<u32> {
    recorded(paths, name).map(|record| record.pid)
}

/// Names of all recorded processes, running or not.
pub fn names(paths: &Paths) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(paths.run()) else { return Vec::new() };
    let files = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".pid.json")?.to_owned())).collect();
    names.sort();
    names
}

/// Sends SIGTERM to the recorded process and SIGKILL if it still runs after `grace`. Idempotent.
pub fn stop(paths: &Paths, name: &str, grace: Duration) -> Result<()> {
    if let Some(record) = recorded(paths, name) {
        signal("TERM", record.pid)?;
        let gone = || started_at(record.pid) != Some(record.started);
        if !until(grace, gone) {
            signal("KILL", record.pid)?;
            if !until(Duration::from_secs(5), gone) {
                bail!(
                    "{name} (pid {}) still runs after SIGKILL; inspect it: ps -o pid,stat,wchan,cmd -p {}",
                    record.pid,
                    record.pid
                );
            }
        }
    }
    let _ = std::fs::remove_file(record_file(paths, name));
    Ok(())
}

/// Ends the recorded process with a signal and returns the command line that restarts it.
pub fn end(paths: &Paths, name: &str, by: &str, grace: Duration) -> Result<Vec<String>> {
    let record = recorded(paths, name).with_context(|| format!("{name} does not run; start it: cargo xtask up"))?;
    signal(by, record.pid)?;
    if !until(grace, || started_at(record.pid) != Some(record.started)) {
        bail!("{name} (pid {}) did not end within {} s of SIG{by}", record.pid, grace.as_secs());
    }
    Ok(record.command)
}

fn start(paths: &Paths, daemon: &Daemon) -> Result<()> {
    let log = paths.log(daemon.name);
    std::fs::create_dir_all(paths.run())?;
    std::fs::create_dir_all(log.parent().context("the log file has no parent folder")?)?;
    let file = File::create(&log)?;
    // `setsid` executes the program under the same pid in a new session, which Ctrl-C in the user's terminal does not
    // signal. The environment is empty, so that variables of the user (proxies, debug flags) have no effect.
    let mut process = Command::new("setsid");
    process.args(&daemon.command).env_clear().env("HOME", &paths.state).env("LANG", "C.UTF-8");
    process.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    process.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).current_dir("/");
    let pid = process.spawn()?.id();
    let started = started_at(pid).ok_or_else(|| anyhow!("it ended immediately:\n{}", crate::command::tail(&log)))?;
    let record = Record { pid, started, boot: boot_id(), command: daemon.command.clone() };
    write(&record_file(paths, daemon.name), &serde_json::to_string_pretty(&record)?)?;
    Ok(())
}

fn recorded(paths: &Paths, name: &str) -> Option<Record> {
    let text = std::fs::read_to_string(record_file(paths, name)).ok()?;
    let record: Record = serde_json::from_str(&text).ok()?;
    (record.boot == boot_id() && started_at(record.pid) == Some(record.started)).then_some(record)
}

fn record_file(paths: &Paths, name: &str) -> PathBuf {
    paths.run().join(format!("{name}.pid.json"))
}

fn process_error(paths: &Paths, name: &str, what: &str) -> anyhow::Error {
    let log = paths.log(name);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    anyhow!("{name} {what}; the last lines of its log:\n{}  whole log: {}", last_lines(&text), log.display())
}

pub fn signal(name: &str, pid: u32) -> Result<()> {
    run(&mut command("kill", ["-s", name, &pid.to_string()]))
        .or_else(|error| if started_at(pid).is_none() { Ok(()) } else { Err(error) })
}

/// Identifies the current boot of the machine; pids and start times of another boot are invalid.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The start time of a process; None if it has ended or is a zombie.
fn started_at(pid: u32) -> Option<u64> {
    start_time(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name is in parentheses and may contain spaces and parentheses, so fields are counted after the last `)`.
fn start_time(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(state: &Path) -> Paths {
        let folder = state.to_owned();
        Paths {
            repo: folder.clone(),
            state: folder.clone(),
            cache: folder.clone(),
            bin: folder.clone(),
            target: folder,
        }
    }

    #[test]
    fn a_command_name_with_parentheses_and_spaces_is_skipped() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(start_time(stat), Some(4711));
        assert_eq!(start_time(&stat.replace(") S", ") Z")), None);
    }

    #[test]
    fn ensure_is_idempotent_and_stop_ends_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path());
        let daemon = Daemon::new("sleeper", ["sleep", "60"]);
        ensure(&paths, &daemon).unwrap();
        let pid = alive(&paths, "sleeper").unwrap();
        ensure(&paths, &daemon).unwrap();
        assert_eq!(alive(&paths, "sleeper"), Some(pid));
        stop(&paths, "sleeper", Duration::from_secs(5)).unwrap();
        assert_eq!(alive(&paths, "sleeper"), None);
    }

    #[test]
    fn another_process_with_a_recorded_pid_is_not_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path());
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let record = Record { pid: other.id(), started: 1, boot: boot_id(), command: Vec::new() };
        write(&record_file(&paths, "old"), &serde_json::to_string(&record).unwrap()).unwrap();
        stop(&paths, "old", Duration::from_secs(1)).unwrap();
        assert!(other.try_wait().unwrap().is_none(), "the other process was stopped");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn the_error_for_an_ended_process_contains_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path());
        ensure(&paths, &Daemon::new("short", ["sh", "-c", "sleep 0.3; echo why it ended"])).unwrap();
        let error = wait_for(&paths, "short", 20, || false).unwrap_err().to_string();
        assert!(error.contains("has ended") && error.contains("why it ended"), "{error}");
    }
}
