//! Many Marketplaces on shared servers: runs the measurement of the operator's crate, in Cargo's profile `ci`.

use anyhow::Result;

use crate::cluster::tools;
use crate::command::{command, stream};
use crate::environment::Paths;
use crate::test;

pub fn measure(paths: &Paths, count: u32) -> Result<()> {
    let variables = test::environment(paths)?;
    // Builds etcd and the API server if they are missing.
    tools::build(paths)?;
    let mut cargo =
        command("cargo", ["bench", "--quiet", "--profile", "ci", "-p", "agora-operator", "--bench", "shops"]);
    cargo.args(["--features", "db-tests,api-tests", "--", &count.to_string()]);
    cargo.current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target);
    stream(cargo.envs(variables).env("AGORA_BIN", &paths.bin))
}
