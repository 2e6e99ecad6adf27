//! One broken piece is a condition, and the rest is reconciled: a Marketplace that cannot be decoded, a corrupt key, a
//! migration Job whose template was wrong, a namespace that is never listed, a task that panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agora_crd::FINALIZER;
use agora_operator::external::ports::{RedisError, RedisProbe};
use agora_operator::kinds::Kind;
use agora_vocab::Secret;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::core::crd::CustomResourceExt;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::drift::{REPAIR_MAX, running_shop};
use super::{DataServers, MARKET, MINIMAL, Marketplace, NAMESPACE, Operator, TestClient, UNANSWERED};

const DELETION_MAX: Duration = Duration::from_mins(1);

impl TestClient {
    fn raw_markets(&self) -> Api<DynamicObject> {
        let resource = kube::core::ApiResource::erase::<Marketplace>(&());
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource)
    }

    async fn merge(&self, kind: Kind, name: &str, patch: Value) {
        self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marketplace_that_cannot_be_read_stops_no_other_one_and_can_be_deleted() {
    let server = ApiServer::start().await;
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    // The CRD of another release knows another profile.
    let mut crd = serde_json::to_value(Marketplace::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["profile"] =
        json!({"type": "string", "default": "Small"});
    let crds: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        Api::all(test.client.clone());
    let apply = PatchParams::apply("test").force();
    crds.patch(&Marketplace::crd().name_any(), &apply, &Patch::Apply(crd)).await.unwrap();
    let mut odd: Value = serde_yaml::from_str(MINIMAL).unwrap();
    odd["metadata"] = json!({"name": "odd", "namespace": NAMESPACE, "finalizers": [FINALIZER]});
    odd["spec"]["profile"] = json!("Huge");
    odd["spec"]["payments"] = json!({"type": "None"});
    odd["spec"]["kafka"]["external"]["authentication"] = json!({"type": "None"});
    let created = async || test.raw_markets().patch("odd", &apply, &Patch::Apply(&odd)).await.is_ok();
    test.until("the API server accepts the other profile", REPAIR_MAX, created).await;
    test.apply_sample().await;

    let operator = Operator::start(&server, &DataServers::default(), NAMESPACE, usize::MAX).await;
    test.run_until_ready(&operator, usize::MAX).await;
    let stalled = async || {
        let odd = test.raw_markets().get("odd").await.unwrap();
        let conditions = odd.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|it| it["type"] == "Stalled" && it["status"] == "True" && it["reason"] == "InvalidSpec")
    };
    test.until("the unreadable Marketplace is reported", REPAIR_MAX, stalled).await;
    test.raw_markets().delete("odd", &DeleteParams::default()).await.unwrap();
    let gone = async || test.raw_markets().get_opt("odd").await.unwrap().is_none();
    test.until("the unreadable Marketplace is deleted", DELETION_MAX, gone).await;
    let is_reported = async || !test.notes("RetainedOnDelete").await.is_empty();
    test.until("an event says what stays", DELETION_MAX, is_reported).await;
    let notes = test.notes("RetainedOnDelete").await;
    assert!(notes.iter().any(|note| note.contains("shop/odd") && note.contains("Huge")), "{notes:?}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_corrupt_signing_key_the_shop_is_repaired_and_can_be_deleted() {
    let server = ApiServer::start().await;
    let (test, operator) = running_shop(&server).await;
    test.merge(Kind::Secret, "shop-signing", json!({"data": {"current.pem": "bm8ga2V5"}})).await;
    let corrupt = async || test.condition("CredentialsReady").await.1 == "SecretCorrupt";
    test.until("the corrupt key is reported", REPAIR_MAX, corrupt).await;
    let data = test.api(Kind::Secret).get("shop-signing").await.unwrap().data["data"].clone();
    assert_eq!(data["current.pem"], "bm8ga2V5", "the corrupt key is not replaced");
    test.api(Kind::Service).delete("shop-cart", &DeleteParams::default()).await.unwrap();
    let recreated = async || test.api(Kind::Service).get_opt("shop-cart").await.unwrap().is_some();
    test.until("the Service is recreated", REPAIR_MAX, recreated).await;
    // Removed by hand, its place is taken by the next key.
    test.merge(Kind::Secret, "shop-signing", json!({"data": {"current.pem": null}})).await;
    let promoted = async || {
        test.api(Kind::Secret).get("shop-signing").await.unwrap().data["data"]["current.pem"] == data["next.pem"]
    };
    test.until("the next key is the current one", REPAIR_MAX, promoted).await;
    test.merge(Kind::Secret, "shop-signing", json!({"data": {"current.pem": "bm8ga2V5"}})).await;
    test.until("the corrupt key is reported", REPAIR_MAX, corrupt).await;
    test.markets().delete(MARKET, &DeleteParams::default()).await.unwrap();
    let gone = async || test.markets().get_opt(MARKET).await.unwrap().is_none();
    test.until("the Marketplace is deleted", DELETION_MAX, gone).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrected_template_reaches_an_unfinished_migration_job() {
    let server = ApiServer::start().await;
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    test.apply_sample().await;
    let operator = Operator::start(&server, &DataServers::default(), NAMESPACE, usize::MAX).await;
    let jobs = async || test.api(Kind::Job).list(&ListParams::default()).await.unwrap().items;
    test.until("the migration Jobs exist", REPAIR_MAX, async || !jobs().await.is_empty()).await;
    let pull_secrets = json!({"spec": {"release": {"imagePullSecrets": [{"name": "corrected"}]}}});
    test.markets().patch(MARKET, &PatchParams::default(), &Patch::Merge(pull_secrets)).await.unwrap();
    let corrected =
        |job: &DynamicObject| job.data["spec"]["template"]["spec"]["imagePullSecrets"][0]["name"] == "corrected";
    let replaced = async || {
        let jobs = jobs().await;
        !jobs.is_empty() && jobs.iter().all(corrected)
    };
    test.until("every unfinished Job has the corrected template", DELETION_MAX, replaced).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_another_owner_is_reported_and_stays() {
    let server = ApiServer::start().await;
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    let foreign =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop-cart"}, "data": {"theirs": "x"}});
    let apply = PatchParams::apply("other").force();
    test.api(Kind::ConfigMap).patch("shop-cart", &apply, &Patch::Apply(foreign)).await.unwrap();
    test.apply_sample().await;
    let operator = Operator::start(&server, &DataServers::default(), NAMESPACE, usize::MAX).await;
    let reported = async || test.condition("WorkloadsReady").await.1 == "FieldConflict";
    test.until("the other owner is reported", REPAIR_MAX, reported).await;
    assert!(test.condition("WorkloadsReady").await.2.contains("ConfigMap shop-cart"));
    let data = test.api(Kind::ConfigMap).get("shop-cart").await.unwrap().data["data"].clone();
    assert_eq!(data, json!({"theirs": "x"}));
    // Deleted by its owner, its place is taken.
    test.api(Kind::ConfigMap).delete("shop-cart", &DeleteParams::default()).await.unwrap();
    test.run_until_ready(&operator, usize::MAX).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_the_api_server_does_not_return_holds_only_its_service() {
    let server = ApiServer::start().await;
    let (test, operator) = running_shop(&server).await;
    let variable = json!({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": UNANSWERED, "key": "key"}}});
    let spec = json!({"spec": {"services": [{"name": "cart", "env": [variable]}]}});
    test.markets().patch(MARKET, &PatchParams::default(), &Patch::Merge(spec)).await.unwrap();
    let reported = async || test.condition("CredentialsReady").await.2.contains("cannot read Secret unanswered");
    test.until("the Secret is reported", REPAIR_MAX, reported).await;
    test.merge(Kind::Deployment, "shop-order", json!({"spec": {"minReadySeconds": 9}})).await;
    test.api(Kind::Deployment).delete("shop-user", &DeleteParams::default()).await.unwrap();
    let repaired = async || {
        let order = test.api(Kind::Deployment).get("shop-order").await.unwrap();
        let user = test.api(Kind::Deployment).get_opt("shop-user").await.unwrap();
        order.data["spec"]["minReadySeconds"].is_null() && user.is_some()
    };
    test.until("the other services are repaired", REPAIR_MAX, repaired).await;
    let cart = test.api(Kind::Deployment).get("shop-cart").await.unwrap();
    assert!(cart.data["spec"]["template"]["spec"]["containers"][0]["env"].is_null(), "its pods stay as they are");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pods_behind_the_service_of_the_database_server_are_reachable_at_their_port() {
    let server = ApiServer::start().await;
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    let create = PostParams::default();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "data"}});
    let namespaces: Api<Namespace> = Api::all(test.client.clone());
    namespaces.create(&create, &serde_json::from_value(namespace).unwrap()).await.unwrap();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgres"},
        "spec": {"selector": {"app": "pg"}, "ports": [{"name": "sql", "port": 5432, "targetPort": "pg"}]}});
    let services: Api<Service> = Api::namespaced(test.client.clone(), "data");
    services.create(&create, &serde_json::from_value(service).unwrap()).await.unwrap();
    // Written by the controller of EndpointSlices, which does not run here.
    let labels = json!({"kubernetes.io/service-name": "postgres"});
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "postgres-1", "labels": labels}, "ports": [{"name": "sql", "port": 15432, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.1.2.3"]}]});
    let slices: Api<EndpointSlice> = Api::namespaced(test.client.clone(), "data");
    slices.create(&create, &serde_json::from_value(slice).unwrap()).await.unwrap();
    test.apply_sample().await;
    let operator = Operator::start(&server, &DataServers::default(), NAMESPACE, usize::MAX).await;
    for name in ["shop-order", "shop-migrate"] {
        let reachable = async || {
            let policy = test.api(Kind::NetworkPolicy).get_opt(name).await.unwrap();
            let egress = policy.map(|policy| policy.data["spec"]["egress"].to_string()).unwrap_or_default();
            egress.contains("\"port\":5432,") && egress.contains("\"port\":15432,")
        };
        test.until(&format!("{name} allows both ports"), REPAIR_MAX, reachable).await;
    }
    operator.stop().await;
}

/// Panics at the first call.
#[derive(Debug, Default)]
struct PanickingRedis(AtomicBool);

#[async_trait]
impl RedisProbe for PanickingRedis {
    async fn ping(&self, _: &str, _: Option<&Secret>) -> Result<(), RedisError> {
        assert!(self.0.swap(true, Ordering::SeqCst), "the first call");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_namespace_and_a_panicking_task_stop_no_reconciliation() {
    let server = ApiServer::start().await;
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    test.apply_sample().await;
    let redis = Arc::new(PanickingRedis::default());
    let servers = DataServers { redis: redis.clone(), ..DataServers::default() };
    // The operator also watches a namespace whose requests are never answered.
    let operator = Operator::start(&server, &servers, NAMESPACE, usize::MAX).await;
    test.run_until_ready(&operator, usize::MAX).await;
    assert!(redis.0.load(Ordering::SeqCst));
    assert!(operator.process.readiness().ready, "{:?}", operator.process.readiness());
    assert!(operator.process.overdue().is_empty());
    operator.stop().await;
}
