//! Anonymous memory (RssAnon) of the operator and the services, from /proc.

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
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib: u64 = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        let goal = if process.name == "agora-operator" { "20 MiB" } else { "15 MiB" };
        print(
            &format!("anonymous memory of {}", process.name),
            &format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024),
            goal,
        );
    }
    Ok(())
}

/// Every operator and every `agora serve SERVICE` on this host.
pub fn running() -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        found.extend(name(&line).map(|name| Process { pid, name }));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn name(line: &str) -> Option<String> {
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
        assert_eq!(name("/bin/agora\0serve\0cart\0").as_deref(), Some("cart"));
        assert_eq!(name("/bin/agora-operator\0").as_deref(), Some("agora-operator"));
        assert_eq!(name("/bin/agora\0migrate\0cart\0"), None);
        assert_eq!(name(""), None);
    }
}
