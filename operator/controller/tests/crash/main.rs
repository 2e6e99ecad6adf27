//! The operator ends after its write number k, for every k, and begins anew: what is there in the end is the same each
//! time, and no Secret that was written is ever written over. On a true API server; the test plays kubelet.
#![cfg(feature = "api-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api_server;
mod fakes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context as TaskContext;
use std::time::Duration;

use agora_chassis::Process;
use agora_crd::Marketplace;
use agora_operator::cluster::events::Events;
use agora_operator::cluster::{Cluster, watches};
use agora_operator::external::tasks::{Adapters, Externals};
use agora_operator::kinds::Kind;
use agora_operator::market::Trigger;
use agora_operator::run::context::Context;
use agora_operator::run::scheduler;
use api_server::ApiServer;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fakes::{InMemoryDatabases, InMemoryTopics, LivingRedis};
use futures::future::BoxFuture;
use http::{Method, Request};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::client::{Body, ClientBuilder};
use kube::core::DynamicObject;
use kube::core::crd::CustomResourceExt;
use kube::runtime::events::Recorder;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::Service;

const MINIMAL: &str = include_str!("../../../../manifests/samples/minimal.yaml");
const NAMESPACE: &str = "shop";
const MARKET: &str = "shop";
const POLL: Duration = Duration::from_millis(50);
const CONVERGENCE_MAX: Duration = Duration::from_mins(1);

/// What outlives the operator.
#[derive(Clone, Default)]
struct World {
    databases: Arc<InMemoryDatabases>,
    topics: Arc<InMemoryTopics>,
}

/// A running operator that can be ended.
struct Operator {
    process: Process,
    written: watch::Receiver<usize>,
}

impl Operator {
    /// After `last` writes nothing that it sends arrives any more.
    async fn start(server: &ApiServer, world: &World, namespace: &str, last: usize) -> Self {
        let (client, written) = client(server, last).await;
        let process = Process::for_test("agora-operator");
        let (sender, asked) = mpsc::unbounded_channel();
        let trigger = Trigger(sender);
        let stores = watches::start(&client, &[namespace.to_owned()], &process, &trigger);
        let events = Events(Recorder::new(client.clone(), "agora-operator".into()));
        let adapters =
            Adapters { databases: world.databases.clone(), topics: world.topics.clone(), redis: Arc::new(LivingRedis) };
        let externals = Externals::new(adapters, process.clone(), trigger.clone(), Arc::new(events.clone()));
        let cluster = Cluster::new(client, stores, events);
        let context = Arc::new(Context { cluster, externals, process: process.clone(), trigger });
        process.spawn("scheduler", async move {
            context.cluster.stores.filled().await;
            scheduler::run(context, asked).await;
            Ok(())
        });
        Self { process, written }
    }

    async fn end(self) -> usize {
        self.process.end().await;
        *self.written.borrow()
    }
}

/// A client that counts writes and, after the last one, sends nothing more: as a process that has ended.
async fn client(server: &ApiServer, last: usize) -> (Client, watch::Receiver<usize>) {
    let (sender, written) = watch::channel(0);
    let counter = Arc::new(Counter { last, begun: AtomicUsize::new(0), done: sender });
    let layer = tower::layer::layer_fn(move |inner| Ending { inner, counter: counter.clone() });
    let builder = ClientBuilder::try_from(server.config().await).unwrap();
    (builder.with_layer(&layer).build(), written)
}

struct Counter {
    last: usize,
    begun: AtomicUsize,
    done: watch::Sender<usize>,
}

impl Counter {
    /// Whether a request is still sent.
    fn lets_through(&self, write: bool) -> bool {
        if write {
            return self.begun.fetch_add(1, Ordering::SeqCst) < self.last;
        }
        self.begun.load(Ordering::SeqCst) < self.last
    }
}

struct Ending<S> {
    inner: S,
    counter: Arc<Counter>,
}

