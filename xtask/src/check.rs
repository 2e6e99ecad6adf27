//! Everything that reading the code can find: format, lints, layers, house rules, licences, generated files.

use anyhow::{Result, bail};

use crate::command::{command, run, stream};
use crate::environment::{Places, which};
use crate::progress::{stage, step};
use crate::workspace::Workspace;
use crate::{codegen, layers, licences, tidy};

/// Runs all checks and reports all faults, not the first alone.
pub fn check(places: &Places) -> Result<()> {
    let mut faults = Vec::new();
    faults.extend(step("layers", || Ok(layers::faults(&Workspace::members(places)?)))?);
    faults.extend(step("house rules", || tidy::faults(places))?);
    faults.extend(step("generated files", || codegen::faults(places))?);
    faults.extend(step("licences and sources of dependencies", || {
        let whole = Workspace::whole(places)?;
        Ok([layers::tree_faults(&whole), licences::faults(&whole)].concat())
    })?);
    let format = step("format", || run(command("cargo", ["fmt", "--all", "--check"]).current_dir(&places.repo)));
    faults.extend(format.err().map(|error| format!("{error:#}\n  run: cargo fmt --all")));
    if which("cargo-deny").is_some() {
        let deny = step("cargo deny", || {
            run(command("cargo", ["deny", "--offline", "check", "bans", "licenses", "sources"])
                .current_dir(&places.repo))
        });
        faults.extend(deny.err().map(|error| format!("{error:#}")));
    }
    faults.extend(stage("clippy, warnings denied", || clippy(places)).err().map(|error| format!("{error:#}")));
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{} faults:\n- {}", faults.len(), faults.join("\n- "));
}

fn clippy(places: &Places) -> Result<()> {
    let mut cargo =
        command("cargo", ["clippy", "--quiet", "--profile", "ci", "--workspace", "--all-targets", "--all-features"]);
    stream(cargo.args(["--", "-D", "warnings"]).current_dir(&places.repo).env("CARGO_TARGET_DIR", &places.target))
}
