//! The check stage: formatting, lints, dependency rules, source rules, licences, generated files. Starts no server.

use std::ffi::OsString;

use anyhow::{Result, bail};

use crate::command::{command, run, stream};
use crate::environment::{Paths, which};
use crate::progress::{stage, step};
use crate::workspace::Workspace;
use crate::{codegen, layers, licences, rooms, tidy, words};

/// Environment of a Cargo command that lints what it compiles, as `cargo clippy -- -D warnings` does. Clippy's driver is a
/// compiler, so that tests and lints need one compilation of each crate, not two.
pub fn linting(paths: &Paths) -> [(&'static str, OsString); 2] {
    [
        ("RUSTC_WORKSPACE_WRAPPER", paths.repo.join("xtask/data/compiler").into()),
        ("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__".into()),
    ]
}

/// Runs all checks, without clippy if a later stage lints what it compiles. The error lists every violation, not only the
/// first.
pub fn check(paths: &Paths, with_clippy: bool) -> Result<()> {
    let mut faults = Vec::new();
    faults.extend(step("dependency rules", || Ok(layers::faults(&Workspace::members(paths)?)))?);
    faults.extend(step("source rules", || tidy::faults(paths))?);
    faults.extend(step("words", || words::faults(paths))?);
    faults.extend(step("rooms of the operator, shape of the services", || rooms::faults(paths))?);
    faults.extend(step("generated files", || codegen::faults(paths))?);
    faults.extend(step("licences and sources of dependencies", || {
        let whole = Workspace::whole(paths)?;
        Ok([layers::tree_faults(&whole), licences::faults(&whole)].concat())
    })?);
    let format = step("formatting", || run(command("cargo", ["fmt", "--all", "--check"]).current_dir(&paths.repo)));
    faults.extend(format.err().map(|error| format!("{error:#}\n  run: cargo fmt --all")));
    if which("cargo-deny").is_some() {
        let deny = step("cargo deny", || {
            run(command("cargo", ["deny", "--offline", "check", "bans", "licenses", "sources"])
                .current_dir(&paths.repo))
        });
        faults.extend(deny.err().map(|error| format!("{error:#}")));
    }
    if with_clippy {
        faults.extend(stage("clippy (warnings are errors)", || clippy(paths)).err().map(|error| format!("{error:#}")));
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{} violations:\n- {}", faults.len(), faults.join("\n- "));
}

fn clippy(paths: &Paths) -> Result<()> {
    let mut cargo =
        command("cargo", ["clippy", "--quiet", "--profile", "ci", "--workspace", "--all-targets", "--all-features"]);
    stream(cargo.args(["--", "-D", "warnings"]).current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target))
}
