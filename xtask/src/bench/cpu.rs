//! CPU time by part of the system, from /proc: PostgreSQL per database, services, Kafka, and the rest. Reads processes
//! only; must not depend on a load or on the API server.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::memory::service_name;
use crate::cluster::processes;
use crate::environment::Paths;
use crate::up::{MARKETPLACE, NAMESPACE};

/// Unit of times in /proc on Linux (USER_HZ), independent of the kernel's tick.
const TICKS_PER_SECOND: f64 = 100.0;
const KTHREADD: u32 = 2;

/// A group of parts; the order is the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Postgres,
    Services,
    Kafka,
    Vendure,
    Rest,
}

/// A part of the system whose CPU time is measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    pub group: Group,
    pub name: String,
}

/// CPU seconds by part.
pub type PartSeconds = BTreeMap<Part, f64>;

impl Group {
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Services => "services",
            Self::Kafka => "Kafka",
            Self::Vendure => "Vendure",
            Self::Rest => "rest",
        }
    }
}

impl Part {
    pub fn new(group: Group, name: &str) -> Self {
        Self { group, name: name.to_owned() }
    }
}

/// CPU times of all processes at one time.
pub struct CpuSnapshot {
    at: Instant,
    processes: Processes,
}

type Processes = BTreeMap<u32, Process>;

/// CPU times of a process in /proc/PID/stat, and the part to which it belongs.
#[derive(Debug, Clone, PartialEq)]
struct Process {
    part: Part,
    parent: u32,
    /// Ticks since boot; distinguishes the process from a later one with the same pid.
    started: u64,
    /// Seconds of the process and of its children that have ended.
    seconds: f64,
}

/// Processes whose descendants belong to the same part.
pub type Roots = BTreeMap<u32, Part>;

impl CpuSnapshot {
    /// The current CPU times. `more` are roots beside the processes of the local cluster and the load generator.
    pub fn take(paths: &Paths, more: &Roots) -> Result<Self> {
        let mut roots: Roots = processes::names(paths)
            .iter()
            .filter_map(|name| Some((processes::alive(paths, name)?, daemon_part(name))))
            .collect();
        roots.insert(std::process::id(), Part::new(Group::Rest, "load generator"));
        roots.insert(KTHREADD, Part::new(Group::Rest, "kernel threads"));
        roots.extend(more.iter().map(|(pid, part)| (*pid, part.clone())));
        let stats = read_all()?;
        let part = |pid: u32| classify(pid, &stats, &roots);
        let process = |(pid, stat): (&u32, &Stat)| {
            let Stat { parent, started, seconds, .. } = *stat;
            (*pid, Process { part: part(*pid), parent, started, seconds })
        };
        Ok(Self { at: Instant::now(), processes: stats.iter().map(process).collect() })
    }

    /// Wall clock seconds and CPU seconds by part since `before`.
    pub fn since(&self, before: &Self) -> (f64, PartSeconds) {
        ((self.at - before.at).as_secs_f64(), difference(&before.processes, &self.processes))
    }
}

/// CPU seconds by part between two snapshots.
///
/// A process that ended in between is in the time of its parent, with all of its life: what it had used before is
/// subtracted there.
fn difference(before: &Processes, after: &Processes) -> PartSeconds {
    let mut used = PartSeconds::new();
    let same = |pid: &u32, started: u64| after.get(pid).is_some_and(|now| now.started == started);
    for (pid, now) in after {
        let earlier = before.get(pid).filter(|old| old.started == now.started).map_or(0.0, |old| old.seconds);
        *used.entry(now.part.clone()).or_default() += now.seconds - earlier;
    }
    for (_, gone) in before.iter().filter(|(pid, old)| !same(pid, old.started)) {
        let parent = before.get(&gone.parent).filter(|parent| same(&gone.parent, parent.started));
        if let Some(parent) = parent {
            *used.entry(parent.part.clone()).or_default() -= gone.seconds;
        }
    }
    for seconds in used.values_mut() {
        *seconds = seconds.max(0.0);
    }
    used
}

