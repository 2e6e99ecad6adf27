//! Children that another client changes: each change of a field that the operator owns is undone, also if the field was
//! added; metadata of other clients stays; a client that insists is reported.

use std::time::Duration;

use agora_operator::kinds::Kind;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource as _, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::api_server::ApiServer;
use super::edits::{self, Edit};
use super::{DataServers, MARKET, NAMESPACE, Operator, POLL, TestClient};

/// The figure is one second; the limit allows for a busy machine.
pub const REPAIR_MAX: Duration = Duration::from_secs(10);
/// Contested repairs are delayed by seconds.
const CONTEST_MAX: Duration = Duration::from_mins(1);

/// A shop with a child of every kind.
pub async fn running_shop(server: &ApiServer) -> (TestClient, Operator) {
    running_shop_with(server, &DataServers::default()).await
}

async fn running_shop_with(server: &ApiServer, servers: &DataServers) -> (TestClient, Operator) {
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    test.apply_sample().await;
    let more = json!({"spec": {
        "disruption": {"maxUnavailable": 1},
        "exposure": {"type": "Ingress", "hostnames": ["shop.test"], "tls": {"type": "External"}},
    }});
    test.markets().patch(MARKET, &PatchParams::default(), &Patch::Merge(more)).await.unwrap();
    let operator = Operator::start(server, servers, NAMESPACE, usize::MAX).await;
    test.run_until_ready(&operator, usize::MAX).await;
    (test, operator)
}

impl TestClient {
    pub async fn edit(&self, edit: &Edit) {
        self.change(edit.kind, edit.name, &edit.patch).await;
    }

    /// Changes a child as another client, by a strategic merge patch.
    async fn change(&self, kind: Kind, name: &str, patch: &Value) {
        let params = PatchParams { field_manager: Some("intruder".to_owned()), ..PatchParams::default() };
        let patched = self.api(kind).patch(name, &params, &Patch::Strategic(patch)).await;
        patched.unwrap_or_else(|error| panic!("{} {name}: {patch}: {error}", kind.word()));
    }

    /// A child without its status and what the API server counts; `Null` if it does not exist.
    async fn child(&self, kind: Kind, name: &str) -> Value {
        let Some(mut object) = self.api(kind).get_opt(name).await.unwrap() else { return Value::Null };
        let labels = std::mem::take(object.labels_mut());
        let annotations = std::mem::take(object.annotations_mut());
        let owners = std::mem::take(object.owner_references_mut());
        let mut body = serde_json::to_value(object).unwrap();
        body["metadata"] = json!({"labels": labels, "annotations": annotations, "ownerReferences": owners});
        body["status"] = Value::Null;
        body
    }

    pub async fn until(&self, what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
        let started = Instant::now();
        while !holds().await {
            assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
            tokio::time::sleep(POLL).await;
        }
        started.elapsed()
    }

