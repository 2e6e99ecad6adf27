//! Packages of PyPI, each in a folder of its own in the cache.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{command, output, run};
use crate::environment::Paths;
use crate::progress::stage;

/// For the test that reads the event archive with it.
pub const DUCKDB: Package = Package { name: "duckdb", version: "1.5.6", needs: Needs::Nothing };
/// A scanner of manifests.
pub const CHECKOV: Package = Package { name: "checkov", version: "3.3.30", needs: Needs::OtherPackages };

/// Prints the version of Python that packages are compiled for.
const PYTHON_VERSION: &str = "import sys; print('%d.%d' % sys.version_info[:2])";

/// A package whose module has its name.
#[derive(Debug)]
pub struct Package {
    name: &'static str,
    version: &'static str,
    needs: Needs,
}

/// Whether a package works without those that it names.
#[derive(Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    OtherPackages,
}

impl Package {
    /// The folder of the package, for `PYTHONPATH`. Installs what is not in the cache. Idempotent.
    pub fn ensure(&self, paths: &Paths) -> Result<PathBuf> {
        let Self { name, version, needs } = self;
        let python = output(&mut command("python3", ["-c", PYTHON_VERSION]))?;
        let folder = paths.cache.join(format!("{name}-{version}-python{}", python.trim()));
        if !folder.join(name).is_dir() {
            let unfinished = paths.cache.join(format!("{name}-unfinished"));
            if unfinished.exists() {
                std::fs::remove_dir_all(&unfinished)?;
            }
            let mut pip = command("python3", ["-m", "pip", "install", "--quiet"]);
            if *needs == Needs::Nothing {
                pip.arg("--no-deps");
            }
            pip.arg(format!("{name}=={version}")).arg("--target").arg(&unfinished);
            stage(&format!("install {name} from PyPI"), || run(&mut pip))?;
            std::fs::rename(&unfinished, &folder)?;
        }
        Ok(folder)
    }
}
