//! The chart's dashboards and rules against the sources: every metric that they name exists, every alert has a test and a line in the
//! runbook. The database tests of `agora` run the queries.
//!
//! Must not start Prometheus.

#![expect(clippy::unwrap_used, reason = "an unexpected value fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Suffixes of the series of a histogram.
const OF_HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];
/// Words of PromQL, and labels and functions that look like names of metrics.
const NO_METRICS: [&str; 12] =
    ["histogram_quantile", "and", "or", "by", "unless", "offset", "rate", "increase", "sum", "min", "max", "topk"];

fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repo().join(file)).unwrap()
}

fn yaml(file: &str) -> Value {
    serde_yaml::from_str(&read(file)).unwrap()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn rules() -> Vec<Value> {
    let file = yaml("charts/agora-operator/monitoring/rules.yaml");
    array(&file["groups"]).flat_map(|group| array(&group["rules"])).cloned().collect()
}

fn alerts() -> BTreeSet<String> {
    rules().iter().filter_map(|rule| rule["alert"].as_str().map(str::to_owned)).collect()
}

fn panels() -> Vec<Value> {
    let file = yaml("charts/agora-operator/monitoring/dashboards.yaml");
    array(&file["dashboards"]).flat_map(|dashboard| array(&dashboard["panels"])).cloned().collect()
}

/// Names of metrics in the sources of services, libraries and operator, and those of the process.
fn metrics() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for folder in ["libs", "services", "operator"] {
        sources(&repo().join(folder), &mut texts);
    }
    let mut names = BTreeSet::from(["up".to_owned()]);
    for text in &texts {
        for begin in ["counter!(", "gauge!(", "histogram!(", "measured_by(", "(\"process_"] {
            for (at, _) in text.match_indices(begin) {
                let name = text[at..].split('"').nth(1).unwrap_or_default();
                names.insert(name.to_owned());
            }
        }
    }
    names
}

fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|end| end == "rs") {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of metrics in a query: its words outside of texts, lists of labels and ranges.
fn named(query: &str) -> Vec<String> {
    let plain: String = query.split('"').step_by(2).collect();
    let pairs = [("by (", ")"), ("{", "}"), ("[", "]")];
    let plain = pairs.iter().fold(plain, |text, (open, close)| without(&text, open, close));
    let words = plain.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':');
    let is_name = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_lowercase()) && word.len() > 1;
    words.filter(is_name).filter(|word| !NO_METRICS.contains(word)).map(str::to_owned).collect()
}

/// The text without what is between each `open` and the next `close`.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut parts = text.split(open);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + " " + part.split_once(close).map_or("", |(_, rest)| rest))
}

#[test]
fn the_metrics_of_a_query_are_its_words_outside_of_labels_and_ranges() {
    let query = "sum by (le, kind) (rate(a_total{x=~\"b[.](c|d)\"}[5m] offset 10m)) / 0 * b:c > 1";
    assert_eq!(named(query), ["a_total", "b:c"]);
}

#[test]
fn de12_every_dashboard_and_rule_asks_for_metrics_that_exist() {
    let (metrics, rules) = (metrics(), rules());
    let recorded: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["record"].as_str()).collect();
    let of_panels: Vec<Value> = panels().iter().flat_map(|panel| array(&panel["queries"])).cloned().collect();
    for query in rules.iter().chain(&of_panels) {
        let expression = query["expr"].as_str().unwrap();
        let names = named(expression);
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            let whole = OF_HISTOGRAM.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
            let known = metrics.contains(&name) || metrics.contains(whole) || recorded.contains(name.as_str());
            assert!(known, "no source has the metric {name}: {expression}");
        }
    }
}

#[test]
fn de12_the_dashboards_show_what_the_designs_ask_for() {
    let file = yaml("charts/agora-operator/monitoring/dashboards.yaml");
    let names: Vec<&str> = array(&file["dashboards"]).map(|dashboard| dashboard["name"].as_str().unwrap()).collect();
    let expected = ["orders", "saga", "events", "money", "latency", "cache", "mail", "operator"];
    assert_eq!(names, expected.map(|name| format!("agora-{name}")));
}

#[test]
fn de13_every_alert_has_a_test_a_severity_and_a_line_in_the_runbook() {
    let tests = yaml("tests/observability/alerts.yaml");
    let tested = array(&tests["tests"]).flat_map(|test| array(&test["alert_rule_test"]));
    let firing = tested.filter(|case| !case["exp_alerts"].as_array().unwrap().is_empty());
    let firing: BTreeSet<String> = firing.map(|case| case["alertname"].as_str().unwrap().to_owned()).collect();
    assert_eq!(firing, alerts());

    let runbook = read("docs/OBSERVABILITY.md");
    for rule in rules().iter().filter(|rule| rule["alert"].is_string()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(url.ends_with(&format!("/docs/OBSERVABILITY.md#{}", name.to_lowercase())), "{url}");
        let (_, line) = runbook.split_once(&format!("#### {name}\n")).unwrap_or_else(|| panic!("no line for {name}"));
        assert!(line.lines().next().is_some_and(|line| line.len() > 40 && !line.starts_with('#')), "{name}");
    }
}
