//! Every Kubernetes object of the project: what the chart renders to, what the operator makes of each sample according to
//! its snapshots, and the manifests of development. Needs no cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cluster::tools;
use crate::command::{command, output, write};
use crate::environment::Paths;

const CHART: &str = "chart";
const SAMPLES: [&str; 2] = ["minimal", "production"];
const DEVELOPMENT: &str = "development";
const DATA_ON_HOST: &str = "data-on-host";

const SNAPSHOTS: &str = "operator/controller/tests/decisions/snapshots";
const MANIFESTS: &str = "manifests/dev";
/// The namespace that the chart is installed in, and settings with which it renders all that it can.
const NAMESPACE: &str = "agora-system";
const SETTINGS: [&str; 5] = [
    "watchNamespaces={shop}",
    "dataNamespaces={data}",
    "monitoring.podMonitor=true",
    "monitoring.rules=PrometheusRule",
    "monitoring.dashboards=true",
];
const CLUSTER_SCOPED: [&str; 4] = ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace"];
/// The image of the mailbox in its manifest, which `cargo xtask up` replaces by the one that it built.
const BUILT_IMAGE: [&str; 2] = ["agora.local/agora:latest", "agora.local/agora:development"];

/// Objects that are applied together.
pub struct ObjectSet {
    pub name: &'static str,
    pub objects: Vec<Value>,
}

impl ObjectSet {
    /// Writes the objects to `<name>/<name>.yaml` below `folder`, one document of JSON each; returns the name of the file.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let documents: Vec<String> = self.objects.iter().map(|object| format!("{object:#}")).collect();
        let file = folder.join(self.name).join(format!("{}.yaml", self.name));
        write(&file, &documents.join("\n---\n"))?;
        Ok(file)
    }
}

/// Renders every set.
pub fn all(paths: &Paths) -> Result<Vec<ObjectSet>> {
    let mut sets = vec![ObjectSet { name: CHART, objects: chart(paths)? }];
    for name in SAMPLES {
        sets.push(ObjectSet { name, objects: sample(paths, name)? });
    }
    // Both have Services of the same names.
    let (on_host, others) = development(paths)?;
    sets.push(ObjectSet { name: DEVELOPMENT, objects: others });
    sets.push(ObjectSet { name: DATA_ON_HOST, objects: on_host });
    Ok(sets)
}

fn chart(paths: &Paths) -> Result<Vec<Value>> {
    let mut helm = command(tools::helm(paths)?, ["template", "agora-operator", "--namespace", NAMESPACE]);
    for setting in SETTINGS {
        helm.args(["--set", setting]);
    }
    let text = output(helm.arg(paths.repo.join("charts/agora-operator")))?;
    let mut objects = documents(&text).context("the rendered chart")?;
    objects.iter_mut().for_each(as_installed);
    Ok(objects)
}

/// Sets the namespace where Helm does when it installs.
fn as_installed(object: &mut Value) {
    let is_namespaced = !CLUSTER_SCOPED.iter().any(|kind| object["kind"] == *kind);
    if is_namespaced && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!(NAMESPACE);
    }
}

/// The sample itself, and what the operator makes of it.
fn sample(paths: &Paths, name: &str) -> Result<Vec<Value>> {
    let file = format!("{SNAPSHOTS}/decisions__desired__the_objects_of_the_{name}_sample.snap");
    let snapshot = read(paths, &file)?;
    let (_, rendered) = snapshot.split_once("\n---\n").with_context(|| format!("{file} is no snapshot"))?;
    let manifest = read(paths, &format!("manifests/samples/{name}.yaml"))?;
    let mut objects = documents(&manifest).with_context(|| format!("the sample {name}"))?;
    objects.extend(documents(rendered).with_context(|| file.clone())?);
    Ok(objects)
}

/// The data services on the host, and all other manifests.
fn development(paths: &Paths) -> Result<(Vec<Value>, Vec<Value>)> {
    let folder = std::fs::read_dir(paths.repo.join(MANIFESTS)).with_context(|| format!("reading {MANIFESTS}"))?;
    let mut files: Vec<String> =
        folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    files.sort();
    let (mut on_host, mut others) = (Vec::new(), Vec::new());
    for file in files {
        let text = read(paths, &format!("{MANIFESTS}/{file}"))?.replace(BUILT_IMAGE[0], BUILT_IMAGE[1]);
        let objects = documents(&text).with_context(|| format!("{MANIFESTS}/{file}"))?;
        let is_on_host = file.strip_suffix(".yaml") == Some(DATA_ON_HOST);
        let part = if is_on_host { &mut on_host } else { &mut others };
        part.extend(objects);
    }
    Ok((on_host, others))
}

fn read(paths: &Paths, file: &str) -> Result<String> {
    std::fs::read_to_string(paths.repo.join(file)).with_context(|| format!("reading {file}"))
}

/// The documents of a YAML text that contain anything.
fn documents(text: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_yaml::from_multiple(text)?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Paths {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Paths { state: repo.clone(), cache: repo.clone(), bin: repo.clone(), target: repo.clone(), repo }
    }

    #[test]
    fn a_sample_is_the_resource_and_all_that_the_operator_makes_of_it() {
        for name in SAMPLES {
            let objects = sample(&paths(), name).unwrap();
            assert_eq!(objects[0]["kind"], "Marketplace");
            let of_kind = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).count();
            assert_eq!(of_kind("Deployment"), agora_topology::ALL.len(), "{name}");
            assert_eq!(objects.iter().filter(|object| object["metadata"]["name"].is_null()).count(), 0, "{name}");
        }
    }

    #[test]
    fn every_manifest_of_development_is_in_one_of_two_sets_and_no_object_twice() {
        let (on_host, others) = development(&paths()).unwrap();
        assert!(on_host.iter().any(|object| object["kind"] == "EndpointSlice"));
        let names = |objects: &[Value]| -> Vec<String> {
            let name = |object: &Value| {
                format!("{} {} {}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"])
            };
            objects.iter().map(name).collect()
        };
        for mut set in [names(&on_host), names(&others)] {
            let count = set.len();
            set.sort();
            set.dedup();
            assert_eq!(set.len(), count);
        }
        assert!(others.iter().all(|object| !object.to_string().contains(":latest")), "the image is replaced");
    }

    #[test]
    fn an_object_without_a_namespace_gets_that_of_the_release_unless_it_has_none() {
        let namespace = |kind: &str| {
            let mut object = json!({"kind": kind, "metadata": {"name": "a"}});
            as_installed(&mut object);
            object["metadata"]["namespace"].clone()
        };
        assert_eq!(namespace("Deployment"), NAMESPACE);
        assert!(namespace("ClusterRole").is_null());
    }
}
