//! Compares the committed CRD, the chart's copy and the pages on fields and conditions with the types. `AGORA_UPDATE=1` rewrites the files.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use agora_crd::{ConditionType, Marketplace, Reason};
use kube::CustomResourceExt;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the variable selects the mode of this test; it is not a setting of a service"
)]
fn compare_or_write(path: &str, text: &str) {
    let path = root().join(path);
    if std::env::var_os("AGORA_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{} is stale: run the tests of agora-crd with AGORA_UPDATE=1", path.display());
}

#[test]
fn the_committed_crd_and_the_charts_copy_match_the_types() {
    let mut crd = serde_json::to_value(Marketplace::crd()).unwrap();
    compare_or_write("crds/marketplaces.yaml", &serde_yaml::to_string(&crd).unwrap());
    crd["metadata"]["annotations"] = serde_json::json!({ "helm.sh/resource-policy": "keep" });
    let chart = serde_yaml::to_string(&crd).unwrap();
    assert!(!chart.contains("{{"), "Helm would read the CRD as a template");
    let chart = format!("{{{{- if .Values.crds.create }}}}\n{chart}{{{{- end }}}}\n");
    compare_or_write("charts/agora-operator/templates/crd.yaml", &chart);
}

const CONDITIONS: &str = "\
# Conditions and events

Generated from `operator/crd/src/reasons.rs` by `cargo xtask codegen`; do not edit.

A Marketplace has these conditions, each with a reason and a message that says what was seen and names the remedy:
";

const REASONS: &str = "\
`Stalled` is True while a change by a user is needed; `Ready` then has the same reason. A reason is part of the API: it is not
renamed. `cargo xtask check` finds a reason without a test.

| reason | where | evidence | remedy | test |
|---|---|---|---|---|
";

#[test]
fn the_page_on_conditions_matches_the_reasons() {
    let types = ConditionType::ALL.map(|type_| format!("`{type_}`")).join(", ");
    let row = |reason: &Reason| {
        let row = reason.documentation();
        format!("| `{reason}` | {} | {} | {} | `{}` |\n", row.place, row.evidence, row.remedy, row.test)
    };
    let rows: String = Reason::ALL.iter().map(row).collect();
    let page = format!("{CONDITIONS}{types}.\n\n{REASONS}{rows}");
    compare_or_write("docs/CONDITIONS.md", &page);
}

const FIELDS: &str = "\
# Fields of the Marketplace

Generated from the types of `operator/crd` by `cargo xtask codegen`; do not edit. `kubectl explain marketplace.spec` prints the same.

`[]` is an entry of a list. A default that depends on the profile is in the text; `status.effective` of a Marketplace has the values in use.

| field | type | default | meaning |
|---|---|---|---|
";

/// Keywords of the least and the most of a value, and the unit.
const BOUNDS: [(&str, &str, &str); 4] = [
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " entries"),
    ("minProperties", "maxProperties", " entries"),
];

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The values of an enumeration, or the type with its bounds.
fn type_of(field: &Value) -> String {
    let values = texts(&field["enum"]);
    if !values.is_empty() {
        return values.join(", ");
    }
    let mut text = field["type"].as_str().unwrap_or("any").to_owned();
    for (least, most, unit) in BOUNDS {
        // The schema has whole numbers as floats.
        match (field[least].as_f64(), field[most].as_f64()) {
            (Some(least), Some(most)) => write!(text, ", {least} to {most}{unit}").unwrap(),
            (Some(least), None) => write!(text, ", at least {least}{unit}").unwrap(),
            (None, Some(most)) => write!(text, ", at most {most}{unit}").unwrap(),
            (None, None) => {}
        }
    }
    text
}

/// A row for each field below `schema`, each before those below it.
fn rows_of_fields(path: &str, schema: &Value, rows: &mut String) {
    let required = texts(&schema["required"]);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let default = match &field["default"] {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Value::String(text) => format!("`{text}`"),
            value @ (Value::Bool(_) | Value::Number(_)) => format!("`{value}`"),
            _ => "–".to_owned(),
        };
        let meaning = field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        writeln!(rows, "| `{path}` | {} | {default} | {meaning} |", type_of(field)).unwrap();
        rows_of_fields(&path, field, rows);
        rows_of_fields(&format!("{path}[]"), &field["items"], rows);
    }
}

#[test]
fn the_page_on_fields_has_every_field_of_the_schema() {
    let crd = serde_json::to_value(Marketplace::crd()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut rows = String::new();
    rows_of_fields("spec", spec, &mut rows);
    for field in
        ["spec.payments.stripeCompatible.baseUrl", "spec.services[].database.poolSize", "spec.network.egress[].cidr"]
    {
        assert!(rows.contains(&format!("| `{field}` |")), "{field}");
    }
    compare_or_write("docs/MARKETPLACE.md", &format!("{FIELDS}{rows}"));
}

#[test]
fn every_field_of_the_schema_is_described() {
    let crd = serde_json::to_value(Marketplace::crd()).unwrap();
    let mut rows = String::new();
    for part in ["spec", "status"] {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part];
        rows_of_fields(part, schema, &mut rows);
    }
    let without: Vec<&str> = rows.lines().filter(|row| row.ends_with("|  |")).collect();
    assert!(without.is_empty(), "{without:#?}");
}

#[test]
fn the_crd_has_no_unsigned_formats_and_no_empty_name_lists() {
    let text = serde_json::to_string(&Marketplace::crd()).unwrap();
    assert!(!text.contains("\"uint"), "unsigned formats break older clients");
    for empty in ["\"shortNames\":[]", "\"categories\":[]", "\"additionalPrinterColumns\":[]"] {
        assert!(!text.contains(empty));
    }
}