    pub async fn condition(&self, type_: &str) -> (String, String, String) {
        let market = self.markets().get(MARKET).await.unwrap();
        let conditions = market.status.map(|status| status.conditions).unwrap_or_default();
        let found = conditions.into_iter().find(|condition| condition.type_ == type_);
        found.map(|found| (found.status, found.reason, found.message)).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn de3_every_changed_or_added_field_of_a_child_is_repaired() {
    let server = ApiServer::start().await;
    let (test, operator) = running_shop(&server).await;
    let edits = edits::all();
    let mut times = Vec::new();
    for edit in &edits {
        let before = test.child(edit.kind, edit.name).await;
        test.edit(edit).await;
        let what = format!("{} {} is as before {}", edit.kind.word(), edit.name, edit.patch);
        times.push(test.until(&what, REPAIR_MAX, async || test.child(edit.kind, edit.name).await == before).await);
    }
    times.sort_unstable();
    println!("{} changes repaired, the slowest in {:?}", edits.len(), times.last().unwrap());
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_of_other_clients_stays_and_an_idle_operator_writes_nothing() {
    let server = ApiServer::start().await;
    let (test, operator) = running_shop(&server).await;
    let restarted = json!({"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"});
    let edit = |patch| Edit { kind: Kind::Deployment, name: "shop-cart", patch };
    test.edit(&edit(json!({"metadata": {"annotations": {"theirs": "x"}, "labels": {"theirs": "x"}}}))).await;
    test.edit(&edit(json!({"spec": {"template": {"metadata": {"annotations": restarted}}}}))).await;
    test.edit(&edit(json!({"spec": {"replicas": 2}}))).await;
    test.edit(&edit(json!({"spec": {"minReadySeconds": 9}}))).await;
    let cart = async || test.child(Kind::Deployment, "shop-cart").await;
    test.until("minReadySeconds is repaired", REPAIR_MAX, async || cart().await["spec"]["minReadySeconds"].is_null())
        .await;
    let cart = cart().await;
    assert_eq!(cart["metadata"]["annotations"]["theirs"], "x");
    assert_eq!(cart["metadata"]["labels"]["theirs"], "x");
    let annotations = &cart["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["kubectl.kubernetes.io/restartedAt"], "2026-01-01T00:00:00Z");
    assert_eq!(cart["spec"]["replicas"], 2, "the number of pods belongs to the autoscaler");
    test.run_until_ready(&operator, usize::MAX).await;
    operator.stop().await;

    // A new operator compares each child once, without a change, and then sends nothing.
    let versions = test.versions().await;
    let second = Operator::start(&server, &DataServers::default(), NAMESPACE, usize::MAX).await;
    let settled = async || {
        let before = *second.writes.borrow();
        tokio::time::sleep(Duration::from_secs(2)).await;
        before > 0 && before == *second.writes.borrow()
    };
    test.until("the operator sends nothing any more", Duration::from_mins(1), settled).await;
    assert_eq!(test.versions().await, versions, "no child was written");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_immutable_follows_the_spec_and_its_drawn_values_survive_a_stop() {
    let server = ApiServer::start().await;
    let (test, operator) = running_shop(&server).await;
    let secrets = test.secrets().await;
    test.edit(&Edit { kind: Kind::Secret, name: "shop-admin", patch: json!({"immutable": true}) }).await;
    let mutable = async || {
        let secret = test.api(Kind::Secret).get_opt("shop-admin").await.unwrap();
        secret.is_some_and(|secret| secret.data["immutable"].is_null())
    };
    test.until("the Secret is mutable", REPAIR_MAX, mutable).await;
    test.until_noted("DriftCorrected", &["immutable of Secret shop-admin", "intruder"]).await;
    let unchanged = async || test.secrets().await == secrets;
    test.until("every Secret has its values, and no copy stays", REPAIR_MAX, unchanged).await;
    operator.stop().await;

    // While no operator runs, a ConfigMap becomes immutable, and the spec changes.
    test.edit(&Edit { kind: Kind::ConfigMap, name: "shop-user", patch: json!({"immutable": true}) }).await;
    let lifetime = json!({"spec": {"identity": {"accessTokenLifetimeSeconds": 1_800}}});
    test.markets().patch(MARKET, &PatchParams::default(), &Patch::Merge(lifetime)).await.unwrap();
    // An operator that ended between the deletion of a Secret and its creation has left a copy.
    for name in ["shop-signing", "shop-order-database"] {
        let mut copy = test.api(Kind::Secret).get(name).await.unwrap();
        let market = test.markets().get(MARKET).await.unwrap();
        copy.metadata = kube::api::ObjectMeta {
            name: Some(format!("{name}.spare")),
            labels: copy.metadata.labels,
            owner_references: Some(vec![market.controller_owner_ref(&()).unwrap()]),
            ..kube::api::ObjectMeta::default()
        };
        test.api(Kind::Secret).create(&PostParams::default(), &copy).await.unwrap();
        test.api(Kind::Secret).delete(name, &DeleteParams::default()).await.unwrap();
    }
    let operator = Operator::start(&server, &DataServers::default(), NAMESPACE, usize::MAX).await;
    test.until("the Secrets have the values that they had", REPAIR_MAX, unchanged).await;
    let followed = async || {
        let map = test.api(Kind::ConfigMap).get_opt("shop-user").await.unwrap();
        map.is_some_and(|map| map.data["data"]["ACCESS_TOKEN_LIFETIME_SECONDS"] == "1800")
    };
    test.until("the ConfigMap follows the spec", REPAIR_MAX, followed).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_is_back_after_three_repairs_is_reported_and_repaired_less_often() {
    let server = ApiServer::start().await;
    let (test, operator) = running_shop(&server).await;
    let edit = Edit { kind: Kind::Service, name: "shop-cart", patch: json!({"spec": {"sessionAffinity": "ClientIP"}}) };
    let affinity = async || test.child(edit.kind, edit.name).await["spec"]["sessionAffinity"].clone();
    for _ in 0..3 {
        test.edit(&edit).await;
        test.until("the Service is repaired", REPAIR_MAX, async || affinity().await == "None").await;
    }
    test.edit(&edit).await;
    let contested = async || test.condition("WorkloadsReady").await.1 == "DriftContested";
    test.until("the contest is reported", REPAIR_MAX, contested).await;
    let message = test.condition("WorkloadsReady").await.2;
    assert!(message.contains("spec.sessionAffinity of Service shop-cart"), "{message}");
    assert!(message.contains("intruder"), "{message}");
    // The repair is delayed, and not given up.
    test.until("the Service is repaired", Duration::from_mins(1), async || affinity().await == "None").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_that_hides_a_child_from_the_watches_is_contested_after_three_repairs() {
    let (server, servers) = (ApiServer::start().await, DataServers::default());
    let (test, operator) = running_shop_with(&server, &servers).await;
    let job = test.children(Kind::Job).await.remove(0).name_any();
    for (kind, name, label, condition) in [
        (Kind::Job, job.as_str(), "app.kubernetes.io/managed-by", "WorkloadsReady"),
        (Kind::Secret, "shop-cart-database", "app.kubernetes.io/managed-by", "CredentialsReady"),
        (Kind::ConfigMap, "shop-cart", "app.kubernetes.io/part-of", "WorkloadsReady"),
    ] {
        let before = test.child(kind, name).await;
        let hidden = json!({"metadata": {"labels": {label: "other"}}});
        let what = format!("metadata.labels.{label} of {} {name}", kind.word());
        let repaired = async || test.child(kind, name).await == before;
        for _ in 0..3 {
            test.change(kind, name, &hidden).await;
            test.until(&format!("{what} is repaired"), REPAIR_MAX, repaired).await;
        }
        test.change(kind, name, &hidden).await;
        let contested = async || {
            let (_, reason, message) = test.condition(condition).await;
            reason == "DriftContested" && message.contains(&what) && message.contains("intruder")
        };
        test.until(&format!("the contest of {what} is reported"), CONTEST_MAX, contested).await;
        test.until_noted("DriftCorrected", &[what.as_str(), "intruder"]).await;
        let password = servers.databases.0.lock().unwrap()["shop_shop_cart"].password.clone();
        let encoded = BASE64_STANDARD.encode(password.expose());
        let secret = test.api(Kind::Secret).get("shop-cart-database").await.unwrap();
        assert_eq!(secret.data["data"]["password"], encoded, "the login keeps the password of a hidden Secret");
        // The repair is delayed, and not given up.
        test.until(&format!("{what} is repaired"), CONTEST_MAX, repaired).await;
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_job_that_another_client_stops_or_limits_runs_as_before() {
    let server = ApiServer::start().await;
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    test.apply_sample().await;
    let operator = Operator::start(&server, &DataServers::default(), NAMESPACE, usize::MAX).await;
    let jobs = async || test.children(Kind::Job).await;
    test.until("the migration Jobs exist", REPAIR_MAX, async || !jobs().await.is_empty()).await;
    let job = jobs().await.remove(0).name_any();
    let before = test.child(Kind::Job, &job).await;
    let unchanged = async || test.child(Kind::Job, &job).await == before;
    for patch in edits::running_job() {
        test.change(Kind::Job, &job, &patch).await;
        test.until(&format!("Job {job} is as before {patch}"), REPAIR_MAX, unchanged).await;
    }
    let suspended = format!("spec.suspend of Job {job}");
    test.until_noted("DriftCorrected", &[suspended.as_str(), "intruder"]).await;
    operator.stop().await;
}

impl TestClient {
    /// Resource versions of all children.
    async fn versions(&self) -> Vec<Option<String>> {
        let mut versions = Vec::new();
        for kind in Kind::WRITTEN {
            versions.extend(self.children(kind).await.iter().map(ResourceExt::resource_version));
        }
        versions
    }
}
