//! The processes that `up` starts: each has a recorded pid, with the start time of that pid, and a log file. Only these
//! are ever stopped. Knows nothing of what they do.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::command::{command, last_lines, run, until, write};
use crate::environment::Places;

const POLL: Duration = Duration::from_millis(100);

/// A process to be kept running.
#[derive(Debug)]
pub struct Daemon {
    pub name: &'static str,
    pub command: Vec<String>,
    /// Its configuration file is new, so that a running one must be started again.
    pub changed: bool,
}

impl Daemon {
    pub fn new<S: Into<String>>(name: &'static str, words: impl IntoIterator<Item = S>) -> Self {
        Self { name, command: words.into_iter().map(Into::into).collect(), changed: false }
    }

    /// A command line written as one text, one word between blanks; `{name}` words must not hold blanks.
    pub fn parse(name: &'static str, program: &Path, arguments: &str) -> Self {
        let words = arguments.split_whitespace().map(str::to_owned);
        Self::new(name, std::iter::once(program.display().to_string()).chain(words))
    }
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Record {
    pid: u32,
    /// Field 22 of /proc/PID/stat, ticks since the boot below: tells a process from a later one with its pid.
    started: u64,
    boot: String,
    command: Vec<String>,
}

/// Starts the process unless it runs already with this command line.
pub fn ensure(places: &Places, daemon: &Daemon) -> Result<()> {
    if let Some(record) = recorded(places, daemon.name) {
        if record.command == daemon.command && !daemon.changed {
            return Ok(());
        }
        stop(places, daemon.name, Duration::from_secs(15))?;
    }
    start(places, daemon).with_context(|| format!("starting {}", daemon.name))
}

/// Waits until `probe` says yes; ends early, with the last lines of the log, when the process is gone.
pub fn wait_for(places: &Places, name: &str, limit_seconds: u64, mut probe: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        if probe() {
            return Ok(());
        }
        if alive(places, name).is_none() {
            return Err(trouble(places, name, "has ended"));
        }
        if begun.elapsed() > Duration::from_secs(limit_seconds) {
            return Err(trouble(places, name, &format!("is not ready after {limit_seconds} s")));
        }
        std::thread::sleep(POLL);
    }
}

/// The pid of the recorded process, where it still is that process.
pub fn alive(places: &Places, name: &str) -> Option<u32> {
    recorded(places, name).map(|record| record.pid)
}

/// Names of all recorded processes, running or not.
pub fn names(places: &Places) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(places.run()) else { return Vec::new() };
    let files = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".pid.json")?.to_owned())).collect();
    names.sort();
    names
}

/// Asks the recorded process to end, waits, and kills it at the end of its grace.
pub fn stop(places: &Places, name: &str, grace: Duration) -> Result<()> {
    if let Some(record) = recorded(places, name) {
        signal("TERM", record.pid)?;
        let gone = || started_at(record.pid) != Some(record.started);
        if !until(grace, gone) {
            signal("KILL", record.pid)?;
            if !until(Duration::from_secs(5), gone) {
                bail!(
                    "{name} (pid {}) survives SIGKILL; look with: ps -o pid,stat,wchan,cmd -p {}",
                    record.pid,
                    record.pid
                );
            }
        }
    }
    let _ = std::fs::remove_file(record_file(places, name));
    Ok(())
}

/// Ends the recorded process by a signal of its own, and gives the command that starts it again.
pub fn end(places: &Places, name: &str, by: &str, grace: Duration) -> Result<Vec<String>> {
    let record = recorded(places, name).with_context(|| format!("{name} does not run; start it: cargo xtask up"))?;
    signal(by, record.pid)?;
    if !until(grace, || started_at(record.pid) != Some(record.started)) {
        bail!("{name} (pid {}) did not end within {} s of SIG{by}", record.pid, grace.as_secs());
    }
    Ok(record.command)
}

