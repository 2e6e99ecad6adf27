//! The Kubernetes API: caches filled by watches, reads, writes, events. Must not talk to a data server.

pub mod apply;
pub mod credentials;
pub mod error_chain;
pub mod events;
pub mod observe;
pub mod watches;
pub mod written;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kube::Client;
use kube::api::Api;
use kube::core::DynamicObject;

use crate::cluster::events::Events;
use crate::cluster::watches::Stores;
use crate::cluster::written::Written;
use crate::kinds::{Kind, ObjectKey};
use crate::market::MarketRef;

/// The Kubernetes API as the operator uses it.
pub struct Cluster {
    /// Speaks to the API server.
    pub client: Client,
    /// What the watches have seen.
    pub stores: Stores,
    /// Writes events.
    pub events: Events,
    written: Mutex<BTreeMap<MarketRef, BTreeMap<ObjectKey, Written>>>,
}

impl Cluster {
    /// Without memory of writes.
    pub fn new(client: Client, stores: Stores, events: Events) -> Self {
        Self { client, stores, events, written: Mutex::default() }
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

    /// Forgets the writes for a Marketplace that is gone.
    pub fn forget(&self, market: &MarketRef) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(market);
    }
}
