//! Anonymous memory of the operator and the services, from /proc/PID/smaps_rollup.

use anyhow::Result;

use super::print;

/// A process of the operator or of a service.
#[derive(Debug)]
pub struct Process {
    pub pid: u32,
    /// `agora-operator`, or the name of the service.
    pub name: String,
}

pub fn measure() -> Result<()> {
    for process in running()? {
        let goal = if process.name == "agora-operator" { "20 MiB" } else { "15 MiB" };
        print_one(&process, "", goal);
    }
    Ok(())
}

/// Prints the anonymous memory of these services, with a remark on the time of the measurement.
pub fn measure_services(names: &[&str], when: &str, goal: &str) -> Result<()> {
    for process in running()?.iter().filter(|process| names.contains(&process.name.as_str())) {
        print_one(process, when, goal);
    }
    Ok(())
}

fn print_one(process: &Process, when: &str, goal: &str) {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)).unwrap_or_default();
    let value = anonymous_kib(&text)
        .map_or_else(|| "unknown".to_owned(), |kib| format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024));
    print(&format!("anonymous memory of {}{when}", process.name), &value, goal);
}

fn anonymous_kib(smaps_rollup: &str) -> Option<u64> {
    let line = smaps_rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Every operator and every `agora serve SERVICE` on this host.
pub fn running() -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        found.extend(service_name(&line).map(|name| Process { pid, name }));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// `agora-operator`, or the name of the service, in the arguments of a command line that are separated by NUL.
pub fn service_name(line: &str) -> Option<String> {
    let words: Vec<&str> = line.trim_end_matches('\0').split('\0').collect();
    match words.as_slice() {
        ["/bin/agora-operator", ..] => Some("agora-operator".to_owned()),
        ["/bin/agora", "serve", service, ..] => Some((*service).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_identifies_operator_and_services() {
        assert_eq!(service_name("/bin/agora\0serve\0cart\0").as_deref(), Some("cart"));
        assert_eq!(service_name("/bin/agora-operator\0").as_deref(), Some("agora-operator"));
        assert_eq!(service_name("/bin/agora\0migrate\0cart\0"), None);
        assert_eq!(service_name(""), None);
    }

    #[test]
    fn anonymous_memory_is_read_in_kib() {
        assert_eq!(anonymous_kib("Rss:  900 kB\nAnonymous:           8124 kB\nAnonHugePages: 0 kB\n"), Some(8124));
        assert_eq!(anonymous_kib(""), None);
    }
}
