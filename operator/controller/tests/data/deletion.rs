//! Deletions end, and say what stays.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use agora_testkit::{kafka, postgres};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::shop::{NAMESPACE, Operator, Server, Shop, databases_of_a_shop, until};

const DELETION_MAX: Duration = Duration::from_mins(1);

/// Grants a user what a template of the chart grants the operator. Returns the names of the created Roles.
async fn grant(shop: &Shop, template: &str, namespace: &str) {
    let file = format!("{}/../../charts/agora-operator/templates/{template}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.replace("{{ .Release.Namespace }}-{{ .Release.Name }}", "operator");
    let text = text.replace("{{ $root.Release.Name }}", "operator").replace("{{ . }}", namespace);
    let lines = text.lines().filter(|line| !line.contains("{{"));
    let text = lines.collect::<Vec<_>>().join("\n");
    for mut object in serde_yaml::from_multiple::<Value>(&text).unwrap() {
        let Some(kind) = object["kind"].as_str().map(str::to_owned) else { continue };
        if kind.ends_with("Binding") {
            let user = json!({"kind": "User", "name": ApiServer::OPERATOR, "apiGroup": "rbac.authorization.k8s.io"});
            object["subjects"] = json!([user]);
        }
        let resource = rbac(&kind);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(shop.client.clone(), namespace, &resource),
            None => Api::all_with(shop.client.clone(), &resource),
        };
        api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
    }
}

fn rbac(kind: &str) -> ApiResource {
    let plural = format!("{}s", kind.to_lowercase());
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind), &plural)
}

/// The notes of the events on namespaces with this reason.
async fn notes(shop: &Shop, reason: &str) -> BTreeSet<String> {
    let events: Api<Event> = Api::namespaced(shop.client.clone(), "default");
    let events = events.list(&ListParams::default()).await.unwrap().into_iter();
    events.filter(|event| event.reason.as_deref() == Some(reason)).filter_map(|event| event.note).collect()
}

async fn gone(shop: &Shop) -> Duration {
    let started = Instant::now();
    until("the Marketplace is deleted", async || {
        shop.markets().get_opt(&shop.name).await.unwrap().is_none().then_some(())
    })
    .await;
    started.elapsed()
}

/// Does what the namespace controller, which does not run here, may do: it deletes in any order, and here first what the operator
/// lives by.
async fn delete_namespace(shop: &Shop) {
    let namespaces: Api<Namespace> = Api::all(shop.client.clone());
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
    for kind in ["RoleBinding", "Role"] {
        let api: Api<DynamicObject> = Api::namespaced_with(shop.client.clone(), NAMESPACE, &rbac(kind));
        for object in api.list(&ListParams::default()).await.unwrap() {
            api.delete(&object.name_any(), &DeleteParams::default()).await.unwrap();
        }
    }
    shop.api(agora_operator::kinds::Kind::Secret).delete("postgres-admin", &DeleteParams::default()).await.unwrap();
    shop.markets().delete(&shop.name, &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deletion_of_a_namespace_ends_although_its_role_goes_first() {
    let cluster = ApiServer::start_with_rbac().await;
    let server = Server::new(postgres().await, "nsgone_admin").await;
    let shop = Shop::prepare(&cluster, "nsgone", &server).await;
    grant(&shop, "cluster-role.yaml", NAMESPACE).await;
    grant(&shop, "role.yaml", NAMESPACE).await;
    shop.apply(&server, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.operator_config().await).await;
    shop.provisioned().await;

    delete_namespace(&shop).await;
    let taken = gone(&shop).await;
    assert!(taken < DELETION_MAX, "{taken:?}");
    assert_eq!(server.databases("shop_nsgone_").await.len(), databases_of_a_shop(), "the data stays");
    let notes = until("an event says what stays", async || {
        Some(notes(&shop, "RetainedOnDelete").await).filter(|notes| !notes.is_empty())
    })
    .await;
    assert!(notes.iter().all(|note| note.contains("shop/nsgone") && note.contains("shop_nsgone_*")), "{notes:?}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_ends_although_the_operator_starts_after_the_role_of_the_namespace_is_gone() {
    let cluster = ApiServer::start_with_rbac().await;
    let server = Server::new(postgres().await, "roleless_admin").await;
    let shop = Shop::prepare(&cluster, "roleless", &server).await;
    grant(&shop, "cluster-role.yaml", NAMESPACE).await;
    grant(&shop, "role.yaml", NAMESPACE).await;
    shop.apply(&server, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.operator_config().await).await;
    shop.provisioned().await;
    operator.stop().await;

    delete_namespace(&shop).await;
    let operator = Operator::start(cluster.operator_config().await).await;
    let taken = gone(&shop).await;
    assert!(taken < DELETION_MAX, "{taken:?}");
    assert_eq!(server.databases("shop_roleless_").await.len(), databases_of_a_shop(), "the data stays");
    let notes = until("an event says what stays", async || {
        Some(notes(&shop, "RetainedOnDelete").await).filter(|notes| !notes.is_empty())
    })
    .await;
    assert!(notes.iter().all(|note| note.contains("shop/roleless") && note.contains("shop_roleless_*")), "{notes:?}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_with_data_on_an_unreachable_server_ends_and_says_what_stays() {
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "dark_admin").await;
    let shop = Shop::prepare(&cluster, "dark", &server).await;
    shop.apply(&server, &kafka().await, "Delete").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    let unreachable = json!({"spec": {"database": {"external": {"port": 1}}}});
    let secret = json!({"metadata": {"annotations": {"agoraplatform.dev/usable-for": "database=127.0.0.1:1"}}});
    shop.api(agora_operator::kinds::Kind::Secret)
        .patch("postgres-admin", &PatchParams::default(), &Patch::Merge(secret))
        .await
        .unwrap();
    shop.markets().patch(&shop.name, &PatchParams::default(), &Patch::Merge(unreachable)).await.unwrap();
    shop.markets().delete(&shop.name, &DeleteParams::default()).await.unwrap();
    let taken = gone(&shop).await;
    assert!(taken < DELETION_MAX, "{taken:?}");
    assert_eq!(server.databases("shop_dark_").await.len(), databases_of_a_shop());
    let notes = until("an event says what stays", async || {
        Some(notes(&shop, "RetainedOnDelete").await).filter(|notes| !notes.is_empty())
    })
    .await;
    assert!(notes.iter().any(|note| note.contains("could not be released")), "{notes:?}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_marketplace_that_is_deleted_keeps_its_data() {
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "paused_admin").await;
    let shop = Shop::prepare(&cluster, "paused", &server).await;
    shop.apply(&server, &kafka().await, "Delete").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    shop.annotate("agoraplatform.dev/paused", "true").await;
    shop.reason("Ready", "Paused").await;
    shop.markets().delete(&shop.name, &DeleteParams::default()).await.unwrap();
    gone(&shop).await;
    assert_eq!(server.databases("shop_paused_").await.len(), databases_of_a_shop());
    operator.stop().await;
}
