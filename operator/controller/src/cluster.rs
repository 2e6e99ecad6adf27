//! The Kubernetes API: caches that watches fill, reads, writes and events. Must not call a data server.

pub mod apply;
mod cached;
pub mod changes;
pub mod credentials;
pub mod endpoints;
pub mod error_chain;
pub mod events;
mod hidden;
pub mod identity;
pub mod observe;
mod refusals;
pub mod watches;
pub mod writes;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kube::Client;
use kube::api::Api;
use kube::core::DynamicObject;
use tokio::sync::Semaphore;

use crate::cluster::endpoints::Endpoints;
use crate::cluster::events::Events;
use crate::cluster::watches::Stores;
use crate::cluster::writes::LastWrite;
use crate::decide::credentials::PublishedKeys;
use crate::kinds::{Kind, ObjectKey};
use crate::market::MarketRef;

/// Dry runs at a time, of all Marketplaces: after a start each child is compared once, about 45 of each Marketplace.
const COMPARISONS_MAX: usize = 16;

pub struct Cluster {
    pub client: Client,
    /// The uid of the namespace kube-system, which identifies the cluster.
    pub uid: String,
    pub stores: Stores,
    pub events: Events,
    pub endpoints: Endpoints,
    /// Permits for dry runs.
    pub comparisons: Semaphore,
    writes: Mutex<BTreeMap<MarketRef, BTreeMap<ObjectKey, LastWrite>>>,
    published: Mutex<BTreeMap<MarketRef, PublishedKeys>>,
}

impl Cluster {
    pub fn new(client: Client, uid: String, stores: Stores, events: Events) -> Self {
        Self {
            client,
            uid,
            stores,
            events,
            endpoints: Endpoints::default(),
            comparisons: Semaphore::new(COMPARISONS_MAX),
            writes: Mutex::default(),
            published: Mutex::default(),
        }
    }

    pub fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// Calls `work` with the last write of each child of a Marketplace, under a lock.
    pub fn writes<T>(&self, market: &MarketRef, work: impl FnOnce(&mut BTreeMap<ObjectKey, LastWrite>) -> T) -> T {
        let mut all = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(market.clone()).or_default())
    }

    /// Calls `work` with the public keys that a Marketplace has published, under a lock.
    pub fn published<T>(&self, market: &MarketRef, work: impl FnOnce(&mut PublishedKeys) -> T) -> T {
        let mut all = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(market.clone()).or_default())
    }

    /// Frees what is stored for a deleted Marketplace.
    pub fn remove(&self, market: &MarketRef) {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).remove(market);
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).remove(market);
    }
}
