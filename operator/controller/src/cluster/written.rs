//! Memory of own writes: a cache may lag behind them, and an object that comes back from the API server shows the normal
//! form of what was asked. Nothing here reads or writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;
use tokio::time::Instant;

use crate::decide::diff::{compared, projection, untyped};
use crate::decide::object::Object;
use crate::decide::observed::Children;
use crate::kinds::ObjectKey;

/// How long a cache may lag behind a write before it is believed again.
const LAG_MAX: Duration = Duration::from_secs(5);

/// The last write of one child.
#[derive(Clone, Debug)]
pub struct Written {
    live: Arc<DynamicObject>,
    settled: Value,
    hash: String,
    at: Instant,
    seen: bool,
}

impl Written {
    /// What the API server gave back for `object`.
    pub fn new(object: &Object, live: DynamicObject) -> Self {
        Self {
            settled: projection(&untyped(&live), &compared(object)),
            hash: object.hash().to_owned(),
            live: Arc::new(live),
            at: Instant::now(),
            seen: false,
        }
    }

    /// The normal form of `object`, where it was the one that was written.
    pub fn settled(&self, object: &Object) -> Option<&Value> {
        (self.hash == object.hash()).then_some(&self.settled)
    }
}

/// The children of the cache, those that it does not show yet put in their place. True: some were.
pub fn overlay(children: &mut Children, written: &mut BTreeMap<ObjectKey, Written>) -> bool {
    let mut lags = false;
    for (key, written) in written.iter_mut().filter(|(_, written)| !written.seen) {
        let cached = children.0.get(key).map(|object| version(object));
        if cached.is_some_and(|cached| cached >= version(&written.live)) || written.at.elapsed() > LAG_MAX {
            written.seen = true;
        } else {
            children.0.insert(key.clone(), Arc::clone(&written.live));
            lags = true;
        }
    }
    lags
}

/// Resource versions are numbers that grow (Kubernetes says so since 1.35, and etcd always did).
fn version(object: &DynamicObject) -> u64 {
    object.resource_version().and_then(|text| text.parse().ok()).unwrap_or_default()
}
