//! The watches: one stream per kind and namespace, each with its own backoff, so that a kind that is absent or forbidden
//! does not slow down the others. They fill the caches and request reconciliations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agora_chassis::{Dependency, Gate, Heartbeat, Process};
use agora_crd::{Marketplace, USABLE};
use futures::StreamExt;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::Mutex;

use crate::cluster::cached::Cached;
use crate::cluster::error_chain::error_chain;
use crate::decide::desired::{SELECTOR, owner_name};
use crate::decide::observed::Children;
use crate::kinds::{Kind, ObjectKey};
use crate::market::{MarketRef, Trigger};

/// Time after which the API server ends a watch and the operator starts a new one: shorter than the idle timeouts of
/// common proxies, which drop connections without notice.
const WATCH_SECONDS: u32 = 60;
/// A watch is started again at least this often, also without changes; the client ends one that is silent for
/// `WATCH_SECONDS` and a margin.
const SILENCE_MAX: Duration = Duration::from_secs(150);

/// The caches, by namespace.
#[derive(Clone)]
pub struct Stores(Arc<BTreeMap<String, NamespaceStores>>);

struct NamespaceStores {
    /// Not decoded, so that one that cannot be decoded hides no other.
    markets: Store<Cached>,
    children: BTreeMap<Kind, Store<Cached>>,
    usable_secrets: Store<Cached>,
    /// The first list of each watch.
    lists: Vec<Arc<FirstList>>,
}

impl Stores {
    pub fn market(&self, market: &MarketRef) -> Option<Result<Box<Marketplace>, Unreadable>> {
        let object = self.raw_market(market)?;
        let decoded = DynamicObject::clone(&object).try_parse::<Marketplace>();
        Some(decoded.map(Box::new).map_err(|error| Unreadable { object, error: error_chain(&error) }))
    }

    /// Whether a Marketplace exists and its deletion was requested.
    pub fn is_being_deleted(&self, market: &MarketRef) -> bool {
        self.raw_market(market).is_some_and(|object| object.metadata.deletion_timestamp.is_some())
    }

    fn raw_market(&self, market: &MarketRef) -> Option<Arc<DynamicObject>> {
        let stores = self.0.get(&market.namespace)?;
        Some(Arc::new(stores.markets.find(|object| object.name() == market.name)?.object()?))
    }

    /// The children of a Marketplace, with its pods.
    pub fn children(&self, market: &MarketRef) -> Children {
        let mut children = Children::default();
        let kinds = self.0.get(&market.namespace).into_iter().flat_map(|stores| &stores.children);
        for (kind, store) in kinds {
            let own = store.state_filter(|object| object.belongs_to(&market.name));
            let own =
                own.iter().filter_map(|child| Some((ObjectKey::new(*kind, child.name()), child.object()?.into())));
            children.0.extend(own);
        }
        children
    }

    /// A Secret with the label that allows a Marketplace to use it.
    pub fn usable_secret(&self, namespace: &str, name: &str) -> Option<DynamicObject> {
        let stores = self.0.get(namespace)?;
        stores.usable_secrets.find(|object| object.name() == name)?.object()
    }

    /// Whether every cache of a namespace has received its first list. Before that, an object that is not in a cache may
    /// exist. Namespaces do not wait for each other.
    pub fn are_filled(&self, namespace: &str) -> bool {
        self.all_lists(namespace, |list| list.arrived.load(Ordering::Acquire))
    }

    /// Whether every cache of a namespace has received its first list, or will not: the operator has no right to it, or its
    /// kind does not exist. So it is if the operator starts after the Role of a namespace that is being deleted is gone.
    pub fn are_settled(&self, namespace: &str) -> bool {
        self.all_lists(namespace, |list| list.arrived.load(Ordering::Acquire) || list.refused.load(Ordering::Acquire))
    }

    fn all_lists(&self, namespace: &str, holds: impl Fn(&FirstList) -> bool) -> bool {
        self.0.get(namespace).is_some_and(|stores| stores.lists.iter().all(|list| holds(list)))
    }

    fn markets(&self, namespace: &str) -> Vec<MarketRef> {
        let markets = self.0.get(namespace).map(|stores| stores.markets.state()).unwrap_or_default();
        markets.iter().map(|market| reference(namespace, market.name())).collect()
    }
}

