//! `cargo xtask scan`: kubeconform, kube-score and checkov on every object that the chart, the samples and the manifests of
//! development render to, and checkov on the Dockerfile. Needs no cluster; must not change an object to please a scanner.

use anyhow::{Result, bail};

use crate::cluster::tools;
use crate::environment::Paths;
use crate::progress::{note, stage, step};

mod findings;
mod objects;
mod scanners;
mod schemas;

use scanners::Scanners;

/// Prints what each set of objects contains, and fails if a finding is not accepted or an accepted one does not occur.
pub fn scan(paths: &Paths) -> Result<()> {
    let accepted = findings::accepted(paths)?;
    tools::install(&tools::SCAN_NEEDS)?;
    let scanners = stage("prepare the scanners", || Scanners::ensure(paths))?;
    let sets = step("render the objects", || objects::all(paths))?;
    let folder = tempfile::tempdir()?;
    let mut found = Vec::new();
    for set in &sets {
        let label = format!("{}: {} objects", set.name, set.objects.len());
        found.extend(step(&label, || scanners.scan(set, folder.path()))?);
    }
    found.extend(step("Dockerfile", || scanners.scan_dockerfile(paths))?);
    let faults = findings::faults(&accepted, &found);
    if !faults.is_empty() {
        bail!("{} faults (edit {}):\n- {}", faults.len(), findings::ACCEPTED, faults.join("\n- "));
    }
    note(&format!("{} findings, each accepted by one of {} reasons", found.len(), accepted.len()));
    Ok(())
}
