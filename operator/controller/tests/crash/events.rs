//! The events of a shop's life: each step is one event with its objects and its duration.

use std::time::Duration;

use agora_operator::kinds::Kind;
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{Api, ListParams};
use serde_json::json;

use super::TestClient;
use super::api_server::ApiServer;
use super::drift::{REPAIR_MAX, running_shop};
use super::edits::Edit;

const STEPS_MAX: Duration = Duration::from_secs(30);

impl TestClient {
    /// The notes of the events with this reason. Those of a deletion are in namespace `default`.
    pub async fn notes(&self, reason: &str) -> Vec<String> {
        let api: Api<Event> = Api::all(Client::clone(&self.client));
        let events = api.list(&ListParams::default()).await.unwrap().items;
        let of_reason = events.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
        of_reason.filter_map(|event| event.note).collect()
    }

    pub async fn until_noted(&self, reason: &str, parts: &[&str]) {
        let noted = async || self.notes(reason).await.iter().any(|note| parts.iter().all(|part| note.contains(part)));
        self.until(&format!("an event {reason} with {parts:?}"), STEPS_MAX, noted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_a_shops_life_is_an_event_with_its_objects_and_its_duration() {
    let server = ApiServer::start().await;
    let (test, operator) = running_shop(&server).await;
    test.until_noted("Provisioned", &["databases", "shop_shop_order", "postgres.data.svc:5432", " s"]).await;
    test.until_noted("Provisioned", &["topics", "shop-shop.order-events", " s"]).await;
    test.until_noted("Migrated", &["order", " s"]).await;
    test.until_noted("RolledOut", &["cart", "pods of", "agora:0.1.0", " s"]).await;
    test.until_noted("ShoppersCanBuy", &["after", " s"]).await;

    // The autoscaler sets the number of pods.
    let edit = |patch| Edit { kind: Kind::Deployment, name: "shop-cart", patch };
    test.edit(&edit(json!({"spec": {"replicas": 2}}))).await;
    test.until_noted("Scaled", &["cart", "from 1 to 2 pods"]).await;
    let stable = async || {
        test.simulate_controllers().await;
        test.is_ready().await
    };
    test.until("the new pod is ready", REPAIR_MAX, stable).await;
    test.edit(&edit(json!({"spec": {"template": {"spec": {"hostNetwork": true}}}}))).await;
    test.until_noted("DriftCorrected", &["spec.template.spec.hostNetwork of Deployment shop-cart", "intruder"]).await;
    operator.stop().await;
}
