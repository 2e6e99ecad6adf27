//! What is stored of the operator's own last writes: a cache may not show them yet, the API server returns an object in a
//! normal form that differs from what was sent, and other clients may undo them. Sends no request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::core::DynamicObject;
use tokio::time::Instant;

use crate::decide::diff::{fingerprint, is_written_for, normal_form};
use crate::decide::object::Object;
use crate::decide::observed::Children;
use crate::decide::repairs::Repairs;
use crate::kinds::ObjectKey;

/// Time after a write from which on the cache is used even if it does not show the write.
const CACHE_LAG_MAX: Duration = Duration::from_secs(5);
/// The same for a child that the cache does not contain: it is then read from the API server.
const ABSENCE_MAX: Duration = Duration::from_secs(2);

/// The last write of one child.
#[derive(Clone, Debug, Default)]
pub struct LastWrite {
    /// The API server's response, until the cache shows it.
    uncached: Option<(Arc<DynamicObject>, Instant)>,
    /// Hash of the desired object and fingerprint of its normal form.
    verified: Option<(String, String)>,
    /// Whether this process wrote, compared or found the child, so that it is known to have existed.
    pub existed: bool,
    pub repairs: Repairs,
}

impl LastWrite {
    /// `live` is the API server's response to the write of `object`.
    pub fn wrote(&mut self, object: &Object, live: DynamicObject) {
        self.verify(object, &live);
        self.uncached = Some((Arc::new(live), Instant::now()));
    }

    /// `live` is the API server's response to a dry run of the write of `object`.
    pub fn verify(&mut self, object: &Object, live: &DynamicObject) {
        let fingerprint = fingerprint(&normal_form(object, live));
        self.existed = true;
        self.verified = is_written_for(object, live).then(|| (object.hash().to_owned(), fingerprint));
    }

    /// Fingerprint of the normal form of `object`; `None` if it is not known.
    pub fn verified(&self, object: &Object) -> Option<&str> {
        let (hash, fingerprint) = self.verified.as_ref()?;
        (hash == object.hash()).then_some(fingerprint)
    }
}

/// Replaces children that the cache shows in an older version than the last write. Returns whether there were any.
pub fn overlay(children: &mut Children, writes: &mut BTreeMap<ObjectKey, LastWrite>) -> bool {
    let mut lags = false;
    for (key, write) in writes.iter_mut() {
        let Some((live, at)) = &write.uncached else { continue };
        let cached = children.0.get(key).map(|object| version(object));
        let limit = if cached.is_some() { CACHE_LAG_MAX } else { ABSENCE_MAX };
        if cached.is_some_and(|cached| cached >= version(live)) || at.elapsed() > limit {
            write.uncached = None;
        } else {
            children.0.insert(key.clone(), Arc::clone(live));
            lags = true;
        }
    }
    lags
}

/// Resource versions are increasing numbers: documented since Kubernetes 1.35, and always so with etcd.
fn version(object: &DynamicObject) -> u64 {
    object.resource_version().and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kind;

    fn of_version(version: &str) -> Arc<DynamicObject> {
        let object =
            json!({"metadata": {"name": "shop-cart", "resourceVersion": version}, "data": {"version": version}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn the_answer_to_a_write_replaces_an_older_child_and_is_dropped_once_the_cache_shows_it() {
        let key = ObjectKey::new(Kind::ConfigMap, "shop-cart");
        let written = of_version("10");
        let write = LastWrite { uncached: Some((written.clone(), Instant::now())), ..LastWrite::default() };
        let mut writes = BTreeMap::from([(key.clone(), write)]);
        let mut shown = |version: &str| {
            let mut children = Children(BTreeMap::from([(key.clone(), of_version(version))]));
            let lags = overlay(&mut children, &mut writes);
            (lags, children.get(&key).unwrap().data["data"]["version"].clone())
        };
        assert_eq!(shown("9"), (true, json!("10")));
        assert_eq!(shown("10"), (false, json!("10")));
        assert_eq!(Arc::strong_count(&written), 1, "no second copy stays in memory");
        assert_eq!(shown("9"), (false, json!("9")));
    }
}
