//! Folders and environment variables. The only file of xtask that reads environment variables; must not depend on any
//! command.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::digest;

/// Folders that xtask reads and writes.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Root of the checkout.
    pub repo: PathBuf,
    /// Files of the running cluster; `down` removes them.
    pub state: PathBuf,
    /// Files that are built once per machine: binaries, jars, build output.
    pub cache: PathBuf,
    /// Go binaries of the local cluster; the folder name is a digest of their versions.
    pub bin: PathBuf,
    /// Cargo's build output.
    pub target: PathBuf,
}

impl Paths {
    pub fn find() -> Result<Self> {
        let repo = repository()?;
        let home = PathBuf::from(variable("HOME").context("HOME is not set")?);
        let state = folder("AGORA_STATE", || home.join(".local/state/agora"));
        let cache = folder("XDG_CACHE_HOME", || home.join(".cache")).join("agora");
        let tools =
            ["tools/go.mod", "tools/go.sum", "tools/dns/main.go", "tools-metrics/go.mod", "tools-metrics/go.sum"];
        let key = digest(tools.iter().map(|file| repo.join("xtask").join(file)))?;
        let bin = cache.join("bin").join(&key[..12]);
        let target = folder("CARGO_TARGET_DIR", || cache.join("target"));
        Ok(Self { repo, state, cache, bin, target })
    }

    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.state.join("log").join(format!("{name}.log"))
    }

    pub fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.state.join("kubeconfig").join(format!("{user}.conf"))
    }

    pub fn containerd_socket(&self) -> PathBuf {
        self.run().join("containerd.sock")
    }
}

/// The value of a variable; None if it is unset or empty.
#[expect(clippy::disallowed_methods, reason = "xtask has no Settings; only this function reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The program `name` in a folder of PATH or in a system folder.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = format!("{}:/usr/local/sbin:/usr/sbin:/sbin", variable("PATH").unwrap_or_default());
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.is_file())
}

fn folder(name: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    variable(name).map_or_else(default, PathBuf::from)
}

fn repository() -> Result<PathBuf> {
    let start = match variable("CARGO_MANIFEST_DIR") {
        Some(manifest) => PathBuf::from(manifest),
        None => std::env::current_dir()?,
    };
    match start.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file()) {
        Some(repo) => Ok(repo.to_owned()),
        None => bail!("{} is not inside a checkout of Agora; run `cargo xtask` in one", start.display()),
    }
}
