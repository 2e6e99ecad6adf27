//! Objects as the caches hold them: as text, which takes a fraction of the memory of a parsed object. An object is parsed when a
//! reconciliation reads it.

use std::borrow::Cow;
use std::sync::Arc;

use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::Lookup;
use kube::runtime::watcher::Event;

use crate::decide::desired::owner_name;

/// Clones share the text.
#[derive(Clone)]
pub struct Cached {
    name: Arc<str>,
    namespace: Option<Arc<str>>,
    version: Option<Arc<str>>,
    /// The Marketplace to which a child belongs, by its labels.
    owner: Option<Arc<str>>,
    text: Arc<str>,
}

impl Cached {
    fn new(object: &DynamicObject) -> Self {
        let metadata = &object.metadata;
        Self {
            name: metadata.name.as_deref().unwrap_or_default().into(),
            namespace: metadata.namespace.as_deref().map(Into::into),
            version: metadata.resource_version.as_deref().map(Into::into),
            owner: metadata.labels.as_ref().and_then(owner_name).map(Into::into),
            text: serde_json::to_string(object).unwrap_or_default().into(),
        }
    }

    /// The event with the object as text.
    pub fn event(event: &Event<DynamicObject>) -> Event<Self> {
        match event {
            Event::Apply(object) => Event::Apply(Self::new(object)),
            Event::Delete(object) => Event::Delete(Self::new(object)),
            Event::InitApply(object) => Event::InitApply(Self::new(object)),
            Event::Init => Event::Init,
            Event::InitDone => Event::InitDone,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn belongs_to(&self, marketplace: &str) -> bool {
        self.owner.as_deref() == Some(marketplace)
    }

    /// The object. The text was written from one, so that reading it does not fail.
    pub fn object(&self) -> Option<DynamicObject> {
        serde_json::from_str(&self.text).ok()
    }
}

impl Lookup for Cached {
    type DynamicType = ApiResource;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some(self.name.as_ref().into())
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        self.namespace.as_deref().map(Into::into)
    }

    fn resource_version(&self) -> Option<Cow<'_, str>> {
        self.version.as_deref().map(Into::into)
    }

    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_cached_object_is_the_same_when_it_is_read_again() {
        let whole = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "shop-signing", "namespace": "shop", "resourceVersion": "7", "uid": "u",
                "labels": {"app.kubernetes.io/instance": "shop"}, "annotations": {"of": "another \"client\""},
            },
            "data": {"key": "dmFsdWU="}, "immutable": null, "numbers": [1, 2.5, -3, 18_446_744_073_709_551_615_u64],
        });
        let object: DynamicObject = serde_json::from_value(whole.clone()).unwrap();
        let Event::Apply(cached) = Cached::event(&Event::Apply(object)) else { panic!("another event") };
        assert_eq!(serde_json::to_value(cached.object().unwrap()).unwrap(), whole);
        assert!(cached.belongs_to("shop") && !cached.belongs_to("other"));
        let reference = cached.to_object_ref(crate::kinds::Kind::Secret.resource());
        assert_eq!((reference.name.as_str(), reference.namespace.as_deref()), ("shop-signing", Some("shop")));
        let item = json!({"metadata": {"name": "of a list"}, "spec": {}});
        let item: DynamicObject = serde_json::from_value(item).unwrap();
        assert_eq!(Cached::new(&item).object().unwrap().data, json!({"spec": Value::Object(serde_json::Map::new())}));
    }
}
