//! A load generator that runs while something else is measured. Its warm-up, measured seconds and end are counted from
//! the line that it prints when the first visit starts.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Printed by `agora-shopper` on standard error when the first visit starts.
const START: &str = "load starts";
/// Registrations before the first visit hash passwords.
const START_SECONDS_MAX: u64 = 900;

/// A started load generator; dropping it ends the program.
pub struct RunningLoad {
    child: Child,
    started: Instant,
}

impl RunningLoad {
    /// Starts the program and returns when its first visit starts.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn().context("starting the load generator")?;
        let stderr = child.stderr.take().context("the load generator has no standard error")?;
        let (send, received) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("  {line}");
                if line == START {
                    let _ = send.send(Instant::now());
                }
            }
        });
        let mut load = Self { child, started: Instant::now() };
        match received.recv_timeout(Duration::from_secs(START_SECONDS_MAX)) {
            Ok(started) => load.started = started,
            Err(RecvTimeoutError::Disconnected) => bail!("the load generator ended before its first visit"),
            Err(RecvTimeoutError::Timeout) => bail!("no visit started within {START_SECONDS_MAX} s"),
        }
        Ok(load)
    }

    /// Sleeps until this many seconds after the first visit; an error if the load ends before.
    pub fn sleep_until(&mut self, seconds: u32) -> Result<()> {
        let left = Duration::from_secs(seconds.into()).saturating_sub(self.started.elapsed());
        std::thread::sleep(left);
        match self.child.try_wait()? {
            Some(status) => bail!("the load generator ended with {status} in the measured time"),
            None => Ok(()),
        }
    }

    /// Waits for the end of the program; an error if it fails.
    pub fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the load generator ended with {status}");
        }
        Ok(())
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::command;

    #[test]
    fn the_load_starts_with_its_line_and_reports_its_end() {
        let script = |end: &str| command("sh", ["-c", &format!("echo registering >&2; echo '{START}' >&2; {end}")]);
        let mut load = RunningLoad::start(&mut script("exec sleep 60")).unwrap();
        load.sleep_until(0).unwrap();
        drop(load);
        assert!(RunningLoad::start(&mut script("exit 3")).unwrap().finish().is_err());
        assert!(RunningLoad::start(&mut command("sh", ["-c", "exit 0"])).is_err());
    }
}