impl<S> Service<Request<Body>> for Ending<S>
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
        if !self.counter.lets_through(write) {
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

/// The test's own hands on the API server.
struct Hands {
    client: Client,
}

impl Hands {
    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &kind.resource())
    }

    fn markets(&self) -> Api<Marketplace> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// The definition, the namespace and the Secret of the database.
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
            "metadata": {"name": "postgres-admin", "labels": {"agoraplatform.dev/usable": "true"}},
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

    /// What the Job controller, the Deployment controller and the kubelet would do.
    async fn play_kubelet(&self) {
        let merge = PatchParams::default();
        for job in self.api(Kind::Job).list(&ListParams::default()).await.unwrap() {
            if job.data["status"]["conditions"].is_null() {
                let at = "2026-01-01T00:00:00Z";
                let holds = |type_| json!({"type": type_, "status": "True", "lastTransitionTime": at});
                let status = json!({"status": {
                    "startTime": at, "completionTime": at, "succeeded": 1,
                    "conditions": [holds("SuccessCriteriaMet"), holds("Complete")],
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

    /// Until the operator has said Ready, or has ended.
    async fn drive(&self, operator: &Operator, last: usize) {
        let run = async {
            while *operator.written.borrow() < last && !self.is_ready().await {
                self.play_kubelet().await;
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(CONVERGENCE_MAX, run).await.is_err() {
            let status = self.markets().get(MARKET).await.unwrap().status;
            panic!("not Ready in time: {}", serde_json::to_string(&status).unwrap());
        }
    }

    /// Every child, without what differs from one object to the next.
    async fn shape(&self) -> BTreeMap<String, Value> {
        let mut shape = BTreeMap::new();
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
                shape.insert(format!("{} {}", kind.word(), object.name_any()), body);
            }
        }
        shape
    }

    async fn children(&self, kind: Kind) -> Vec<DynamicObject> {
        let selector = ListParams::default().labels(agora_operator::decide::desired::SELECTOR);
        self.api(kind).list(&selector).await.unwrap().items
    }

    async fn secrets(&self) -> BTreeMap<String, Value> {
        let secrets = self.children(Kind::Secret).await;
        secrets.into_iter().map(|secret| (secret.name_any(), secret.data["data"].clone())).collect()
    }

    /// An empty namespace again: nobody else collects garbage here.
    async fn clean(&self) {
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
async fn whichever_write_is_the_last_one_the_next_operator_ends_with_the_same_objects() {
    let server = ApiServer::start().await;
    let hands = Hands { client: Client::try_from(server.config().await).unwrap() };
    hands.prepare().await;
    hands.apply_sample().await;
    let world = World::default();
    let operator = Operator::start(&server, &world, NAMESPACE, usize::MAX).await;
    hands.drive(&operator, usize::MAX).await;
    let writes = operator.end().await;
    let expected = hands.shape().await;
    assert!(expected.len() > 40 && writes > expected.len(), "{} objects by {writes} writes", expected.len());
    hands.clean().await;

    for last in 1..writes {
        let world = World::default();
        hands.apply_sample().await;
        let first = Operator::start(&server, &world, NAMESPACE, last).await;
        hands.drive(&first, last).await;
        first.end().await;
        let known = hands.secrets().await;
        let second = Operator::start(&server, &world, NAMESPACE, usize::MAX).await;
        hands.drive(&second, usize::MAX).await;
        second.end().await;
        let shape = hands.shape().await;
        assert!(shape.keys().eq(expected.keys()), "write {last} of {writes}: {:?}", shape.keys());
        for (name, body) in &shape {
            assert_eq!(*body, expected[name], "{name}, ended after write {last} of {writes}");
        }
        let secrets = hands.secrets().await;
        for (name, data) in known {
            assert_eq!(secrets[&name], data, "Secret {name} was written over after write {last}");
        }
        for database in world.databases.0.lock().unwrap().values() {
            let service = database.name.rsplit_once('_').unwrap().1;
            let password = secrets[&format!("shop-{service}-database")]["password"].as_str().unwrap();
            let password = String::from_utf8(BASE64_STANDARD.decode(password).unwrap()).unwrap();
            assert_eq!(database.password.expose(), password, "{service} after write {last}");
        }
        hands.clean().await;
    }
}
