//! Programs of a Go module of this folder, built once per version into a folder of the cache. A module of its own costs the
//! other programs nothing when its versions change.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cluster::versions;
use crate::command::{command, digest, run};
use crate::environment::Paths;
use crate::progress::step;

/// A folder beside `src` with `go.mod`, and the programs that are built there.
pub struct GoModule {
    pub folder: &'static str,
    /// What is built: packages of other modules, or `.` for `main.go` of the folder.
    pub packages: &'static [&'static str],
    /// Build tags with commas between.
    pub tags: &'static str,
}

impl GoModule {
    /// The folder with the programs. Builds them if they are not in the cache.
    pub fn build(&self, paths: &Paths) -> Result<PathBuf> {
        let folder = self.programs(paths)?;
        if folder.exists() {
            return Ok(folder);
        }
        if let Some(fault) = versions::go_fault(paths) {
            bail!(fault);
        }
        std::fs::create_dir_all(&paths.cache)?;
        let parts = tempfile::tempdir_in(&paths.cache).context("creating a folder in the cache")?;
        step(&format!("build {} from its Go modules", self.folder), || {
            let mut build = self.go(paths, "build");
            build.args(["-trimpath", "-ldflags", "-s -w", "-tags", self.tags, "-o"]).arg(parts.path());
            run(build.args(self.packages))
        })?;
        std::fs::rename(parts.keep(), &folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(folder)
    }

    /// Downloads the sources if the programs are not in the cache. Prints nothing.
    pub fn fetch_sources(&self, paths: &Paths) -> Result<()> {
        if self.programs(paths)?.exists() {
            return Ok(());
        }
        run(self.go(paths, "list").args(["-deps", "-tags", self.tags]).args(self.packages))
    }

    /// A folder for each version.
    fn programs(&self, paths: &Paths) -> Result<PathBuf> {
        let source = paths.repo.join("xtask").join(self.folder);
        let files = ["go.mod", "go.sum", "main.go"].map(|file| source.join(file));
        let key = digest(files.into_iter().filter(|file| file.exists()))?;
        Ok(paths.cache.join(format!("{}-{}", self.folder, &key[..12])))
    }

    fn go(&self, paths: &Paths, verb: &str) -> Command {
        let mut go = command("go", [verb]);
        go.current_dir(paths.repo.join("xtask").join(self.folder));
        go.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
        go
    }
}
