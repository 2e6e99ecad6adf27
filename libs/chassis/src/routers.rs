//! Routers of the services of a process. By them its services call each other without a socket.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use axum::Router;

/// What a service serves, complete with every layer.
#[derive(Clone, Debug, Default)]
pub struct Routers {
    /// On the public port.
    pub public: Router,
    /// On the internal port; may be empty.
    pub internal: Router,
}

/// The services of a process that have started, by name.
#[derive(Debug, Default)]
pub(crate) struct Started(RwLock<BTreeMap<&'static str, Routers>>);

impl Started {
    pub fn insert(&self, service: &'static str, routers: Routers) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(service, routers);
    }

    pub fn find(&self, service: &str) -> Option<Routers> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }
}
