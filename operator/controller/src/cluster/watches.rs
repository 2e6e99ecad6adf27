//! The watches: one stream per kind and namespace, each with its own backoff, so that a kind that is absent or forbidden
//! does not slow down the others. They fill the caches and request reconciliations.

use std::collections::BTreeMap;
use std::sync::Arc;

use agora_chassis::{Gate, Process};
use agora_crd::{Marketplace, USABLE};
use futures::StreamExt;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};

use crate::cluster::error_chain::error_chain;
use crate::decide::desired::{SELECTOR, owner_name};
use crate::decide::observed::Children;
use crate::kinds::{Kind, ObjectKey};
use crate::market::{MarketRef, Trigger};

/// Time after which the API server ends a watch and the operator starts a new one: shorter than the idle timeouts of
/// common proxies, which drop connections without notice.
const WATCH_SECONDS: u32 = 200;

/// The caches, by namespace.
#[derive(Clone)]
pub struct Stores(Arc<BTreeMap<String, NamespaceStores>>);

struct NamespaceStores {
    /// Not decoded, so that one that cannot be decoded hides no other.
    markets: Store<DynamicObject>,
    children: BTreeMap<Kind, Store<DynamicObject>>,
    usable_secrets: Store<DynamicObject>,
}

impl Stores {
    pub fn market(&self, market: &MarketRef) -> Option<Result<Box<Marketplace>, Unreadable>> {
        let stores = self.0.get(&market.namespace)?;
        let object = stores.markets.find(|object| object.metadata.name.as_deref() == Some(&market.name))?;
        let decoded = DynamicObject::clone(&object).try_parse::<Marketplace>();
        Some(decoded.map(Box::new).map_err(|error| Unreadable { object, error: error_chain(&error) }))
    }

    /// The children of a Marketplace, with its pods.
    pub fn children(&self, market: &MarketRef) -> Children {
        let mut children = Children::default();
        let kinds = self.0.get(&market.namespace).into_iter().flat_map(|stores| &stores.children);
        for (kind, store) in kinds {
            let own = store.state_filter(|object| owner_name(object.labels()) == Some(&market.name));
            children.0.extend(own.into_iter().map(|object| (ObjectKey::new(*kind, object.name_any()), object)));
        }
        children
    }

    /// A Secret with the label that allows a Marketplace to use it.
    pub fn usable_secret(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let stores = self.0.get(namespace)?;
        stores.usable_secrets.find(|object| object.metadata.name.as_deref() == Some(name))
    }

    /// Returns when every cache has received its first list.
    pub async fn wait_until_filled(&self) {
        for stores in self.0.values() {
            // An error means that the watch has ended, which happens at shutdown only.
            let _ = stores.markets.wait_until_ready().await;
            let _ = stores.usable_secrets.wait_until_ready().await;
            for store in stores.children.values() {
                let _ = store.wait_until_ready().await;
            }
        }
    }

    fn markets(&self, namespace: &str) -> Vec<MarketRef> {
        let markets = self.0.get(namespace).map(|stores| stores.markets.state()).unwrap_or_default();
        markets.iter().map(|market| reference(namespace, &market.name_any())).collect()
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

/// Starts the watches and returns their caches. A gate per watch keeps the process unready until its first list arrives.
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
        let requests = Requests { namespace, stores: stores.clone(), trigger: trigger.clone() };
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
    let gate = |what: &str| {
        let gate = process.gate(&format!("watch/{namespace}/{what}"));
        gate.close("the first list of this kind has not arrived: see the operator's log for errors of the watch, and check its Role");
        gate
    };
    let config = || watcher::Config::default().timeout(WATCH_SECONDS);
    let resource = ApiResource::erase::<Marketplace>(&());
    let writer = Writer::new(resource.clone());
    let markets_store = writer.as_reader();
    let markets = Watch {
        api: Api::namespaced_with(client.clone(), namespace, &resource),
        config: config(),
        writer,
        gate: gate("marketplaces"),
        kind: "Marketplace",
    };
    let mut children_stores = BTreeMap::new();
    let mut children = Vec::new();
    for kind in Kind::WATCHED {
        let writer = Writer::new(kind.resource());
        children_stores.insert(kind, writer.as_reader());
        children.push(Watch {
            api: Api::namespaced_with(client.clone(), namespace, &kind.resource()),
            config: config().labels(SELECTOR),
            writer,
            gate: gate(kind.group_and_plural().1),
            kind: kind.word(),
        });
    }
    let writer = Writer::new(Kind::Secret.resource());
    let usable_secrets_store = writer.as_reader();
    let usable_secrets = Watch {
        api: Api::namespaced_with(client.clone(), namespace, &Kind::Secret.resource()),
        config: config().labels(&format!("{USABLE}=true")),
        writer,
        gate: gate("usable-secrets"),
        kind: "Secret (usable)",
    };
    (
        NamespaceStores { markets: markets_store, children: children_stores, usable_secrets: usable_secrets_store },
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

/// A watch before its start.
struct Watch {
    api: Api<DynamicObject>,
    config: watcher::Config,
    writer: Writer<DynamicObject>,
    gate: Gate,
    kind: &'static str,
}

impl Watch {
    fn start(self, process: &Process, requests: &Requests, on_change: impl Fn(&DynamicObject) + Send + 'static) {
        let shutdown = process.shutdown();
        let requests = requests.clone();
        process.spawn("watch", async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.run(&requests, on_change) => {}
            }
            Ok(())
        });
    }

    async fn run(self, requests: &Requests, on_change: impl Fn(&DynamicObject)) {
        let Self { api, config, mut writer, gate, kind } = self;
        let stream = watcher(api, config).default_backoff().modify(move |object| trim(object, kind));
        futures::pin_mut!(stream);
        while let Some(event) = stream.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    metrics::counter!("operator_watch_failed_total", "kind" => kind).increment(1);
                    tracing::warn!(
                        kind,
                        namespace = requests.namespace,
                        error = error_chain(&error),
                        "a watch failed; it is started again with backoff: check the API server and the operator's Role"
                    );
                    continue;
                }
            };
            writer.apply_watcher_event(&event);
            match &event {
                watcher::Event::Apply(object) | watcher::Event::Delete(object) => on_change(object),
                watcher::Event::InitDone => {
                    gate.open();
                    requests.request_all();
                }
                watcher::Event::Init | watcher::Event::InitApply(_) => {}
            }
        }
    }
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
