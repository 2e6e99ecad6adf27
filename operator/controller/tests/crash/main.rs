//! The operator stops after write number k, for every k, and a new one starts: in the end the same objects exist, and no
//! Secret that was written is replaced. Runs with an API server; the test acts as the controllers and the kubelet.
#![cfg(feature = "api-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

#[expect(dead_code, reason = "the tests of another program use the rest")]
mod api_server;
mod broken;
mod drift;
mod edits;
mod events;
mod fakes;
mod log;
mod refused;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context as TaskContext;
use std::time::Duration;

use agora_chassis::Process;
use agora_crd::Marketplace;
use agora_operator::external::ports::RedisProbe;
use agora_operator::external::tasks::{Adapters, INSPECTION_SECONDS_MAX};
use agora_operator::kinds::Kind;
use agora_operator::run::operator::{self, Setup};
use api_server::ApiServer;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fakes::{HealthyServices, InMemoryDatabases, InMemoryTopics, ReachableRedis};
use futures::future::BoxFuture;
use http::{Method, Request};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::client::{Body, ClientBuilder};
use kube::core::DynamicObject;
use kube::core::crd::CustomResourceExt;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::Service;

const MINIMAL: &str = include_str!("../../../../manifests/samples/minimal.yaml");
const NAMESPACE: &str = "shop";
/// A namespace whose requests are never answered.
const CLOSED: &str = "closed";
/// A Secret whose requests are never answered.
const UNANSWERED: &str = "unanswered";
const MARKET: &str = "shop";
const POLL: Duration = Duration::from_millis(50);
const CONVERGENCE_MAX: Duration = Duration::from_mins(1);

/// The data servers, which outlive the operator.
#[derive(Clone)]
struct DataServers {
    databases: Arc<InMemoryDatabases>,
    topics: Arc<InMemoryTopics>,
    redis: Arc<dyn RedisProbe>,
}

impl Default for DataServers {
    fn default() -> Self {
        Self { databases: Arc::default(), topics: Arc::default(), redis: Arc::new(ReachableRedis) }
    }
}

/// A running operator.
struct Operator {
    process: Process,
    writes: watch::Receiver<usize>,
}

impl Operator {
    /// Requests after write number `last` are not sent.
    async fn start(server: &ApiServer, servers: &DataServers, namespace: &str, last: usize) -> Self {
        let (client, writes) = client(server, last).await;
        let process = Process::for_test(operator::NAME);
        let adapters = Adapters {
            databases: servers.databases.clone(),
            topics: servers.topics.clone(),
            redis: servers.redis.clone(),
            services: Arc::new(HealthyServices),
            inspection_seconds_max: INSPECTION_SECONDS_MAX,
        };
        let namespaces = vec![namespace.to_owned(), CLOSED.to_owned()];
        operator::start(&process, Setup { client, namespaces, own_namespace: None, adapters }).await;
        Self { process, writes }
    }

    async fn stop(self) -> usize {
        self.process.end().await;
        *self.writes.borrow()
    }
}

/// A client that counts writes and sends no request after the last one, like a process that has stopped.
async fn client(server: &ApiServer, last: usize) -> (Client, watch::Receiver<usize>) {
    let (sender, writes) = watch::channel(0);
    let counter = Arc::new(Counter { last, started: AtomicUsize::new(0), done: sender });
    let layer = tower::layer::layer_fn(move |inner| LimitedWrites { inner, counter: counter.clone() });
    let builder = ClientBuilder::try_from(server.config().await).unwrap();
    (builder.with_layer(&layer).build(), writes)
}

struct Counter {
    last: usize,
    started: AtomicUsize,
    done: watch::Sender<usize>,
}

impl Counter {
    /// Whether a request is sent.
    fn allows(&self, write: bool) -> bool {
        if write {
            return self.started.fetch_add(1, Ordering::SeqCst) < self.last;
        }
        self.started.load(Ordering::SeqCst) < self.last
    }
}

struct LimitedWrites<S> {
    inner: S,
    counter: Arc<Counter>,
}

