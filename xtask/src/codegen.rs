//! Generated files. Snapshot tests write the files that they compare; this module copies the outbox's migrations
//! into the services.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{command, stream};
use crate::environment::Paths;
use crate::progress::{note, stage};

const OUTBOX: &str = "libs/outbox/migrations";
/// The test program of `libs/openapi`.
const DOCUMENTS: &str = "documents";

/// Rewrites every generated file. Idempotent; `git diff` shows the changes.
pub fn codegen(paths: &Paths) -> Result<()> {
    for copy in stale_copies(paths)? {
        std::fs::copy(original(paths, &copy), paths.repo.join(&copy))?;
        note(&format!("wrote {}", copy.display()));
    }
    // The gateway contains the documents of the API, and its tests look at them.
    stage("run the test that writes the documents of the API", || stream(writing(paths).args(["--test", DOCUMENTS])))?;
    stage("run the tests that write generated files", || stream(&mut writing(paths)))
}

/// The tests of all packages, which write the files that they would compare.
fn writing(paths: &Paths) -> Command {
    let mut cargo = command("cargo", ["test", "--quiet", "--profile", "ci"]);
    cargo
        .arg(crate::workspace::ALL_PACKAGES)
        .env("AGORA_UPDATE", "1")
        .env("INSTA_UPDATE", "always")
        .env("INSTA_FORCE_PASS", "1");
    cargo.current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target);
    cargo
}

/// Copies of the outbox's migrations that are out of date. Tests compare all other generated files.
pub fn faults(paths: &Paths) -> Result<Vec<String>> {
    let stale = stale_copies(paths)?;
    Ok(stale.iter().map(|copy| format!("{} differs from {OUTBOX}; run: cargo xtask codegen", copy.display())).collect())
}

/// The migration of the outbox that a service's file copies.
fn original(paths: &Paths, copy: &Path) -> PathBuf {
    paths.repo.join(OUTBOX).join(copy.file_name().unwrap_or_default())
}

/// Copies of the outbox's migrations that are missing or differ; each service with migrations has one of each.
fn stale_copies(paths: &Paths) -> Result<Vec<PathBuf>> {
    let Ok(originals) = std::fs::read_dir(paths.repo.join(OUTBOX)) else { return Ok(Vec::new()) };
    let names: Vec<_> = originals.flatten().map(|entry| entry.file_name()).collect();
    let services = std::fs::read_dir(paths.repo.join("services")).context("reading services/")?;
    let folders = services.flatten().map(|entry| PathBuf::from("services").join(entry.file_name()).join("migrations"));
    let mut copies: Vec<PathBuf> = folders
        .filter(|folder| paths.repo.join(folder).is_dir())
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .collect();
    copies.retain(|copy| std::fs::read(paths.repo.join(copy)).ok() != std::fs::read(original(paths, copy)).ok());
    copies.sort();
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::write;

    #[test]
    fn a_missing_or_different_copy_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path().to_owned();
        let paths = Paths {
            repo: repo.clone(),
            state: repo.clone(),
            cache: repo.clone(),
            bin: repo.clone(),
            target: repo.clone(),
        };
        write(&repo.join(OUTBOX).join("0001_outbox.sql"), "create table outbox ();").unwrap();
        std::fs::create_dir_all(repo.join("services/cart/migrations")).unwrap();
        std::fs::create_dir_all(repo.join("services/gateway/src")).unwrap();
        assert_eq!(stale_copies(&paths).unwrap(), [PathBuf::from("services/cart/migrations/0001_outbox.sql")]);
        let copy = repo.join("services/cart/migrations/0001_outbox.sql");
        std::fs::copy(repo.join(OUTBOX).join("0001_outbox.sql"), copy).unwrap();
        assert!(stale_copies(&paths).unwrap().is_empty());
    }
}
