//! What every reconcile is given: clients, caches, adapters, clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agora_chassis::Process;
use kube::Client;
use kube::api::Api;
use kube::core::DynamicObject;
use kube::runtime::events::Recorder;
use tokio::sync::mpsc;

use crate::externals::Externals;
use crate::kinds::{Kind, ObjectKey};
use crate::streams::Stores;
use crate::written::Written;

/// A Marketplace, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarketRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Asks for a reconcile.
#[derive(Clone, Debug)]
pub struct Trigger(pub mpsc::UnboundedSender<MarketRef>);

impl Trigger {
    /// Asks for a reconcile of that Marketplace.
    pub fn send(&self, market: MarketRef) {
        // Nobody listens any more when the process ends.
        let _ = self.0.send(market);
    }
}

/// What every reconcile is given.
pub struct Context {
    /// Speaks to the API server.
    pub client: Client,
    /// What the watches have seen.
    pub stores: Stores,
    /// What lies outside the cluster.
    pub externals: Externals,
    /// Writes events.
    pub recorder: Recorder,
    /// Tasks, clock, shutdown.
    pub process: Process,
    /// Asks for reconciles.
    pub trigger: Trigger,
    written: Mutex<BTreeMap<MarketRef, BTreeMap<ObjectKey, Written>>>,
}

impl Context {
    /// A context without memory of writes.
    pub fn new(
        client: Client,
        stores: Stores,
        externals: Externals,
        recorder: Recorder,
        process: Process,
        trigger: Trigger,
    ) -> Self {
        Self { client, stores, externals, recorder, process, trigger, written: Mutex::default() }
    }

    /// The API of a kind in a namespace.
    pub fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// Works on the memory of what was written for a Marketplace.
    pub fn written<T>(&self, market: &MarketRef, work: impl FnOnce(&mut BTreeMap<ObjectKey, Written>) -> T) -> T {
        let mut all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(market.clone()).or_default())
    }

    /// Forgets a Marketplace that is gone.
    pub fn forget(&self, market: &MarketRef) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(market);
        self.externals.forget(market);
    }
}

/// A context that many tasks share.
pub type Shared = Arc<Context>;
