//! Compares the committed CRD, the chart's copy and the page on conditions with the types. `AGORA_UPDATE=1` rewrites the files.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};

use agora_crd::{ConditionType, Marketplace, Reason};
use kube::CustomResourceExt;

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

#[test]
fn the_crd_has_no_unsigned_formats_and_no_empty_name_lists() {
    let text = serde_json::to_string(&Marketplace::crd()).unwrap();
    assert!(!text.contains("\"uint"), "unsigned formats break older clients");
    for empty in ["\"shortNames\":[]", "\"categories\":[]", "\"additionalPrinterColumns\":[]"] {
        assert!(!text.contains(empty));
    }
}
