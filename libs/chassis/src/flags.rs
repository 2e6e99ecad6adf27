//! Feature flags of a process: their values, and a file that changes them while the process runs. Knows no service.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agora_vocab::Flag;

use crate::process::Process;

/// Interval at which the file is read again.
const READ_INTERVAL: Duration = Duration::from_secs(2);

/// The values of all flags of a process; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Flags(Arc<BTreeMap<Flag, AtomicBool>>);

/// One flag where it is used. Clones share its value.
#[derive(Clone, Debug)]
pub struct FlagSwitch {
    flags: Flags,
    flag: Flag,
}

/// Why the text of a flag file is not taken over.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct FlagFault {
    line: usize,
    reason: String,
}

impl Default for Flags {
    fn default() -> Self {
        let values = Flag::ALL.iter().map(|flag| (*flag, AtomicBool::new(flag.is_on_by_default())));
        Self(Arc::new(values.collect()))
    }
}

impl Flags {
    pub fn switch(&self, flag: Flag) -> FlagSwitch {
        FlagSwitch { flags: self.clone(), flag }
    }

    /// Every flag by its name.
    pub fn list(&self) -> BTreeMap<&'static str, bool> {
        self.0.iter().map(|(flag, value)| (flag.as_str(), value.load(Ordering::Relaxed))).collect()
    }

    /// Sets every flag: as the text says, the others to their defaults. A text with a fault changes nothing.
    pub fn take_over(&self, text: &str) -> Result<(), FlagFault> {
        let decided = parse(text)?;
        for (flag, value) in self.0.iter() {
            let on = decided.get(flag).copied().unwrap_or_else(|| flag.is_on_by_default());
            if value.swap(on, Ordering::Relaxed) != on {
                tracing::info!(flag = flag.as_str(), on, "a feature flag changed");
            }
        }
        Ok(())
    }
}

impl FlagSwitch {
    /// Whether the part is on now.
    pub fn is_on(&self) -> bool {
        self.flags.0.get(&self.flag).is_none_or(|value| value.load(Ordering::Relaxed))
    }
}

/// A line for each flag that differs from its default: `takeOrders: false`. Empty lines and those that begin with `#` say
/// nothing.
fn parse(text: &str) -> Result<BTreeMap<Flag, bool>, FlagFault> {
    let mut decided = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |reason: String| FlagFault { line: number, reason };
        let (name, value) =
            line.split_once(':').ok_or_else(|| fault("must be `<flag>: true` or `<flag>: false`".to_owned()))?;
        let flag: Flag = name.trim().parse().map_err(|error: agora_vocab::Invalid| fault(error.to_string()))?;
        let value = value.trim().parse::<bool>().map_err(|_| fault(format!("{flag} must be true or false")))?;
        if decided.insert(flag, value).is_some() {
            return Err(fault(format!("{flag} is set twice")));
        }
    }
    Ok(decided)
}

/// Takes over the file now and whenever it changes, until the process ends. Without the file, every flag has its default. While
/// its text has a fault, the last values stay and `flags` is listed as degraded.
pub(crate) async fn follow(process: Process, path: PathBuf) {
    let (dependency, shutdown) = (process.dependency("flags"), process.shutdown());
    let mut seen = None;
    loop {
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        };
        match text {
            Ok(text) if seen.as_ref() != Some(&text) => {
                match process.flags().take_over(&text) {
                    Ok(()) => dependency.up(),
                    Err(fault) => dependency.down(format!("the flags stay as they were: {fault}")),
                }
                seen = Some(text);
            }
            Ok(_) => {}
            Err(error) => dependency.down(format!("the flags stay as they were: {error}")),
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(READ_INTERVAL)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use agora_vocab::Flag;

    use super::{Flags, follow};
    use crate::process::Process;

    #[test]
    fn de16_a_text_with_a_fault_changes_no_flag_and_says_what_to_write() {
        let flags = Flags::default();
        let orders = flags.switch(Flag::TakeOrders);
        flags.take_over("# closed for the night\n\ntakeOrders: false\n").unwrap();
        assert!(!orders.is_on() && flags.switch(Flag::StartPromotions).is_on());
        for (text, said) in [
            ("takeOrders true", "line 1: must be `<flag>: true` or `<flag>: false`"),
            ("\ntakeOrders: yes", "line 2: takeOrders must be true or false"),
            ("takeOrders: true\ntakeOrders: true", "line 2: takeOrders is set twice"),
        ] {
            assert_eq!(flags.take_over(text).unwrap_err().to_string(), said);
        }
        let unknown = flags.take_over("takeorders: true").unwrap_err().to_string();
        assert!(unknown.starts_with("line 1: flag: must be one of takeOrders, "), "{unknown}");
        assert!(!orders.is_on(), "as before");
        flags.take_over("").unwrap();
        assert!(orders.is_on(), "its default");
    }

    async fn until(what: &str, done: impl Fn() -> bool) {
        let give_up = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < give_up, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn de16_a_changed_file_is_taken_over_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flags");
        let process = Process::for_test("order");
        let orders = process.flag(Flag::TakeOrders);
        process.track(follow(process.clone(), path.clone()));
        assert!(orders.is_on(), "there is no file");

        std::fs::write(&path, "takeOrders: false\n").unwrap();
        until("the flag is turned off", || !orders.is_on()).await;
        std::fs::write(&path, "takeOrders: off\n").unwrap();
        until("the fault is listed", || !process.readiness().degraded.is_empty()).await;
        assert!(!orders.is_on() && process.readiness().degraded[0].name == "flags");

        std::fs::remove_file(&path).unwrap();
        until("the flag has its default", || orders.is_on()).await;
        until("nothing is listed", || process.readiness().degraded.is_empty()).await;
        process.end().await;
    }
}
