//! Whose build output lies in Cargo's folder: checkouts of one user share it. Knows no verb.
//!
//! Cargo knows a crate of the workspace by its path within the checkout, and its sources by their times: what another
//! checkout compiled later than these sources were written passes for compiled here, with that checkout's paths in it.

use std::fs;

use anyhow::{Context, Result};

use crate::command::{command, run};
use crate::environment::Places;
use crate::image::Profile;
use crate::progress::step;
use crate::workspace::Workspace;

/// Names the checkout that compiled last.
const STAMP: &str = "checkout";

/// Makes Cargo's folder this checkout's: what another one compiled of the workspace goes, its dependencies stay.
pub fn take_build_output(places: &Places) -> Result<()> {
    let stamp = places.target.join(STAMP);
    let repo = places.repo.display().to_string();
    if fs::read_to_string(&stamp).is_ok_and(|last| last == repo) {
        return Ok(());
    }
    for profile in [Profile::Ci, Profile::Release] {
        if places.target.join(profile.name()).is_dir() {
            step(&format!("remove another checkout's crates ({})", profile.name()), || clean(places, profile))?;
        }
    }
    fs::create_dir_all(&places.target).with_context(|| format!("making {}", places.target.display()))?;
    fs::write(&stamp, repo).with_context(|| format!("writing {}", stamp.display()))
}

fn clean(places: &Places, profile: Profile) -> Result<()> {
    let mut cargo = command("cargo", ["clean", "--quiet", "--profile", profile.name()]);
    cargo.current_dir(&places.repo).env("CARGO_TARGET_DIR", &places.target);
    for package in Workspace::members(places)?.packages {
        cargo.args(["--package", &package.name]);
    }
    run(&mut cargo)
}
