//! Generated files. Snapshot tests write the files that they compare; this module copies the outbox's migration into
//! the services.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::command::{command, stream};
use crate::environment::Paths;
use crate::progress::{note, stage};

const OUTBOX: &str = "libs/outbox/migrations/0001_outbox.sql";

/// Rewrites every generated file. Idempotent; `git diff` shows the changes.
pub fn codegen(paths: &Paths) -> Result<()> {
    for copy in stale_copies(paths)? {
        std::fs::copy(paths.repo.join(OUTBOX), paths.repo.join(&copy))?;
        note(&format!("wrote {}", copy.display()));
    }
    stage("run the tests that write generated files", || {
        let mut cargo = command("cargo", ["test", "--quiet", "--profile", "ci"]);
        cargo
            .args(crate::workspace::WITHOUT_E2E)
            .env("AGORA_UPDATE", "1")
            .env("INSTA_UPDATE", "always")
            .env("INSTA_FORCE_PASS", "1");
        stream(cargo.current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target))
    })
}

/// Copies of the outbox's migration that are out of date. Tests compare all other generated files.
pub fn faults(paths: &Paths) -> Result<Vec<String>> {
    let stale = stale_copies(paths)?;
    Ok(stale.iter().map(|copy| format!("{} differs from {OUTBOX}; run: cargo xtask codegen", copy.display())).collect())
}

/// Copies of the outbox's migration that are missing or differ; each service with migrations has one.
fn stale_copies(paths: &Paths) -> Result<Vec<PathBuf>> {
    let Ok(original) = std::fs::read(paths.repo.join(OUTBOX)) else { return Ok(Vec::new()) };
    let services = std::fs::read_dir(paths.repo.join("services")).context("reading services/")?;
    let folders = services.flatten().map(|entry| PathBuf::from("services").join(entry.file_name()).join("migrations"));
    let mut copies: Vec<PathBuf> = folders
        .filter(|folder| paths.repo.join(folder).is_dir())
        .map(|folder| folder.join("0001_outbox.sql"))
        .collect();
    copies.retain(|copy| std::fs::read(paths.repo.join(copy)).ok().as_ref() != Some(&original));
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
        write(&repo.join(OUTBOX), "create table outbox ();").unwrap();
        std::fs::create_dir_all(repo.join("services/cart/migrations")).unwrap();
        std::fs::create_dir_all(repo.join("services/gateway/src")).unwrap();
        assert_eq!(stale_copies(&paths).unwrap(), [PathBuf::from("services/cart/migrations/0001_outbox.sql")]);
        std::fs::copy(repo.join(OUTBOX), repo.join("services/cart/migrations/0001_outbox.sql")).unwrap();
        assert!(stale_copies(&paths).unwrap().is_empty());
    }
}
