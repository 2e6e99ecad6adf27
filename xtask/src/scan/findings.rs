//! Findings of scanners, and those that are accepted, each with its reason. Runs nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::environment::Paths;

/// The findings that are accepted.
pub const ACCEPTED: &str = "xtask/data/accepted-findings.yaml";
/// Words of the shortest reason.
const REASON_WORDS_MIN: usize = 5;

/// What a scanner says against an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The set of the object.
    pub set: &'static str,
    pub scanner: &'static str,
    /// The scanner's name of the rule, such as `CKV_K8S_43`.
    pub check: String,
    /// What is wrong, without the object.
    pub text: String,
    /// Kind and name: `Deployment/shop-order`.
    pub object: String,
}

/// A rule that objects may break.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    scanner: String,
    check: String,
    /// The only text that is accepted; any if absent.
    text: Option<String>,
    /// In each of these sets the rule is broken.
    sets: Vec<String>,
    /// Kinds and names, of which `*` at the end stands for any rest; each is needed. All objects if absent.
    objects: Option<Vec<String>>,
    reason: String,
}

impl Acceptance {
    fn covers(&self, finding: &Finding, set: &str, object: &str) -> bool {
        let text = self.text.as_ref().is_none_or(|text| *text == finding.text);
        let rule = self.scanner == finding.scanner && self.check == finding.check && text;
        rule && finding.set == set && matches(object, &finding.object)
    }

    /// Every set with every pattern of objects.
    fn parts(&self) -> Vec<(&str, &str)> {
        let objects: Vec<&str> = match &self.objects {
            Some(objects) => objects.iter().map(String::as_str).collect(),
            None => vec!["*"],
        };
        self.sets.iter().flat_map(|set| objects.iter().map(|object| (set.as_str(), *object))).collect()
    }
}

/// Reads the accepted findings.
pub fn accepted(paths: &Paths) -> Result<Vec<Acceptance>> {
    let text = std::fs::read_to_string(paths.repo.join(ACCEPTED)).with_context(|| format!("reading {ACCEPTED}"))?;
    serde_yaml::from_str(&text).with_context(|| format!("parsing {ACCEPTED}"))
}

/// Findings that no entry accepts, those of one rule on one line, and entries that are not needed or have no reason.
pub fn faults(accepted: &[Acceptance], findings: &[Finding]) -> Vec<String> {
    let is_covered = |finding: &&Finding| {
        accepted.iter().any(|entry| entry.parts().iter().any(|(set, object)| entry.covers(finding, set, object)))
    };
    let mut rules = BTreeMap::<String, Vec<&str>>::new();
    for finding in findings.iter().filter(|finding| !is_covered(finding)) {
        let Finding { set, scanner, check, text, object } = finding;
        rules.entry(format!("{set}: {scanner} {check}: {text}")).or_default().push(object);
    }
    let mut faults: Vec<String> =
        rules.into_iter().map(|(rule, objects)| format!("{rule}: {}", objects.join(", "))).collect();
    for entry in accepted {
        let Acceptance { scanner, check, reason, .. } = entry;
        for (set, object) in entry.parts() {
            if !findings.iter().any(|finding| entry.covers(finding, set, object)) {
                faults
                    .push(format!("{set}: {scanner} {check} is accepted for {object} and not found; delete the entry"));
            }
        }
        if reason.split_whitespace().count() < REASON_WORDS_MIN {
            faults.push(format!("{scanner} {check} is accepted without a reason"));
        }
    }
    faults
}

fn matches(pattern: &str, object: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => object.starts_with(begin),
        None => object == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: &str = "
- {scanner: kube-score, check: tag, sets: [chart, minimal], objects: ['Deployment/*'], reason: a tag is never moved here}
- {scanner: kube-score, check: limits, text: CPU, sets: [chart], reason: a limit would only slow it down}
";

    fn entries() -> Vec<Acceptance> {
        serde_yaml::from_str(ENTRIES).unwrap()
    }

    fn finding(set: &'static str, check: &str, text: &str, object: &str) -> Finding {
        Finding {
            set,
            scanner: "kube-score",
            check: check.to_owned(),
            text: text.to_owned(),
            object: object.to_owned(),
        }
    }

    fn expected() -> Vec<Finding> {
        vec![
            finding("chart", "tag", "latest", "Deployment/a"),
            finding("minimal", "tag", "latest", "Deployment/b"),
            finding("chart", "limits", "CPU", "Job/c"),
        ]
    }

    #[test]
    fn findings_that_entries_accept_are_no_faults() {
        assert_eq!(faults(&entries(), &expected()), Vec::<String>::new());
    }

    #[test]
    fn a_finding_of_another_set_text_or_object_is_a_fault_and_those_of_one_rule_are_on_one_line() {
        for other in [
            finding("production", "tag", "latest", "Deployment/a"),
            finding("chart", "limits", "memory", "Job/c"),
            finding("chart", "tag", "latest", "Job/c"),
        ] {
            let found = faults(&entries(), &[expected(), vec![other.clone()]].concat());
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].ends_with(&other.object), "{found:?}");
        }
        let both = [finding("chart", "root", "uid", "Job/c"), finding("chart", "root", "uid", "Job/d")];
        let found = faults(&entries(), &[expected(), both.to_vec()].concat());
        assert_eq!(found, ["chart: kube-score root: uid: Job/c, Job/d"]);
    }

    #[test]
    fn an_entry_that_accepts_nothing_in_one_of_its_sets_or_has_no_reason_is_a_fault() {
        let found = faults(&entries(), &expected()[1..]);
        assert_eq!(found, ["chart: kube-score tag is accepted for Deployment/* and not found; delete the entry"]);
        let mut unreasoned = entries();
        unreasoned[0].reason = "fine".to_owned();
        assert_eq!(faults(&unreasoned, &expected()), ["kube-score tag is accepted without a reason"]);
    }

    #[test]
    fn every_entry_of_the_project_has_a_reason_and_fails_without_a_finding() {
        let entries: Vec<Acceptance> = serde_yaml::from_str(include_str!("../../data/accepted-findings.yaml")).unwrap();
        let parts: usize = entries.iter().map(|entry| entry.parts().len()).sum();
        let found = faults(&entries, &[]);
        assert_eq!(found.len(), parts, "one for each that no finding needs, and none for a reason: {found:?}");
        assert!(found.iter().all(|fault| fault.ends_with("delete the entry")), "{found:?}");
    }
}
