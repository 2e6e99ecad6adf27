//! CPU time of services, operator, data services, Kubernetes and load generator, from /proc.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use super::memory::running;
use crate::cluster::processes;
use crate::environment::Paths;

/// Unit of times in /proc on Linux (USER_HZ), independent of the kernel's tick.
const TICKS_PER_SECOND: f64 = 100.0;
const KUBERNETES: [&str; 7] =
    ["etcd", "apiserver", "controller-manager", "scheduler", "containerd", "kubelet", "proxy"];

/// CPU seconds used since process start, by name.
pub struct Used {
    at: Instant,
    seconds: BTreeMap<String, f64>,
}

impl Used {
    pub fn now(paths: &Paths) -> Result<Self> {
        let all = all_stats();
        let mut seconds: BTreeMap<String, f64> = BTreeMap::new();
        for process in running()? {
            *seconds.entry(process.name).or_default() += tree(&all, process.pid);
        }
        for name in processes::names(paths) {
            let Some(pid) = processes::alive(paths, &name) else { continue };
            let name = if KUBERNETES.contains(&name.as_str()) { "kubernetes".to_owned() } else { name };
            *seconds.entry(name).or_default() += tree(&all, pid);
        }
        let own = all.get(&std::process::id()).map_or(0.0, |stat| stat.reaped);
        seconds.insert("shoppers".to_owned(), own);
        Ok(Self { at: Instant::now(), seconds })
    }

    /// Prints the CPU seconds used since `before`, largest first.
    pub fn print_since(paths: &Paths, before: &Self) -> Result<()> {
        let now = Self::now(paths)?;
        let since = |(name, seconds): (&String, &f64)| {
            (name.clone(), seconds - before.seconds.get(name).copied().unwrap_or_default())
        };
        let mut used: Vec<(String, f64)> = now.seconds.iter().map(since).collect();
        used.sort_by(|a, b| b.1.total_cmp(&a.1));
        let wall = (now.at - before.at).as_secs_f64();
        let all: f64 = used.iter().map(|(_, seconds)| seconds).sum();
        let parts: Vec<String> = used.iter().map(|(name, seconds)| format!("{name} {seconds:.1}")).collect();
        println!("CPU seconds in {wall:.0} s, including registrations: {all:.0}: {}", parts.join(", "));
        Ok(())
    }
}

/// CPU times of a process in /proc/PID/stat.
struct Stat {
    parent: u32,
    own: f64,
    /// Time of children that have ended.
    reaped: f64,
}

fn all_stats() -> BTreeMap<u32, Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// The command name is in parentheses and may contain spaces, so fields are counted after the last `)`.
fn parse(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth)?.parse::<f64>().ok();
    let own = (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND;
    let reaped = (ticks(13)? + ticks(14)?) / TICKS_PER_SECOND;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, own, reaped })
}

/// Seconds of a process, its ended children and its running children (PostgreSQL is a tree of height two).
fn tree(all: &BTreeMap<u32, Stat>, pid: u32) -> f64 {
    let root = all.get(&pid).map_or(0.0, |stat| stat.own + stat.reaped);
    root + all.values().filter(|stat| stat.parent == pid).map(|stat| stat.own).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_and_ended_children_count() {
        let stat = |parent: u32, own: u32, ended: u32| {
            parse(&format!("7 (a) b) S {parent} 1 7 0 -1 4 1 0 0 0 {own} 0 {ended} 0 20 0 1 0 4711 1 1")).unwrap()
        };
        let all = BTreeMap::from([(7, stat(1, 100, 200)), (8, stat(7, 300, 0)), (9, stat(1, 5000, 0))]);
        assert!((tree(&all, 7) - 6.0).abs() < 1e-9);
    }
}
