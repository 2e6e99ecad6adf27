//! Ownership of Cargo's target folder, which all checkouts of a user share. Must not depend on any command.
//!
//! Cargo identifies a workspace crate by its path within the checkout and detects changes by modification times. It
//! therefore reuses a newer build of another checkout, with that checkout's paths compiled in.

use std::fs;

use anyhow::{Context, Result};

use crate::command::{command, run};
use crate::environment::Paths;
use crate::image::Profile;
use crate::progress::step;
use crate::workspace::Workspace;

/// File that contains the path of the checkout that compiled last.
const STAMP: &str = "checkout";

/// Removes workspace crates that another checkout compiled into the target folder; dependencies stay. Idempotent.
pub fn take_build_output(paths: &Paths) -> Result<()> {
    let stamp = paths.target.join(STAMP);
    let repo = paths.repo.display().to_string();
    if fs::read_to_string(&stamp).is_ok_and(|last| last == repo) {
        return Ok(());
    }
    for profile in [Profile::Ci, Profile::Release] {
        if paths.target.join(profile.name()).is_dir() {
            step(&format!("remove build output of another checkout ({})", profile.name()), || clean(paths, profile))?;
        }
    }
    fs::create_dir_all(&paths.target).with_context(|| format!("creating {}", paths.target.display()))?;
    fs::write(&stamp, repo).with_context(|| format!("writing {}", stamp.display()))
}

fn clean(paths: &Paths, profile: Profile) -> Result<()> {
    let mut cargo = command("cargo", ["clean", "--quiet", "--profile", profile.name()]);
    cargo.current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target);
    for package in Workspace::members(paths)?.packages {
        cargo.args(["--package", &package.name]);
    }
    run(&mut cargo)
}
