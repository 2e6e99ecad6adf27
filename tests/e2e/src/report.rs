//! Diagnostics of a failed scenario: conditions, pods, events and logs. Must not change the cluster.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use serde_json::Value;

use crate::{
    cluster::{Cluster, EVENT, POD, name, text},
    world::{OPERATOR_NAMESPACE, World},
};

const OPERATOR_LINES_MAX: i64 = 60;
const SERVICE_LINES_MAX: i64 = 15;
const EVENTS_MAX: usize = 20;

/// Prints conditions, pods, events, and logs of the operator and of pods that are not ready. Skips what cannot be read.
pub async fn dump(world: &World) {
    println!("--- conditions\n{}", world.market.conditions().await);
    let pods = world.cluster.list(POD, "").await.unwrap_or_default();
    println!("--- pods\n{}", pod_lines(&pods));
    println!("--- events");
    let mut events = world.cluster.list(EVENT, "").await.unwrap_or_default();
    events.sort_by_key(|event| text(&event["metadata"]["creationTimestamp"]).to_owned());
    for event in events.iter().rev().take(EVENTS_MAX).rev() {
        let object = &event["involvedObject"];
        let (kind, of) = (text(&object["kind"]), text(&object["name"]));
        println!("  {} {kind}/{of}: {}", text(&event["reason"]), text(&event["message"]));
    }
    for pod in pods.iter().filter(|pod| !is_ready(pod)) {
        show_logs(&world.cluster, name(pod), SERVICE_LINES_MAX).await;
    }
    let operator = world.cluster.of(OPERATOR_NAMESPACE);
    for pod in operator.list(POD, "").await.unwrap_or_default() {
        show_logs(&operator, name(&pod), OPERATOR_LINES_MAX).await;
    }
}

/// One line per pod of the namespace.
pub async fn pods(cluster: &Cluster) -> String {
    pod_lines(&cluster.list(POD, "").await.unwrap_or_default())
}

fn pod_lines(pods: &[Value]) -> String {
    pods.iter().map(|pod| format!("  {}", pod_line(pod))).collect::<Vec<_>>().join("\n")
}

async fn show_logs(cluster: &Cluster, pod: &str, lines: i64) {
    for text in logs(cluster, pod, Some(lines)).await {
        println!("--- {pod}\n{text}");
    }
}

/// Logs of a pod before and after its last restart; skips what cannot be read. `lines` limits each log to its last
/// lines.
pub async fn logs(cluster: &Cluster, pod: &str, lines: Option<i64>) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), &cluster.namespace);
    let mut all = Vec::new();
    for previous in [true, false] {
        let parameters = LogParams { tail_lines: lines, previous, ..LogParams::default() };
        all.extend(pods.logs(pod, &parameters).await);
    }
    all
}

fn pod_line(pod: &Value) -> String {
    let containers = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    let states: Vec<String> = containers
        .iter()
        .map(|container| {
            let waiting = text(&container["state"]["waiting"]["reason"]);
            format!(
                "{} restarts {} {waiting}",
                if container["ready"] == true { "ready" } else { "not ready" },
                container["restartCount"]
            )
        })
        .collect();
    format!("{} {} {}", name(pod), text(&pod["status"]["phase"]), states.join(", "))
}

fn is_ready(pod: &Value) -> bool {
    let succeeded = pod["status"]["phase"] == "Succeeded";
    let mut containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    succeeded || containers.all(|container| container["ready"] == true)
}
