//! What the API server itself rejects.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use agora_testkit::postgres;

use crate::api_server::ApiServer;
use crate::shop::{Server, Shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_rejects_what_cannot_be_realised() {
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "admission_admin").await;
    let shop = Shop::prepare(&cluster, "admission", &server).await;
    shop.apply(&server, "kafka.data.svc:9092", "Retain").await;
    let change = async |spec: Value| {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        shop.markets().patch("admission", &params, &Patch::Merge(json!({"spec": spec}))).await
    };
    let resources = |requests: Value, limits: Value| json!({"services": [{"name": "order", "resources": {"requests": requests, "limits": limits}}]});
    let egress = |cidr: &str| json!({"network": {"egress": [{"name": "data", "cidr": cidr, "ports": [5432]}]}});
    let broker = |address: &str| json!({"kafka": {"external": {"bootstrapServers": [address]}}});
    let redis = |address: &str| json!({"redis": {"external": {"standalone": {"endpoint": address}}}});
    let host = |host: &str| json!({"database": {"external": {"host": host}}});
    let database = |service: &str, pool: i32, seconds: i32, mebibytes: i32| {
        let database = json!({"poolSize": pool, "statementTimeoutSeconds": seconds, "workMemMebibytes": mebibytes});
        json!({"services": [{"name": service, "database": database}]})
    };
    let language = |tag: &str| json!({"languages": {"default": tag}});
    let valid = [
        resources(json!({"cpu": "250m"}), json!({"cpu": "1"})),
        egress("10.0.0.0/8"),
        egress("fd00::/8"),
        broker("[fd00::1]:9092"),
        broker("kafka:65535"),
        redis("[::1]:6379"),
        host("fd00::5"),
        language("de"),
        language("zh-Hant-TW"),
        database("order", 2, 1, 1),
        database("order", 200, 300, 1_024),
    ];
    for spec in valid {
        let accepted = change(spec.clone()).await;
        assert!(accepted.is_ok(), "{spec}: {:?}", accepted.err());
    }
    let invalid = [
        resources(json!({"cpu": "2"}), json!({"cpu": "1"})),
        resources(json!({"memory": "1Gi"}), json!({"memory": "512Mi"})),
        egress("999.1.1.1/99"),
        egress("10.0.0.0/33"),
        broker("kafka:0"),
        broker("kafka:99999"),
        redis("redis:0"),
        redis("redis:99999"),
        host("not a host"),
        language("d"),
        language("de_AT"),
        database("gateway", 20, 30, 16),
        database("order", 1, 30, 16),
        database("order", 201, 30, 16),
        database("order", 20, 0, 16),
        database("order", 20, 301, 16),
        database("order", 20, 30, 0),
        database("order", 20, 30, 1_025),
        language("german language"),
        language("de-abcdefgh-abcdefgh-abcdefgh-abcdef"),
    ];
    for spec in invalid {
        assert!(change(spec.clone()).await.is_err(), "{spec}");
    }
}
