//! What cargo says of the workspace: crates, their edges, features and licences. Reads; judges nothing.

use anyhow::Result;
use serde::Deserialize;

use crate::command::{command, output};
use crate::environment::Places;

/// The packages that the unit and database tests and the images of the end-to-end tests are compiled from. They are
/// always named together: what Cargo is asked for decides which features it unifies, and so what it compiles again.
pub const WITHOUT_E2E: [&str; 3] = ["--workspace", "--exclude", "agora-e2e"];

#[derive(Debug, Deserialize)]
pub struct Workspace {
    pub packages: Vec<Package>,
    /// Absent where only the members were asked for.
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
    /// `dev`, `build`, or None for a plain one.
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
    /// The members alone.
    pub fn members(places: &Places) -> Result<Self> {
        read(places, &["--no-deps"])
    }

    /// `package/feature` for each package that has one of these features.
    pub fn features_among(&self, wanted: &[&str]) -> Vec<String> {
        let of = |package: &Package| {
            let had = wanted.iter().filter(|feature| package.features.contains_key(**feature));
            had.map(|feature| format!("{}/{feature}", package.name)).collect::<Vec<_>>()
        };
        self.packages.iter().flat_map(of).collect()
    }

    /// Everything that is compiled, with who needs whom.
    pub fn whole(places: &Places) -> Result<Self> {
        read(places, &["--locked"])
    }
}

fn read(places: &Places, options: &[&str]) -> Result<Workspace> {
    let mut cargo = command("cargo", ["metadata", "--format-version", "1"]);
    Ok(serde_json::from_str(&output(cargo.args(options).current_dir(&places.repo))?)?)
}
