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
