//! Generated files: the tests that compare them also write them; the copies of the outbox's migration are made here.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::command::{command, stream};
use crate::environment::Places;
use crate::progress::{note, stage};

const OUTBOX: &str = "libs/outbox/migrations/0001_outbox.sql";

/// Rewrites everything generated. What changed is in `git diff`.
pub fn codegen(places: &Places) -> Result<()> {
    for copy in stale_copies(places)? {
        std::fs::copy(places.repo.join(OUTBOX), places.repo.join(&copy))?;
        note(&format!("wrote {}", copy.display()));
    }
    stage("tests that write what they compare", || {
        let mut cargo = command("cargo", ["test", "--quiet", "--profile", "ci"]);
        cargo
            .args(crate::workspace::WITHOUT_E2E)
            .env("AGORA_UPDATE", "1")
            .env("INSTA_UPDATE", "always")
            .env("INSTA_FORCE_PASS", "1");
        stream(cargo.current_dir(&places.repo).env("CARGO_TARGET_DIR", &places.target))
    })
}

/// What `check` says of generated files; the other ones are compared by ordinary tests.
pub fn faults(places: &Places) -> Result<Vec<String>> {
    let stale = stale_copies(places)?;
    Ok(stale.iter().map(|copy| format!("{} differs from {OUTBOX}; run: cargo xtask codegen", copy.display())).collect())
}

/// Copies of the outbox's migration that differ from it: one in each service that has migrations.
fn stale_copies(places: &Places) -> Result<Vec<PathBuf>> {
    let Ok(original) = std::fs::read(places.repo.join(OUTBOX)) else { return Ok(Vec::new()) };
    let services = std::fs::read_dir(places.repo.join("services")).context("reading services/")?;
    let folders = services.flatten().map(|entry| PathBuf::from("services").join(entry.file_name()).join("migrations"));
    let mut copies: Vec<PathBuf> = folders
        .filter(|folder| places.repo.join(folder).is_dir())
        .map(|folder| folder.join("0001_outbox.sql"))
        .collect();
    copies.retain(|copy| std::fs::read(places.repo.join(copy)).ok().as_ref() != Some(&original));
    copies.sort();
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::write;

    #[test]
    fn a_service_without_the_copy_or_with_another_one_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path().to_owned();
        let places = Places {
            repo: repo.clone(),
            state: repo.clone(),
            cache: repo.clone(),
            bin: repo.clone(),
            target: repo.clone(),
        };
        write(&repo.join(OUTBOX), "create table outbox ();").unwrap();
        std::fs::create_dir_all(repo.join("services/cart/migrations")).unwrap();
        std::fs::create_dir_all(repo.join("services/gateway/src")).unwrap();
        assert_eq!(stale_copies(&places).unwrap(), [PathBuf::from("services/cart/migrations/0001_outbox.sql")]);
        std::fs::copy(repo.join(OUTBOX), repo.join("services/cart/migrations/0001_outbox.sql")).unwrap();
        assert!(stale_copies(&places).unwrap().is_empty());
    }
}
