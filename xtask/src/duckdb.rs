//! DuckDB as a Python package, for the tests that read the event archive with it.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{command, run};
use crate::environment::Paths;
use crate::progress::stage;

const VERSION: &str = "1.5.6";

/// The folder of the package. Installs what is not in the cache. Idempotent.
pub fn ensure(paths: &Paths) -> Result<PathBuf> {
    let folder = paths.cache.join(format!("duckdb-{VERSION}"));
    if !folder.join("duckdb").is_dir() {
        let (unfinished, package) = (paths.cache.join("duckdb-unfinished"), format!("duckdb=={VERSION}"));
        let _ = std::fs::remove_dir_all(&unfinished);
        let mut pip = command("pip3", ["install", "--quiet", "--no-deps", &package, "--target"]);
        stage("install DuckDB from PyPI", || run(pip.arg(&unfinished)))?;
        std::fs::rename(&unfinished, &folder)?;
    }
    Ok(folder)
}
