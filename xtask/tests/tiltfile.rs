//! Executes the Tiltfile with the interpreter that Tilt uses and checks the recorded calls of Tilt's builtins.
//!
//! Requires Go; must not run the commands that Tilt would run.

#![expect(clippy::expect_used, reason = "an unexpected value fails the test")]

use std::process::Command;

use serde_json::Value;

const CONTEXT: &str = "kind-agora";

fn calls() -> Vec<Value> {
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new("go")
        .args(["run", ".", "../../Tiltfile", CONTEXT])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tools-tilt"))
        .output()
        .expect("running go");
    assert!(output.status.success(), "{project}/Tiltfile: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn tilt_uses_the_given_cluster_and_watches_the_sources_of_the_images() {
    let calls = calls();
    let named = |name: &str| calls.iter().filter(|call| call["name"] == name).collect::<Vec<_>>();
    assert_eq!(
        named("allow_k8s_contexts")[0]["args"][0],
        serde_json::json!([CONTEXT]),
        "only the given context is allowed"
    );
    let resources = named("local_resource");
    let shop = resources.iter().find(|call| call["args"][0] == "shop").expect("a resource for the shop");
    assert_eq!(shop["kwargs"]["cmd"], serde_json::json!(["cargo", "xtask", "up", "--context", CONTEXT]));
    for folder in ["libs", "services", "operator", "charts", "manifests"] {
        let watched = shop["kwargs"]["deps"].as_array().expect("a list").iter().any(|path| path == folder);
        let exists = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder).is_dir();
        assert!(watched && exists, "{folder}");
    }
    let by_hand = resources.iter().filter(|call| call["kwargs"]["trigger_mode"] == "manual").count();
    assert_eq!(by_hand, 4, "checks run on request, not after each edit");
}
