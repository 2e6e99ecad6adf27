//! Minimum versions of Go and Java, and whether this machine has them. Changes nothing.

use crate::command::{command, output};
use crate::environment::{Paths, which};

/// Go modules that are built; each names its minimum version of Go.
const MODULES: [&str; 4] = ["tools", "tools-observability", "tools-collector", "tools-manifests"];
/// Kafka's minimum version of Java.
const JAVA_MIN: &str = "17";

/// Why Go cannot build the local cluster; None if it can.
pub fn go_fault(paths: &Paths) -> Option<String> {
    let module = |name: &str| paths.repo.join("xtask").join(name);
    let texts = MODULES.map(|name| std::fs::read_to_string(module(name).join("go.mod")).unwrap_or_default());
    let (name, minimum) = MODULES
        .iter()
        .zip(&texts)
        .map(|(name, text)| (name, go_directive(text)))
        .max_by_key(|(_, version)| numbers(version))?;
    // In the folder of the module, Go selects a newer toolchain if it may download one.
    let found = output(command("go", ["version"]).current_dir(module(name))).unwrap_or_default();
    fault("go", found.split_whitespace().nth(2).unwrap_or_default(), minimum)
        .map(|fault| format!("{fault}; install it from https://go.dev/dl (Debian's package is too old)"))
}

/// Why Java cannot run Kafka; None if it can.
pub fn java_fault() -> Option<String> {
    // Java 8 does not know this option.
    let found = which("java").and_then(|java| output(&mut command(java, ["--version"])).ok()).unwrap_or_default();
    fault("java", found.split_whitespace().nth(1).unwrap_or_default(), JAVA_MIN)
        .map(|fault| format!("{fault}; install it (Debian or Ubuntu: apt-get install default-jre-headless)"))
}

/// A line if the version of the program is lower than `minimum` or unknown.
fn fault(program: &str, found: &str, minimum: &str) -> Option<String> {
    match numbers(found) {
        known if known >= numbers(minimum) => None,
        known if known.is_empty() => Some(format!("{program} {minimum} or newer is required, and was not found")),
        _ => Some(format!("{program} {minimum} or newer is required, found {found}")),
    }
}

/// The version in the line `go 1.26.4` of a go.mod.
fn go_directive(module: &str) -> &str {
    module.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or_default().trim()
}

/// The numbers of a version: `go1.26.4` and `1.26.4-rc` give 1, 26, 4.
fn numbers(version: &str) -> Vec<u32> {
    let version = version.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let end = version.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(version.len());
    version[..end].split('.').filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_or_unknown_version_is_a_fault() {
        for good in ["go1.26.4", "go1.26.10", "go1.27", "go2.0rc1"] {
            assert_eq!(fault("go", good, "1.26.4"), None, "{good}");
        }
        let text = fault("go", "go1.9.7", "1.26.4").unwrap();
        assert_eq!(text, "go 1.26.4 or newer is required, found go1.9.7");
        assert_eq!(fault("java", "", "17").unwrap(), "java 17 or newer is required, and was not found");
        assert_eq!(fault("java", "21-ea", "17"), None);
    }

    #[test]
    fn each_module_names_its_version_of_go() {
        assert_eq!(go_directive("module x\n\ngo 1.26.4\n\nrequire y v1\n"), "1.26.4");
        for text in [
            include_str!("../../tools/go.mod"),
            include_str!("../../tools-observability/go.mod"),
            include_str!("../../tools-collector/go.mod"),
            include_str!("../../tools-manifests/go.mod"),
        ] {
            assert!(numbers(go_directive(text)).len() > 1);
        }
    }
}
