//! Secrets of other programs.

use std::collections::BTreeSet;

use agora_operator::kinds::Kind;
use agora_testkit::{kafka, postgres};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::shop::{Operator, Server, Shop, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_another_program_is_not_mounted() {
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "grafana_admin").await;
    let shop = Shop::prepare(&cluster, "grafana", &server).await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "grafana-admin"}, "stringData": {"password": "theirs"},
    });
    let secrets: Api<_> = shop.api(Kind::Secret);
    secrets.patch("grafana-admin", &PatchParams::apply("grafana"), &Patch::Apply(theirs)).await.unwrap();
    let before = shop.secret("grafana-admin").await;
    shop.apply(&server, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    let deployments = until("the other services are deployed", async || {
        shop.complete_migrations().await;
        let found = shop.api(Kind::Deployment).list(&ListParams::default()).await.unwrap();
        let names: BTreeSet<String> = found.into_iter().map(|found| found.name_any()).collect();
        (names.len() >= 5).then_some(names)
    })
    .await;
    let (_, message) = shop.reason("CredentialsReady", "FieldConflict").await;
    assert!(message.contains("Secret grafana-admin exists and does not belong to this Marketplace"), "{message}");
    assert!(!deployments.contains("grafana-user"), "{deployments:?}");
    assert_eq!(shop.secret("grafana-admin").await, before);
    operator.stop().await;
}

async fn key_ids(shop: &Shop) -> Vec<String> {
    published_keys(shop, "lostkey-jwks").await
}

/// The ids of the published keys, the signing ones first.
async fn published_keys(shop: &Shop, name: &str) -> Vec<String> {
    let map = shop.api(Kind::ConfigMap).get(name).await.unwrap();
    let set: Value = serde_json::from_str(map.data["data"]["jwks.json"].as_str().unwrap()).unwrap();
    let keys = set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned());
    keys.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gw8_the_public_keys_of_a_lost_signing_secret_stay_published_beside_the_new_ones_also_after_a_restart() {
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "lostkey_admin").await;
    let shop = Shop::prepare(&cluster, "lostkey", &server).await;
    shop.apply(&server, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    let before = key_ids(&shop).await;
    assert_eq!(before.len(), 2);
    let secret = shop.secret("lostkey-signing").await.unwrap();
    let delete = async |kind: Kind, name: &str| {
        shop.api(kind).delete(name, &DeleteParams::default()).await.unwrap();
    };

    delete(Kind::Secret, "lostkey-signing").await;
    let drawn =
        until("new keys are drawn", async || shop.secret("lostkey-signing").await.filter(|now| *now != secret)).await;
    let after = until("they are published", async || Some(key_ids(&shop).await).filter(|ids| ids.len() == 4)).await;
    assert!(before.iter().all(|id| after[2..].contains(id)), "tokens of the lost keys are accepted: {after:?}");
    operator.stop().await;

    let operator = Operator::start(cluster.config().await).await;
    delete(Kind::Service, "lostkey-cart").await;
    until("the new operator has reconciled", async || shop.api(Kind::Service).get_opt("lostkey-cart").await.unwrap())
        .await;
    assert_eq!(key_ids(&shop).await, after, "a restart withdraws no key");
    operator.stop().await;

    delete(Kind::Secret, "lostkey-signing").await;
    let operator = Operator::start(cluster.config().await).await;
    until("new keys are drawn", async || shop.secret("lostkey-signing").await.filter(|now| *now != drawn)).await;
    let ids = until("they are published", async || Some(key_ids(&shop).await).filter(|ids| ids.len() == 6)).await;
    assert!(after.iter().all(|id| ids[2..].contains(id)), "lost while no operator ran: {ids:?}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gw10_keys_whose_period_is_over_are_replaced_and_the_old_ones_stay_valid() {
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "rotated_admin").await;
    let shop = Shop::prepare(&cluster, "rotated", &server).await;
    shop.apply(&server, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    let data = async |name: &str| shop.api(Kind::Secret).get(name).await.unwrap().data["data"].clone();
    let (masters, signing) = (data("rotated-internal").await, data("rotated-signing").await);
    let (keys, published) = (data("rotated-order-call-keys").await, published_keys(&shop, "rotated-jwks").await);

    let aged = Patch::Merge(json!({"stringData": {"rotated-at": "2020-01-01T00:00:00Z"}}));
    for name in ["rotated-internal", "rotated-signing"] {
        shop.api(Kind::Secret).patch(name, &PatchParams::default(), &aged).await.unwrap();
    }
    until("the next keys are the current ones", async || {
        let (internal, access) = (data("rotated-internal").await, data("rotated-signing").await);
        let rotated = internal["current"] == masters["next"] && access["current.pem"] == signing["next.pem"];
        (rotated && internal["previous"] == masters["current"]).then_some(())
    })
    .await;
    let after = until("the new public key is published", async || {
        Some(published_keys(&shop, "rotated-jwks").await).filter(|ids| ids.len() == 3)
    })
    .await;
    assert!(published.iter().all(|id| after.contains(id)), "tokens of the old key are accepted: {after:?}");
    until("the services have new keys", async || {
        Some(data("rotated-order-call-keys").await).filter(|now| *now != keys)
    })
    .await;
    operator.stop().await;
}