/// A Marketplace that does not have the shape of this release's type, for example after a downgrade.
#[derive(Clone, Debug)]
pub struct Unreadable {
    pub object: Arc<DynamicObject>,
    /// Which field cannot be decoded.
    pub error: String,
}

fn reference(namespace: &str, name: &str) -> MarketRef {
    MarketRef { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// Starts the watches and returns their caches. The process is ready when those of one namespace are filled; the others are
/// listed as degraded.
pub fn start(client: &Client, namespaces: &[String], process: &Process, trigger: &Trigger) -> Stores {
    let mut watches = Vec::new();
    let mut stores = BTreeMap::new();
    for namespace in namespaces {
        let (caches, new) = namespace_watches(client, namespace, process);
        stores.insert(namespace.clone(), caches);
        watches.push((namespace.clone(), new));
    }
    let stores = Stores(Arc::new(stores));
    for (namespace, watches) in watches {
        let gate = process.gate("watches");
        let requests = Requests { namespace, stores: stores.clone(), trigger: trigger.clone(), gate };
        watches.start(process, &requests);
    }
    stores
}

struct NamespaceWatches {
    markets: Watch,
    children: Vec<Watch>,
    usable_secrets: Watch,
}

fn namespace_watches(client: &Client, namespace: &str, process: &Process) -> (NamespaceStores, NamespaceWatches) {
    let mut lists = Vec::new();
    let mut state = |what: &str| {
        let dependency = process.dependency(&format!("watch/{namespace}/{what}"));
        let list = Arc::<FirstList>::default();
        lists.push(list.clone());
        First { dependency, list }
    };
    let config = || watcher::Config::default().timeout(WATCH_SECONDS);
    let resource = ApiResource::erase::<Marketplace>(&());
    let writer = Writer::new(resource.clone());
    let markets_store = writer.as_reader();
    let markets = Watch {
        namespace: namespace.to_owned(),
        resource: resource.clone(),
        config: config(),
        writer: Arc::new(Mutex::new(writer)),
        client: client.clone(),
        first: state("marketplaces"),
        kind: "Marketplace",
    };
    let mut children_stores = BTreeMap::new();
    let mut children = Vec::new();
    for kind in Kind::WATCHED {
        let writer = Writer::new(kind.resource());
        children_stores.insert(kind, writer.as_reader());
        children.push(Watch {
            namespace: namespace.to_owned(),
            resource: kind.resource(),
            config: config().labels(SELECTOR),
            writer: Arc::new(Mutex::new(writer)),
            client: client.clone(),
            first: state(kind.group_and_plural().1),
            kind: kind.word(),
        });
    }
    let writer = Writer::new(Kind::Secret.resource());
    let usable_secrets_store = writer.as_reader();
    let usable_secrets = Watch {
        namespace: namespace.to_owned(),
        resource: Kind::Secret.resource(),
        config: config().labels(&format!("{USABLE}=true")),
        writer: Arc::new(Mutex::new(writer)),
        client: client.clone(),
        first: state("usable-secrets"),
        kind: "Secret (usable)",
    };
    (
        NamespaceStores {
            markets: markets_store,
            children: children_stores,
            usable_secrets: usable_secrets_store,
            lists,
        },
        NamespaceWatches { markets, children, usable_secrets },
    )
}

impl NamespaceWatches {
    fn start(self, process: &Process, requests: &Requests) {
        let own = requests.clone();
        self.markets.start(process, requests, move |market| own.request(&market.name_any()));
        for watch in self.children {
            let own = requests.clone();
            watch.start(process, requests, move |child| {
                if let Some(name) = owner_name(child.labels()) {
                    own.request(name);
                }
            });
        }
        let own = requests.clone();
        self.usable_secrets.start(process, requests, move |_| own.request_all());
    }
}

/// Requests reconciliations of the Marketplaces of one namespace.
#[derive(Clone)]
struct Requests {
    namespace: String,
    stores: Stores,
    trigger: Trigger,
    /// Opened when the caches of any namespace are filled.
    gate: Gate,
}

impl Requests {
    fn request(&self, name: &str) {
        self.trigger.send(reference(&self.namespace, name));
    }

    fn request_all(&self) {
        for market in self.stores.markets(&self.namespace) {
            self.trigger.send(market);
        }
    }
}

/// The state of the first list of a watch.
#[derive(Debug, Default)]
struct FirstList {
    arrived: AtomicBool,
    /// Whether the API server refused the last attempt.
    refused: AtomicBool,
}

#[derive(Clone)]
struct First {
    /// Degraded if the list fails, until it arrives.
    dependency: Dependency,
    list: Arc<FirstList>,
}

impl First {
    /// Records an error of a watch. Returns whether it is news that the first list is refused.
    fn failed(&self, error: &watcher::Error) -> bool {
        if self.list.arrived.load(Ordering::Acquire) {
            return false;
        }
        self.dependency.down(format!("the first list has not arrived: {}", error_chain(error)));
        let refused = matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status))
            if [403, 404].contains(&status.code));
        !self.list.refused.swap(refused, Ordering::AcqRel) && refused
    }

    fn arrived(&self) {
        self.dependency.up();
        self.list.arrived.store(true, Ordering::Release);
    }
}

