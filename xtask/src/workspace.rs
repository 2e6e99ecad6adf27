//! Reads `cargo metadata`: crates, dependencies, features and licences. Contains no rules.

use anyhow::Result;
use serde::Deserialize;

use crate::command::{command, output};
use crate::environment::Paths;

/// Packages of all tests and of the images. Always select them together: the selection determines which features Cargo
/// unifies, and a different selection compiles dependencies again.
pub const ALL_PACKAGES: &str = "--workspace";
/// Cargo features that enable tests which start servers: data services, etcd and the Kubernetes API server.
const SERVER_FEATURES: [&str; 2] = ["db-tests", "api-tests"];

#[derive(Debug, Deserialize)]
pub struct Workspace {
    pub packages: Vec<Package>,
    /// Dependency graph; None in `Workspace::members`.
    pub resolve: Option<Resolve>,
}

#[derive(Debug, Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    pub license: Option<String>,
    pub source: Option<String>,
    pub dependencies: Vec<Dependency>,
    pub features: std::collections::BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// `dev`, `build`, or None for a normal dependency.
    pub kind: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Resolve {
    pub nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
pub struct Node {
    pub id: String,
    pub dependencies: Vec<String>,
}

impl Workspace {
    /// Only the members of the workspace, without their dependency graph.
    pub fn members(paths: &Paths) -> Result<Self> {
        read(paths, &["--no-deps"])
    }

    /// `package/feature` for each package with tests that start servers.
    pub fn server_features(&self) -> Vec<String> {
        let of = |package: &Package| {
            let had = SERVER_FEATURES.iter().filter(|feature| package.features.contains_key(**feature));
            had.map(|feature| format!("{}/{feature}", package.name)).collect::<Vec<_>>()
        };
        self.packages.iter().flat_map(of).collect()
    }

    /// All packages and their dependency graph.
    pub fn whole(paths: &Paths) -> Result<Self> {
        read(paths, &["--locked"])
    }
}

fn read(paths: &Paths, options: &[&str]) -> Result<Workspace> {
    let mut cargo = command("cargo", ["metadata", "--format-version", "1"]);
    Ok(serde_json::from_str(&output(cargo.args(options).current_dir(&paths.repo))?)?)
}
