//! The chart's Role grants the operator the rights that it uses, and no others.
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
    verbs: Vec<String>,
}

/// API group and resource.
type Resource = (String, String);

/// The verbs of each resource, of all rules of the template. The rules contain no template directives.
fn granted() -> BTreeMap<Resource, Vec<String>> {
    let text = std::fs::read_to_string(templates().join("role.yaml")).unwrap();
    let (_, after) = text.split_once("\nrules:\n").unwrap();
    let (rules, _) = after.split_once("\n---\n").unwrap();
    let mut granted: BTreeMap<Resource, Vec<String>> = BTreeMap::new();
    for Rule { api_groups, resources, verbs } in serde_yaml::from_str::<Vec<Rule>>(rules).unwrap() {
        for group in &api_groups {
            for resource in &resources {
                granted.entry((group.clone(), resource.clone())).or_default().extend(verbs.iter().cloned());
            }
        }
    }
    granted
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
    let others: [(&str, &str, &[&str]); 3] = [
        ("agoraplatform.dev", "marketplaces", &["list", "watch", "patch"]),
        ("agoraplatform.dev", "marketplaces/status", &["patch"]),
        ("events.k8s.io", "events", &["create", "patch"]),
    ];
    let all = watched.into_iter().chain(others);
    all.map(|(group, resource, verbs)| {
        ((group.to_owned(), resource.to_owned()), verbs.iter().copied().map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn the_role_grants_what_is_needed_and_nothing_else() {
    assert_eq!(granted(), needed());
}

#[test]
fn the_chart_has_one_role_and_no_cluster_role() {
    let mut roles = 0;
    for file in std::fs::read_dir(templates()).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("kind: ClusterRole"));
        roles += text.lines().filter(|line| line.trim() == "kind: Role").count();
    }
    assert_eq!(roles, 1, "the test above reads the rules of one Role");
}
