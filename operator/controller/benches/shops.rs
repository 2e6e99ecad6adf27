//! The cost of many Marketplaces that share a namespace, a database server and a broker. Run it by `cargo xtask bench shops`.
//!
//! The operator is a process of its own, on a real API server, PostgreSQL, Kafka and Redis, without controllers and kubelet. Each
//! Marketplace has one service with a database, because the disk would not hold thousands of databases.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot continue fails")]

#[path = "../tests/crash/api_server.rs"]
#[expect(dead_code, reason = "the tests of other programs use the rest")]
mod api_server;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agora_crd::Marketplace;
use agora_testkit::{KafkaServer, PostgresServer, TestDatabase, free_port, redis};
use api_server::ApiServer;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::crd::CustomResourceExt;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

const NAMESPACE: &str = "shops";
/// The only enabled service, with one pod.
const ENABLED: &str = "cart";
const START_MAX: Duration = Duration::from_mins(20);
const POLL: Duration = Duration::from_secs(2);
/// Time without changes before the measurement, and that of the measurement: two inspections of each server.
const SETTLE: Duration = Duration::from_mins(1);
const MEASURED: Duration = Duration::from_mins(2);
/// Unit of times in /proc on Linux (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// The operator's process. It is killed when this is dropped.
struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Operator {
    fn start(cluster: &ApiServer) -> Self {
        let mut operator = Command::new(env!("CARGO_BIN_EXE_agora-operator"));
        operator.env_clear().env("KUBECONFIG", cluster.kubeconfig_file()).env("WATCH_NAMESPACES", NAMESPACE);
        operator.env("ADMIN_PORT", free_port().to_string()).env("RUST_LOG", "warn");
        // As in the image.
        operator.env("MALLOC_ARENA_MAX", "1").env("MALLOC_TRIM_THRESHOLD_", "131072");
        Self(operator.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// A field of /proc/PID/status, in KiB.
    fn kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
    }

    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11);
        let mut ticks = || fields.next().unwrap().parse::<u64>().unwrap();
        Duration::from_millis((ticks() + ticks()) * 1_000 / TICKS_PER_SECOND)
    }
}

/// The sum of a metric of the API server over the series whose labels contain `part`.
async fn metric(client: &Client, name: &str, part: &str) -> f64 {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = client.request_text(request).await.unwrap();
    let series = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(part));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// Sessions that have ended at the maintenance database, which the operator's admin connects to.
async fn sessions(postgres: &TestDatabase) -> i64 {
    let mut connection = PgConnection::connect(&postgres.admin_url()).await.unwrap();
    let count = sqlx::query_scalar("select sessions from pg_stat_database where datname = 'postgres'");
    let count = count.fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count
}

async fn prepare(client: &Client, address: &str) {
    let apply = PatchParams::apply("bench").force();
    let crd = Marketplace::crd();
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    crds.patch(&crd.name_any(), &apply, &Patch::Apply(&crd)).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    namespaces.patch(NAMESPACE, &apply, &Patch::Apply(namespace)).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
        "metadata": {
            "name": "postgres-admin",
            "labels": {"agoraplatform.dev/usable": "true"},
            "annotations": {"agoraplatform.dev/usable-for": format!("database={address}")},
        },
        "stringData": {"username": "shops_admin", "password": "admin"},
    });
    secrets.patch("postgres-admin", &apply, &Patch::Apply(secret)).await.unwrap();
    let markets: Api<Marketplace> = Api::namespaced(client.clone(), NAMESPACE);
    while markets.list(&ListParams::default()).await.is_err() {
        tokio::time::sleep(POLL).await;
    }
}

fn market(name: &str, address: &str, brokers: &str, redis: &str) -> Value {
    let (host, port) = address.split_once(':').unwrap();
    let services = agora_topology::ALL.iter().map(|row| match row.name {
        ENABLED => json!({"name": ENABLED, "scaling": {"minReplicas": 1, "maxReplicas": 1}}),
        name => json!({"name": name, "state": "Disabled"}),
    });
    let services: Vec<Value> = services.collect();
    json!({
        "apiVersion": "agoraplatform.dev/v1alpha1", "kind": "Marketplace", "metadata": {"name": name},
        "spec": {
            "release": {"version": "0.1.0"},
            "profile": "Development",
            "services": services,
            "database": {"external": {
                "host": host, "port": port.parse::<u16>().unwrap(), "adminSecretRef": {"name": "postgres-admin"},
            }},
            "kafka": {"external": {"bootstrapServers": [brokers]}, "topicDefaults": {"partitions": 1}},
            "redis": {"external": {"standalone": {"endpoint": redis}}},
        },
    })
}