impl<S> Service<Request<Body>> for LimitedWrites<S>
where
    S: Service<Request<Body>>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let write = *request.method() != Method::GET;
        let path = request.uri().path();
        let unanswered =
            path.contains(&format!("/namespaces/{CLOSED}/")) || path.ends_with(&format!("/secrets/{UNANSWERED}"));
        if unanswered || !self.counter.allows(write) {
            return Box::pin(std::future::pending());
        }
        let counter = self.counter.clone();
        let call = self.inner.call(request);
        Box::pin(async move {
            let response = call.await;
            if write {
                counter.done.send_modify(|done| *done += 1);
            }
            response
        })
    }
}

/// The test's own client.
struct TestClient {
    client: Client,
}

impl TestClient {
    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &kind.resource())
    }

    fn markets(&self) -> Api<Marketplace> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Creates the CRD, the namespace and the Secret of the database server.
    async fn prepare(&self) {
        let apply = PatchParams::apply("test").force();
        let crd = Marketplace::crd();
        let crds: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
            Api::all(self.client.clone());
        crds.patch(&crd.name_any(), &apply, &Patch::Apply(&crd)).await.unwrap();
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        namespaces.patch(NAMESPACE, &apply, &Patch::Apply(namespace)).await.unwrap();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
            "metadata": {
                "name": "postgres-admin",
                "labels": {"agoraplatform.dev/usable": "true"},
                "annotations": {"agoraplatform.dev/usable-for": "database=postgres.data.svc:5432"},
            },
            "stringData": {"username": "admin", "password": "x"},
        });
        self.api(Kind::Secret).patch("postgres-admin", &apply, &Patch::Apply(secret)).await.unwrap();
        while self.markets().list(&ListParams::default()).await.is_err() {
            tokio::time::sleep(POLL).await;
        }
    }

    async fn apply_sample(&self) {
        let sample: Value = serde_yaml::from_str(MINIMAL).unwrap();
        let apply = PatchParams::apply("test").force();
        self.markets().patch(MARKET, &apply, &Patch::Apply(sample)).await.unwrap();
    }

    /// Writes the statuses that the Job controller, the Deployment controller and the kubelet would write.
    async fn simulate_controllers(&self) {
        let merge = PatchParams::default();
        for job in self.api(Kind::Job).list(&ListParams::default()).await.unwrap() {
            if job.data["status"]["conditions"].is_null() {
                let at = Timestamp::from_second(Timestamp::now().as_second()).unwrap().to_string();
                let condition = |type_| json!({"type": type_, "status": "True", "lastTransitionTime": at});
                let status = json!({"status": {
                    "startTime": at, "completionTime": at, "succeeded": 1,
                    "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
                }});
                let patched = self.api(Kind::Job).patch_status(&job.name_any(), &merge, &Patch::Merge(status)).await;
                patched.unwrap();
            }
        }
        for deployment in self.api(Kind::Deployment).list(&ListParams::default()).await.unwrap() {
            let generation = deployment.metadata.generation;
            if deployment.data["status"]["observedGeneration"].as_i64() != generation {
                let n = deployment.data["spec"]["replicas"].clone();
                let status = json!({"status": {
                    "observedGeneration": generation, "replicas": n, "updatedReplicas": n, "readyReplicas": n,
                    "availableReplicas": n,
                }});
                let name = deployment.name_any();
                self.api(Kind::Deployment).patch_status(&name, &merge, &Patch::Merge(status)).await.unwrap();
            }
        }
    }

    async fn is_ready(&self) -> bool {
        let market = self.markets().get(MARKET).await.unwrap();
        let conditions = market.status.map(|status| status.conditions).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }

    /// Returns when condition Ready is true, or the operator has sent its last write.
    async fn run_until_ready(&self, operator: &Operator, last: usize) {
        let run = async {
            while *operator.writes.borrow() < last && !self.is_ready().await {
                self.simulate_controllers().await;
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(CONVERGENCE_MAX, run).await.is_err() {
            let status = self.markets().get(MARKET).await.unwrap().status;
            panic!("not Ready after {CONVERGENCE_MAX:?}: {}", serde_json::to_string(&status).unwrap());
        }
    }

    /// The children by name, without values that differ in each run.
    async fn normalized_children(&self) -> BTreeMap<String, Value> {
        let mut objects = BTreeMap::new();
        for kind in Kind::WRITTEN {
            for object in self.children(kind).await {
                let text = serde_json::to_string(&object).unwrap().replace(&object.uid().unwrap(), "uid");
                let mut body: Value = serde_json::from_str(&text).unwrap();
                body["metadata"] = json!({"labels": object.labels(), "owned": !object.owner_references().is_empty()});
                body["status"] = Value::Null;
                for field in ["clusterIP", "clusterIPs"] {
                    body["spec"][field] = Value::Null;
                }
                if kind == Kind::Secret || object.name_any().ends_with("-jwks") {
                    let keys: Vec<String> = body["data"].as_object().unwrap().keys().cloned().collect();
                    body["data"] = json!(keys);
                }
                objects.insert(format!("{} {}", kind.word(), object.name_any()), body);
            }
        }
        objects
    }

    async fn children(&self, kind: Kind) -> Vec<DynamicObject> {
        let selector = ListParams::default().labels(agora_operator::decide::desired::SELECTOR);
        self.api(kind).list(&selector).await.unwrap().items
    }

    async fn secrets(&self) -> BTreeMap<String, Value> {
        let secrets = self.children(Kind::Secret).await;
        secrets.into_iter().map(|secret| (secret.name_any(), secret.data["data"].clone())).collect()
    }

    /// Deletes the Marketplace and its children, as the garbage collector would.
    async fn delete_all(&self) {
        let merge = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        self.markets().patch(MARKET, &PatchParams::default(), &merge).await.unwrap();
        self.markets().delete(MARKET, &DeleteParams::default()).await.unwrap();
        for kind in Kind::WRITTEN {
            for object in self.children(kind).await {
                self.api(kind).delete(&object.name_any(), &DeleteParams::background()).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop_at_any_write_a_new_operator_creates_the_same_objects() {
    let server = ApiServer::start().await;
    let test = TestClient { client: Client::try_from(server.config().await).unwrap() };
    test.prepare().await;
    test.apply_sample().await;
    let servers = DataServers::default();
    let operator = Operator::start(&server, &servers, NAMESPACE, usize::MAX).await;
    test.run_until_ready(&operator, usize::MAX).await;
    let writes = operator.stop().await;
    let expected = test.normalized_children().await;
    assert!(expected.len() > 40 && writes > expected.len(), "{} objects by {writes} writes", expected.len());
    test.delete_all().await;

    for last in 1..writes {
        let servers = DataServers::default();
        test.apply_sample().await;
        let first = Operator::start(&server, &servers, NAMESPACE, last).await;
        test.run_until_ready(&first, last).await;
        first.stop().await;
        let before = test.secrets().await;
        let second = Operator::start(&server, &servers, NAMESPACE, usize::MAX).await;
        test.run_until_ready(&second, usize::MAX).await;
        second.stop().await;
        let objects = test.normalized_children().await;
        assert!(objects.keys().eq(expected.keys()), "write {last} of {writes}: {:?}", objects.keys());
        for (name, body) in &objects {
            assert_eq!(*body, expected[name], "{name}, stopped after write {last} of {writes}");
        }
        let secrets = test.secrets().await;
        for (name, data) in before {
            assert_eq!(secrets[&name], data, "Secret {name} was replaced after write {last}");
        }
        for database in servers.databases.0.lock().unwrap().values() {
            let service = database.name.rsplit_once('_').unwrap().1;
            let password = secrets[&format!("shop-{service}-database")]["password"].as_str().unwrap();
            let password = String::from_utf8(BASE64_STANDARD.decode(password).unwrap()).unwrap();
            assert_eq!(database.password.expose(), password, "{service} after write {last}");
        }
        test.delete_all().await;
    }
}
