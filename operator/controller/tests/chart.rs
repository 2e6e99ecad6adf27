//! The chart's Role grants the operator the rights that it uses, and no others.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::path::Path;

use agora_operator::kinds::Kind;

fn role() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/agora-operator/templates/role.yaml");
    std::fs::read_to_string(path).unwrap()
}

/// The verbs that the Role grants on a resource. Reads the lines of the template.
fn verbs(group: &str, resource: &str) -> Vec<String> {
    let text = role();
    let lines: Vec<&str> = text.lines().collect();
    let list = |line: &str| -> Vec<String> {
        let inner = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(inner, _)| inner);
        inner.split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect()
    };
    let rules = lines.windows(3).filter(|rule| rule[0].starts_with("- apiGroups:"));
    rules
        .filter(|rule| list(rule[0]).contains(&group.to_owned()) && list(rule[1]).contains(&resource.to_owned()))
        .flat_map(|rule| list(rule[2]))
        .collect()
}

#[test]
fn the_role_grants_exactly_the_verbs_that_each_kind_needs() {
    for kind in Kind::WATCHED {
        let (group, plural) = kind.group_and_plural();
        let granted = verbs(group, plural);
        let needed: &[&str] = match kind {
            Kind::Pod => &["list", "watch"],
            Kind::Job => &["get", "list", "watch", "create", "delete"],
            _ => &["get", "list", "watch", "create", "patch", "delete"],
        };
        assert_eq!(granted, needed, "{}", kind.word());
    }
}

#[test]
fn the_chart_has_no_wildcard_and_no_cluster_role() {
    assert!(!role().contains('*'));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/agora-operator/templates");
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("kind: ClusterRole"));
    }
}