fn start(places: &Places, daemon: &Daemon) -> Result<()> {
    let log = places.log(daemon.name);
    std::fs::create_dir_all(places.run())?;
    std::fs::create_dir_all(log.parent().context("a log lies in a folder")?)?;
    let file = File::create(&log)?;
    // `setsid` becomes the program under the same pid, as it leads no group here: Ctrl-C in the developer's terminal
    // does not reach it. No variables of the developer (proxies, debug switches) change how it behaves.
    let mut process = Command::new("setsid");
    process.args(&daemon.command).env_clear().env("HOME", &places.state).env("LANG", "C.UTF-8");
    process.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    process.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).current_dir("/");
    let pid = process.spawn()?.id();
    let started = started_at(pid).ok_or_else(|| anyhow!("it ended at once:\n{}", crate::command::tail(&log)))?;
    let record = Record { pid, started, boot: boot_id(), command: daemon.command.clone() };
    write(&record_file(places, daemon.name), &serde_json::to_string_pretty(&record)?)?;
    Ok(())
}

fn recorded(places: &Places, name: &str) -> Option<Record> {
    let text = std::fs::read_to_string(record_file(places, name)).ok()?;
    let record: Record = serde_json::from_str(&text).ok()?;
    (record.boot == boot_id() && started_at(record.pid) == Some(record.started)).then_some(record)
}

fn record_file(places: &Places, name: &str) -> PathBuf {
    places.run().join(format!("{name}.pid.json"))
}

fn trouble(places: &Places, name: &str, what: &str) -> anyhow::Error {
    let log = places.log(name);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    anyhow!("{name} {what}; the last lines of its log:\n{}  look with: less {}", last_lines(&text), log.display())
}

pub fn signal(name: &str, pid: u32) -> Result<()> {
    run(&mut command("kill", ["-s", name, &pid.to_string()]))
        .or_else(|error| if started_at(pid).is_none() { Ok(()) } else { Err(error) })
}

/// This boot of the machine: pids and start times of another one mean nothing.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The start time of a process, None where it is gone or a zombie.
fn started_at(pid: u32) -> Option<u64> {
    start_time(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name stands in brackets and may hold blanks and brackets itself: fields are counted behind the last one.
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

    fn places(state: &Path) -> Places {
        let folder = state.to_owned();
        Places {
            repo: folder.clone(),
            state: folder.clone(),
            cache: folder.clone(),
            bin: folder.clone(),
            target: folder,
        }
    }

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_move_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(start_time(stat), Some(4711));
        assert_eq!(start_time(&stat.replace(") S", ") Z")), None);
    }

    #[test]
    fn a_started_process_is_alive_until_it_is_stopped_and_a_second_start_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let daemon = Daemon::new("sleeper", ["sleep", "60"]);
        ensure(&places, &daemon).unwrap();
        let pid = alive(&places, "sleeper").unwrap();
        ensure(&places, &daemon).unwrap();
        assert_eq!(alive(&places, "sleeper"), Some(pid));
        stop(&places, "sleeper", Duration::from_secs(5)).unwrap();
        assert_eq!(alive(&places, "sleeper"), None);
    }

    #[test]
    fn another_process_under_a_recorded_pid_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let record = Record { pid: other.id(), started: 1, boot: boot_id(), command: Vec::new() };
        write(&record_file(&places, "old"), &serde_json::to_string(&record).unwrap()).unwrap();
        stop(&places, "old", Duration::from_secs(1)).unwrap();
        assert!(other.try_wait().unwrap().is_none(), "the other process was stopped");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_process_that_ends_is_reported_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        ensure(&places, &Daemon::new("short", ["sh", "-c", "sleep 0.3; echo why it ended"])).unwrap();
        let error = wait_for(&places, "short", 20, || false).unwrap_err().to_string();
        assert!(error.contains("has ended") && error.contains("why it ended"), "{error}");
    }
}