/// Waits until the databases and topics of all are as desired.
async fn provisioned(client: &Client, count: usize) {
    let markets: Api<Marketplace> = Api::namespaced(client.clone(), NAMESPACE);
    let started = Instant::now();
    loop {
        let all = markets.list(&ListParams::default()).await.unwrap();
        let holds = |market: &Marketplace, type_: &str| {
            let conditions = market.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
        };
        let is_done = |market: &&Marketplace| holds(market, "DatabaseReady") && holds(market, "KafkaReady");
        let done = all.iter().filter(is_done).count();
        if done == count {
            return;
        }
        assert!(started.elapsed() < START_MAX, "{done} of {count} after {START_MAX:?}");
        tokio::time::sleep(POLL).await;
    }
}

async fn measure(count: usize) {
    let (cluster, own, kafka) = (ApiServer::start().await, PostgresServer::start(), KafkaServer::start());
    let postgres = own.database().await;
    postgres.as_admin("create role shops_admin login createdb createrole password 'admin'").await;
    let url = postgres.admin_url();
    let address = url.rsplit('@').next().unwrap().split('/').next().unwrap().to_owned();
    let redis = redis().await.trim_start_matches("redis://").to_owned();
    let client = Client::try_from(cluster.config().await).unwrap();
    prepare(&client, &address).await;
    let markets: Api<Marketplace> = Api::namespaced(client.clone(), NAMESPACE);
    for number in 0..count {
        let name = format!("s{number}");
        let body = market(&name, &address, &kafka.brokers(), &redis);
        markets.patch(&name, &PatchParams::apply("bench").force(), &Patch::Apply(body)).await.unwrap();
    }
    let watches = metric(&client, "apiserver_longrunning_requests", "WATCH").await;
    let (before, started) = (sessions(&postgres).await, Instant::now());
    let operator = Operator::start(&cluster);
    provisioned(&client, count).await;
    let line = |name: &str, value: String| println!("{name:<52} {value:>12}");
    line("Marketplaces", count.to_string());
    line("time until all are provisioned", format!("{:.0} s", started.elapsed().as_secs_f64()));
    line("SQL sessions until then", (sessions(&postgres).await - before).to_string());
    let watches = metric(&client, "apiserver_longrunning_requests", "WATCH").await - watches;
    line("watches at the API server", format!("{watches:.0}"));
    tokio::time::sleep(SETTLE).await;
    let (cpu, before) = (operator.cpu(), sessions(&postgres).await);
    let requests = metric(&client, "apiserver_request_total", "").await;
    tokio::time::sleep(MEASURED).await;
    let minutes = MEASURED.as_secs_f64() / 60.0;
    let per_minute = |count: f64| format!("{:.1}", count / minutes);
    // This program connects to another database of the server, so that its own sessions are not counted.
    let sessions = u32::try_from(sessions(&postgres).await - before).unwrap();
    line("idle: SQL sessions per minute", per_minute(sessions.into()));
    let requests = metric(&client, "apiserver_request_total", "").await - requests;
    line("idle: requests at the API server per minute", per_minute(requests));
    line(
        "idle: CPU time of the operator per minute",
        format!("{} ms", per_minute(operator.cpu().saturating_sub(cpu).as_secs_f64() * 1e3)),
    );
    line("resident memory of the operator", format!("{:.1} MiB", kib_as_mib(operator.kib("VmRSS"))));
    line("most resident memory of the operator", format!("{:.1} MiB", kib_as_mib(operator.kib("VmHWM"))));
    line("threads of the operator", threads(&operator).to_string());
}

fn kib_as_mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap()) / 1024.0
}

fn threads(operator: &Operator) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", operator.0.id())).unwrap().count()
}

fn main() {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(200);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(count));
}