#[derive(Clone)]
struct Watch {
    client: Client,
    namespace: String,
    resource: ApiResource,
    config: watcher::Config,
    /// Locked while the watch runs.
    writer: Arc<Mutex<Writer<Cached>>>,
    first: First,
    kind: &'static str,
}

impl Watch {
    /// A watch that fails or panics is started again.
    fn start(self, process: &Process, requests: &Requests, on_change: impl Fn(&DynamicObject) + Send + Sync + 'static) {
        let (process_of_watch, requests, on_change) = (process.clone(), requests.clone(), Arc::new(on_change));
        process.supervise("watch", move || {
            let (watch, requests, on_change) = (self.clone(), requests.clone(), on_change.clone());
            let process = process_of_watch.clone();
            async move {
                let shutdown = process.shutdown();
                shutdown.run_until_cancelled(watch.run(&process, &requests, &*on_change)).await;
                Ok(())
            }
        });
    }

    async fn run(self, process: &Process, requests: &Requests, on_change: &(impl Fn(&DynamicObject) + Sync)) {
        let Self { client, namespace, resource, config, writer, first, kind } = self;
        let mut writer = writer.lock().await;
        let heartbeat = process.heartbeat(format!("watch/{namespace}/{kind}"), SILENCE_MAX);
        let api = Api::namespaced_with(with_heartbeat(client, heartbeat), &namespace, &resource);
        let stream = watcher(api, config).default_backoff().modify(move |object| trim(object, kind));
        futures::pin_mut!(stream);
        while let Some(event) = stream.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    if first.failed(&error) {
                        requests.request_all();
                    }
                    metrics::counter!("operator_watch_failed_total", "kind" => kind).increment(1);
                    tracing::warn!(
                        kind,
                        namespace,
                        error = error_chain(&error),
                        "a watch failed; it is started again with backoff: check the API server and the operator's Role"
                    );
                    continue;
                }
            };
            writer.apply_watcher_event(&Cached::event(&event));
            match &event {
                watcher::Event::Apply(object) | watcher::Event::Delete(object) => on_change(object),
                watcher::Event::InitDone => {
                    first.arrived();
                    if requests.stores.are_filled(&namespace) {
                        requests.gate.open();
                    }
                    requests.request_all();
                }
                watcher::Event::Init | watcher::Event::InitApply(_) => {}
            }
        }
    }
}

/// A client for which each response, also a failed one, is progress.
fn with_heartbeat(client: Client, heartbeat: Heartbeat) -> Client {
    let namespace = client.default_namespace().to_owned();
    let heartbeat = Arc::new(heartbeat);
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (client, heartbeat) = (client.clone(), heartbeat.clone());
        async move {
            let response = client.send(request).await;
            heartbeat.beat();
            response
        }
    });
    Client::new(service, namespace)
}

/// Removes fields that are never read, so that a cache does not hold them: of a pod only the status is read.
fn trim(object: &mut DynamicObject, kind: &str) {
    object.metadata.managed_fields = None;
    if kind == Kind::Pod.word()
        && let Some(data) = object.data.as_object_mut()
    {
        data.remove("spec");
    }
}
