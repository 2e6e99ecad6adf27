//! Compares the versions of tools that several files name: toolchain, manifests, CI, devcontainer and documents.
//!
//! Must not run any of the tools.

#![expect(clippy::expect_used, reason = "an unexpected value fails the test")]

use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The text between `before` and the next character of `end`.
fn value(file: &str, before: &str, end: &[char]) -> String {
    let text = read(file);
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{file} contains no `{before}`"));
    rest.split(end).next().expect("a first part").to_owned()
}

#[test]
fn every_file_names_the_same_rust_version() {
    let pinned = value("rust-toolchain.toml", "channel = \"", &['"']);
    let minimum = value("Cargo.toml", "rust-version = \"", &['"']);
    let devcontainer = value(".devcontainer/devcontainer.json", "features/rust:1\": {\"version\": \"", &['"']);
    assert_eq!(pinned.split('.').count(), 3, "an exact version: {pinned}");
    assert!(pinned.starts_with(&format!("{minimum}.")), "Cargo.toml: {minimum}, rust-toolchain.toml: {pinned}");
    assert_eq!(devcontainer, pinned, ".devcontainer");
}

#[test]
fn ci_and_documents_name_the_versions_that_xtask_checks() {
    let go = value("xtask/tools-observability/go.mod", "\ngo ", &['\n']);
    let java = value("xtask/src/cluster/versions.rs", "JAVA_MIN: &str = \"", &['"']);
    let gib = |name: &str| value("xtask/src/cluster/preflight.rs", &format!("{name}: u64 = "), &[' ']);
    let minor = go.rsplit_once('.').expect("three numbers").0;

    let (ci, devcontainer) = (".github/workflows/ci.yml", ".devcontainer/devcontainer.json");
    assert_eq!(value(ci, "go-version: \"", &['"']), minor);
    assert_eq!(value(ci, "java-version: \"", &['"']), java);
    assert_eq!(value(devcontainer, "features/go:1\": {\"version\": \"", &['"']), minor);
    assert_eq!(value(devcontainer, "features/java:1\": {\"version\": \"", &['"']), java);
    for file in ["README.md", "CONTRIBUTING.md"] {
        let text = read(file).replace('\n', " ");
        assert!(text.contains(&format!("Go {go} or newer")), "{file}: Go {go}");
        assert!(text.contains(&format!("JRE {java} or newer")), "{file}: JRE {java}");
    }
    for file in ["README.md", "docs/CI.md"] {
        let text = read(file).replace('\n', " ");
        assert!(text.contains(&format!("{} GiB of free memory", gib("MEMORY_FREE_MIB_MIN"))), "{file}: memory");
        assert!(text.contains(&format!("{} GiB of free disk", gib("DISK_FREE_MIB_MIN"))), "{file}: disk");
    }
}
