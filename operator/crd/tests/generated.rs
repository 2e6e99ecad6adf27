//! Compares the committed CRD and the chart's copy with the types. `AGORA_UPDATE=1` rewrites both files.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};

use agora_crd::Marketplace;
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

#[test]
fn the_crd_has_no_unsigned_formats_and_no_empty_name_lists() {
    let text = serde_json::to_string(&Marketplace::crd()).unwrap();
    assert!(!text.contains("\"uint"), "unsigned formats break older clients");
    for empty in ["\"shortNames\":[]", "\"categories\":[]", "\"additionalPrinterColumns\":[]"] {
        assert!(!text.contains(empty));
    }
}