#[derive(Debug, Clone, PartialEq)]
struct Stat {
    parent: u32,
    started: u64,
    seconds: f64,
    /// The command line, or the command name of a process without one.
    title: String,
}

fn read_all() -> Result<BTreeMap<u32, Stat>> {
    let entries = std::fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    // A process may end between the listing and the read.
    Ok(pids.filter_map(|(pid, folder)| Some((pid, read(&folder)?))).collect())
}

fn read(folder: &Path) -> Option<Stat> {
    let title = std::fs::read(folder.join("cmdline")).unwrap_or_default();
    parse(&std::fs::read_to_string(folder.join("stat")).ok()?, &String::from_utf8_lossy(&title))
}

/// The command name is in parentheses and may contain spaces, so fields are counted after the last `)`.
fn parse(stat: &str, command_line: &str) -> Option<Stat> {
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth)?.parse::<f64>().ok();
    let seconds = (ticks(11)? + ticks(12)? + ticks(13)? + ticks(14)?) / TICKS_PER_SECOND;
    let title = match command_line.trim_end_matches('\0') {
        "" => head.split_once('(')?.1,
        line => line,
    };
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        seconds,
        title: title.to_owned(),
    })
}

/// The part of the nearest ancestor that is known, including the process itself.
fn classify(pid: u32, stats: &BTreeMap<u32, Stat>, roots: &Roots) -> Part {
    let own_title = stats.get(&pid).map_or("", |stat| stat.title.as_str());
    let ancestors = std::iter::successors(Some(pid), |pid| stats.get(pid).map(|stat| stat.parent));
    for ancestor in ancestors.take_while(|pid| *pid > 1) {
        let title = stats.get(&ancestor).map_or("", |stat| stat.title.as_str());
        if let Some(part) = service_part(title) {
            return part;
        }
        match roots.get(&ancestor) {
            Some(part) if part.group == Group::Postgres => return backend_part(own_title),
            Some(part) => return part.clone(),
            None if title.contains("containerd-shim") => return Part::new(Group::Rest, "Kubernetes"),
            None => {}
        }
    }
    Part::new(Group::Rest, "other processes")
}

fn service_part(title: &str) -> Option<Part> {
    let name = service_name(title)?;
    let group = if name == "agora-operator" { Group::Rest } else { Group::Services };
    Some(Part::new(group, &name))
}

fn daemon_part(name: &str) -> Part {
    match name {
        "postgres" => Part::new(Group::Postgres, "background"),
        "kafka" => Part::new(Group::Kafka, "broker"),
        "redis" => Part::new(Group::Rest, "Redis"),
        _ => Part::new(Group::Rest, "Kubernetes"),
    }
}

/// The database in the title of a backend, like `postgres: USER DATABASE HOST(PORT) STATE`. Every other process of the
/// server is background, which therefore includes sessions that ended.
fn backend_part(title: &str) -> Part {
    let words: Vec<&str> = title.strip_prefix("postgres: ").unwrap_or_default().split_whitespace().collect();
    let database = match words.as_slice() {
        [_, database, client, ..] if client.contains('(') || *client == "[local]" => *database,
        _ => "background",
    };
    Part::new(Group::Postgres, short_database(database))
}

