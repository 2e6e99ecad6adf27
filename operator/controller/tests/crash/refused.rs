//! Pods that the API server refuses: the test creates them as the Job controller and the ReplicaSet controller would, and
//! reports the refusals as they do.

use std::time::Duration;

use agora_operator::kinds::Kind;
use k8s_openapi::api::core::v1::{Event, Pod, ResourceQuota};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Client, ResourceExt};
use serde_json::json;

use super::api_server::ApiServer;
use super::drift::REPAIR_MAX;
use super::{DataServers, NAMESPACE, Operator, POLL, TestClient};

/// Time from the creation of a Job to the condition that quotes the refusal of its pod.
const QUOTED_MAX: Duration = Duration::from_mins(1);
const QUOTA: &str = "small";

impl TestClient {
    /// A quota that allows no pod. The quota controller, which does not run here, would write the status.
    async fn allow_no_pods(&self) {
        let quotas: Api<ResourceQuota> = Api::namespaced(Client::clone(&self.client), NAMESPACE);
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": QUOTA}, "spec": {"hard": {"pods": "0"}}});
        quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
        let status = Patch::Merge(json!({"status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}}));
        quotas.patch_status(QUOTA, &PatchParams::default(), &status).await.unwrap();
    }

    /// Creates a pod of a workload's template. Returns the refusal of the API server, whose quota takes a moment to apply.
    async fn refusal(&self, workload: &DynamicObject) -> String {
        let pods: Api<Pod> = Api::namespaced(Client::clone(&self.client), NAMESPACE);
        let name = format!("{}-x7", workload.name_any());
        let mut pod = workload.data["spec"]["template"].clone();
        pod["metadata"]["name"] = json!(name);
        let pod: Pod = serde_json::from_value(pod).unwrap();
        loop {
            match pods.create(&PostParams::default(), &pod).await {
                Err(kube::Error::Api(status)) if status.code == 403 => return status.message.clone(),
                Err(error) => panic!("{error}"),
                Ok(_) => drop(pods.delete(&name, &DeleteParams::default().grace_period(0)).await.unwrap()),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The event of the Job controller.
    async fn report_refusal(&self, job: &DynamicObject, refusal: &str) {
        let events: Api<Event> = Api::namespaced(Client::clone(&self.client), NAMESPACE);
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap().to_string();
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "refused-", "namespace": NAMESPACE},
            "involvedObject": {
                "apiVersion": "batch/v1", "kind": "Job", "namespace": NAMESPACE, "name": job.name_any(), "uid": job.uid(),
            },
            "type": "Warning", "reason": "FailedCreate", "message": format!("Error creating: {refusal}"),
            "source": {"component": "job-controller"}, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        events.create(&PostParams::default(), &serde_json::from_value(event).unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_refuses_pods_is_quoted_within_a_minute() {
    let server = ApiServer::start().await;
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    test.allow_no_pods().await;
    test.apply_sample().await;
    let operator = Operator::start(&server, &DataServers::default(), NAMESPACE, usize::MAX).await;
    let jobs = async || test.api(Kind::Job).list(&ListParams::default()).await.unwrap().items;
    test.until("the migration Jobs exist", REPAIR_MAX, async || !jobs().await.is_empty()).await;
    let job = jobs().await.remove(0);
    let refusal = test.refusal(&job).await;
    assert!(refusal.contains("exceeded quota: small, requested: pods=1"), "{refusal}");
    test.report_refusal(&job, &refusal).await;
    let quotes = async |workload: &str| {
        let (_, reason, message) = test.condition("WorkloadsReady").await;
        reason == "QuotaExceeded" && message.contains(workload) && message.contains("exceeded quota: small")
    };
    test.until("the refusal is quoted", QUOTED_MAX, async || quotes(&format!("Job {}", job.name_any())).await).await;
    let seconds = Timestamp::now().as_second() - job.creation_timestamp().unwrap().0.as_second();
    println!("quoted {seconds} s after the creation of the Job");
    assert!(seconds <= 60, "{seconds} s");

    // The ReplicaSet controller reports in a condition, which the Deployment controller copies.
    let gateway = test.api(Kind::Deployment).get("shop-gateway").await.unwrap();
    let refusal = test.refusal(&gateway).await;
    let at = Timestamp::from_second(Timestamp::now().as_second()).unwrap().to_string();
    let failure = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal,
        "lastTransitionTime": at, "lastUpdateTime": at});
    let status = Patch::Merge(json!({"status": {"conditions": [failure]}}));
    test.api(Kind::Deployment).patch_status("shop-gateway", &PatchParams::default(), &status).await.unwrap();
    test.until("the Deployment is named", REPAIR_MAX, async || quotes("Deployment shop-gateway").await).await;
    operator.stop().await;
}
