//! The operator's own last writes. A cache may not show them yet, and the API server returns an object in a normal form
//! that differs from what was sent. Sends no request.

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

/// Time after a write from which on the cache is used even if it does not show the write.
const CACHE_LAG_MAX: Duration = Duration::from_secs(5);

/// The last write of one child.
#[derive(Clone, Debug)]
pub struct LastWrite {
    live: Arc<DynamicObject>,
    normal_form: Value,
    hash: String,
    at: Instant,
    cached: bool,
}

impl LastWrite {
    /// `live` is the API server's response to the write of `object`.
    pub fn new(object: &Object, live: DynamicObject) -> Self {
        Self {
            normal_form: projection(&untyped(&live), &compared(object)),
            hash: object.hash().to_owned(),
            live: Arc::new(live),
            at: Instant::now(),
            cached: false,
        }
    }

    /// The API server's normal form of `object`; `None` if another version of the object was written last.
    pub fn normal_form(&self, object: &Object) -> Option<&Value> {
        (self.hash == object.hash()).then_some(&self.normal_form)
    }
}

/// Replaces children that the cache shows in an older version than the last write. Returns whether there were any.
pub fn overlay(children: &mut Children, writes: &mut BTreeMap<ObjectKey, LastWrite>) -> bool {
    let mut lags = false;
    for (key, write) in writes.iter_mut().filter(|(_, write)| !write.cached) {
        let cached = children.0.get(key).map(|object| version(object));
        if cached.is_some_and(|cached| cached >= version(&write.live)) || write.at.elapsed() > CACHE_LAG_MAX {
            write.cached = true;
        } else {
            children.0.insert(key.clone(), Arc::clone(&write.live));
            lags = true;
        }
    }
    lags
}

/// Resource versions are increasing numbers: documented since Kubernetes 1.35, and always so with etcd.
fn version(object: &DynamicObject) -> u64 {
    object.resource_version().and_then(|text| text.parse().ok()).unwrap_or_default()
}