/// A database of the shop by the name of its service; other names are unchanged.
pub fn short_database(database: &str) -> &str {
    let prefix = format!("{NAMESPACE}_{MARKETPLACE}_");
    database.strip_prefix(&prefix).unwrap_or(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(part: &Part, parent: u32, started: u64, seconds: f64) -> Process {
        Process { part: part.clone(), parent, started, seconds }
    }

    fn stat(parent: u32, title: &str) -> Stat {
        Stat { parent, started: 1, seconds: 0.0, title: title.to_owned() }
    }

    #[test]
    fn a_stat_line_with_spaces_in_the_command_name_is_read() {
        let line = "7 (a) b) S 1 7 7 0 -1 4 1 0 0 0 100 200 300 400 20 0 1 0 4711 1 1";
        let read = parse(line, "").unwrap();
        assert_eq!(read, Stat { parent: 1, started: 4711, seconds: 10.0, title: "a) b".to_owned() });
        assert_eq!(parse(line, "/bin/x\0-y\0").unwrap().title, "/bin/x\0-y");
    }

    #[test]
    fn every_process_belongs_to_its_nearest_known_ancestor() {
        let roots = Roots::from([
            (2, Part::new(Group::Rest, "kernel threads")),
            (10, daemon_part("postgres")),
            (20, daemon_part("kubelet")),
        ]);
        let stats = BTreeMap::from([
            (2, stat(0, "kthreadd")),
            (3, stat(2, "kworker/0:1")),
            (10, stat(1, "/x/postgres\0-D\0/y")),
            (11, stat(10, "postgres: agora shop_shop_order 10.244.0.7(51234) idle")),
            (12, stat(10, "postgres: checkpointer ")),
            (13, stat(10, "postgres: autovacuum worker shop_shop_order")),
            (20, stat(1, "/x/kubelet")),
            (30, stat(1, "/usr/bin/containerd-shim-runc-v2\0-id")),
            (31, stat(30, "/bin/agora\0serve\0cart")),
            (32, stat(30, "/coredns")),
            (40, stat(1, "rustc")),
        ]);
        let part = |pid| classify(pid, &stats, &roots);
        assert_eq!(part(3), Part::new(Group::Rest, "kernel threads"));
        assert_eq!(part(11), Part::new(Group::Postgres, "order"));
        for background in [10, 12, 13] {
            assert_eq!(part(background), Part::new(Group::Postgres, "background"));
        }
        assert_eq!(part(31), Part::new(Group::Services, "cart"));
        assert_eq!((part(20), part(32)), (Part::new(Group::Rest, "Kubernetes"), Part::new(Group::Rest, "Kubernetes")));
        assert_eq!(part(40), Part::new(Group::Rest, "other processes"));
    }

    #[test]
    fn a_program_that_ended_counts_for_the_load_generator_that_started_it() {
        let folder = tempfile::tempdir().unwrap();
        let [repo, state, cache, bin, target] = std::array::from_fn(|_| folder.path().to_owned());
        let paths = Paths { repo, state, cache, bin, target };
        let before = CpuSnapshot::take(&paths, &Roots::new()).unwrap();
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        crate::command::run(&mut crate::command::command("sh", ["-c", busy])).unwrap();
        let (wall, used) = CpuSnapshot::take(&paths, &Roots::new()).unwrap().since(&before);
        let seconds = used[&Part::new(Group::Rest, "load generator")];
        assert!(seconds > 0.02 && wall > 0.0, "{seconds} s of CPU time in {wall} s");
        assert!(used.contains_key(&Part::new(Group::Rest, "kernel threads")));
    }

    #[test]
    fn an_ended_process_counts_only_with_its_time_in_the_window() {
        let (background, order) = (Part::new(Group::Postgres, "background"), Part::new(Group::Postgres, "order"));
        let before = Processes::from([
            (10, process(&background, 1, 1, 5.0)),
            (11, process(&order, 10, 2, 3.0)),
            (12, process(&order, 10, 3, 7.0)),
        ]);
        // 11 continues; 12 used one second more and ended; its pid belongs to a new process.
        let after = Processes::from([
            (10, process(&background, 1, 1, 5.5 + 8.0)),
            (11, process(&order, 10, 2, 4.0)),
            (12, process(&order, 10, 9, 0.25)),
        ]);
        let used = difference(&before, &after);
        assert!((used[&order] - 1.25).abs() < 1e-9, "{used:?}");
        assert!((used[&background] - 1.5).abs() < 1e-9, "{used:?}");
    }
}
