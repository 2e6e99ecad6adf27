//! The identity of the cluster: the uid of the namespace kube-system, which exists as long as the cluster.

use agora_chassis::Gate;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::{Client, ResourceExt};

use crate::cluster::error_chain::error_chain;
use crate::market::backoff;

const NAMESPACE: &str = "kube-system";

/// Reads it, with retries until it succeeds. The gate keeps the process unready meanwhile.
pub async fn cluster_uid(client: &Client, gate: &Gate) -> String {
    gate.close(
        "the namespace kube-system, whose uid identifies the cluster, was not read: check the operator's ClusterRole",
    );
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut failures = 0;
    loop {
        match namespaces.get_metadata(NAMESPACE).await {
            Ok(namespace) => {
                gate.open();
                return namespace.uid().unwrap_or_default();
            }
            Err(error) => {
                failures += 1;
                let error = error_chain(&error);
                tracing::warn!(
                    error,
                    "cannot read the namespace kube-system; it is read again with backoff: check the API server and the \
                     operator's ClusterRole"
                );
                tokio::time::sleep(backoff(failures)).await;
            }
        }
    }
}
