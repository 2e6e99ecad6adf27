//! DuckDB as a Python package, for the test that reads the event archive with it.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{command, output, run};
use crate::environment::Paths;
use crate::progress::stage;

const VERSION: &str = "1.5.6";
/// Prints the version of Python that the package is compiled for.
const PYTHON_VERSION: &str = "import sys; print('%d.%d' % sys.version_info[:2])";

/// The folder of the package. Installs what is not in the cache. Idempotent.
pub fn ensure(paths: &Paths) -> Result<PathBuf> {
    let python = output(&mut command("python3", ["-c", PYTHON_VERSION]))?;
    let folder = paths.cache.join(format!("duckdb-{VERSION}-python{}", python.trim()));
    if !folder.join("duckdb").is_dir() {
        let (unfinished, package) = (paths.cache.join("duckdb-unfinished"), format!("duckdb=={VERSION}"));
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)?;
        }
        let mut pip = command("python3", ["-m", "pip", "install", "--quiet", "--no-deps", &package, "--target"]);
        stage("install DuckDB from PyPI", || run(pip.arg(&unfinished)))?;
        std::fs::rename(&unfinished, &folder)?;
    }
    Ok(folder)
}
