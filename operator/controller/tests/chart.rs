//! The chart's roles grant the operator the rights that it uses, and no others.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use agora_operator::kinds::Kind;
use serde::Deserialize;

fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/agora-operator/templates")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
    verbs: Vec<String>,
}

/// API group and resource.
type Resource = (String, String);

/// The verbs of each resource, of all rules of role number `number` in a template. The rules contain no template directives.
fn granted(template: &str, number: usize) -> BTreeMap<Resource, Vec<String>> {
    let text = std::fs::read_to_string(templates().join(template)).unwrap();
    let after = text.split("\nrules:\n").nth(number).unwrap();
    let (rules, _) = after.split_once("\n---\n").unwrap();
    let mut granted: BTreeMap<Resource, Vec<String>> = BTreeMap::new();
    for Rule { api_groups, resources, resource_names, verbs } in serde_yaml::from_str::<Vec<Rule>>(rules).unwrap() {
        for group in &api_groups {
            let resources =
                if resource_names.is_empty() { resources.clone() } else { named(&resources, &resource_names) };
            for resource in &resources {
                granted.entry((group.clone(), resource.clone())).or_default().extend(verbs.iter().cloned());
            }
        }
    }
    granted
}

/// `namespaces/kube-system` for a rule that names its objects.
fn named(resources: &[String], names: &[String]) -> Vec<String> {
    resources.iter().flat_map(|resource| names.iter().map(move |name| format!("{resource}/{name}"))).collect()
}

fn needed() -> BTreeMap<Resource, Vec<String>> {
    let watched = Kind::WATCHED.map(|kind| {
        let (group, plural) = kind.group_and_plural();
        let verbs: &[&str] = match kind {
            Kind::Pod => &["list", "watch"],
            _ => &["get", "list", "watch", "create", "update", "delete"],
        };
        (group, plural, verbs)
    });
    // The events of the Job controller say why a migration has no pod.
    let events: &[&str] = &["list", "create", "patch"];
    rights(watched.into_iter().chain([("events.k8s.io", "events", events), ENDPOINTS]))
}

/// They name the ports of the pods behind a data server's Service.
const ENDPOINTS: (&str, &str, &[&str]) = ("discovery.k8s.io", "endpointslices", &["list"]);

/// In namespace `default`.
const EVENTS: (&str, &str, &[&str]) = ("events.k8s.io", "events", &["create", "patch"]);

fn rights<'a>(all: impl IntoIterator<Item = (&'a str, &'a str, &'a [&'a str])>) -> BTreeMap<Resource, Vec<String>> {
    all.into_iter()
        .map(|(group, resource, verbs)| {
            ((group.to_owned(), resource.to_owned()), verbs.iter().copied().map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn the_role_of_a_namespace_grants_what_is_needed_and_nothing_else() {
    assert_eq!(granted("role.yaml", 1), needed());
}

#[test]
fn in_the_namespaces_of_data_servers_the_operator_reads_the_ports_of_services_and_nothing_else() {
    assert_eq!(granted("data-role.yaml", 1), rights([("", "services", ["get"].as_slice()), ENDPOINTS]));
}

#[test]
fn cluster_wide_the_operator_reaches_only_marketplaces_and_the_identity_of_the_cluster() {
    let needed = rights([
        ("agoraplatform.dev", "marketplaces", ["get", "list", "watch", "patch"].as_slice()),
        ("agoraplatform.dev", "marketplaces/status", &["patch"]),
        ("", "namespaces/kube-system", &["get"]),
    ]);
    assert_eq!(granted("cluster-role.yaml", 1), needed);
    assert_eq!(granted("cluster-role.yaml", 2), rights([EVENTS]), "events about deleted namespaces");
}

#[test]
fn the_chart_has_no_other_roles() {
    let (mut roles, mut cluster_roles) = (0, 0);
    for file in std::fs::read_dir(templates()).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        roles += text.lines().filter(|line| line.trim() == "kind: Role").count();
        cluster_roles += text.lines().filter(|line| line.trim() == "kind: ClusterRole").count();
    }
    assert_eq!((roles, cluster_roles), (3, 1), "the tests above read the rules of these roles");
}

#[test]
fn the_chart_can_be_rendered_without_the_definition_of_marketplaces() {
    let text = std::fs::read_to_string(templates().join("crd.yaml")).unwrap();
    assert!(text.starts_with("{{- if .Values.crds.create }}\n") && text.ends_with("{{- end }}\n"));
    let values = std::fs::read_to_string(templates().join("../values.yaml")).unwrap();
    let values: serde_json::Value = serde_yaml::from_str(&values).unwrap();
    assert_eq!(values["crds"]["create"], true, "the first release of a cluster has the definition");
}
