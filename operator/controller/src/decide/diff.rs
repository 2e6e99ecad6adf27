//! The difference between a desired child and the live one. Pure.

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::decide::object::{DESIRED_HASH, Object, Ownership};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    None,
    Missing,
    /// The live object was written for another desired object.
    Outdated,
    /// The live object was written for this desired object, and another client changed it.
    Drifted,
}

/// `normal_form` is what the API server returned for this desired object when it was written. With it, another spelling of
/// the same value (`0.5` and `500m`) is not taken for drift.
pub fn diff(object: &Object, live: Option<&DynamicObject>, normal_form: Option<&Value>) -> Difference {
    let Some(live) = live else {
        return Difference::Missing;
    };
    if object.ownership == Ownership::CreateOnce {
        return Difference::None;
    }
    let same_hash = live.annotations().get(DESIRED_HASH).is_some_and(|hash| hash == object.hash());
    if !same_hash {
        return Difference::Outdated;
    }
    let (live, desired) = (untyped(live), compared(object));
    let unchanged = normal_form.is_some_and(|normal_form| projection(&live, &desired) == *normal_form);
    if unchanged || covers(&live, &desired) { Difference::None } else { Difference::Drifted }
}

/// A desired object without `apiVersion` and `kind`.
pub fn compared(object: &Object) -> Value {
    without_type(object.body.clone())
}

/// A live object without `apiVersion` and `kind`, which the API server omits in lists.
pub fn untyped(live: &DynamicObject) -> Value {
    without_type(serde_json::to_value(live).unwrap_or_default())
}

fn without_type(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.remove("apiVersion");
        members.remove("kind");
    }
    body
}

/// Whether `live` has every field of `desired` with the same value. Fields that only `live` has belong to other clients.
/// Lists must have the same length and are compared by position.
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(name, desired)| match live.get(name) {
            Some(live) => covers(live, desired),
            None => is_empty(desired),
        }),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len() && live.iter().zip(desired).all(|(live, desired)| covers(live, desired))
        }
        (live, desired) => live == desired,
    }
}

/// The fields of `live` that `desired` has too.
pub fn projection(live: &Value, desired: &Value) -> Value {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired
            .iter()
            .filter_map(|(name, desired)| Some((name.clone(), projection(live.get(name)?, desired))))
            .collect(),
        (Value::Array(live), Value::Array(desired)) if live.len() == desired.len() => {
            live.iter().zip(desired).map(|(live, desired)| projection(live, desired)).collect()
        }
        (live, _) => live.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::{Difference, covers, diff, projection};
    use crate::decide::object::{DESIRED_HASH, Group, Object, Ownership};
    use crate::kinds::Kind;

    #[test]
    fn defaults_of_the_server_are_not_a_difference_and_a_changed_value_is() {
        let desired = json!({"spec": {"ports": [{"port": 80}], "selector": {}}});
        let live = json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}], "type": "ClusterIP"}});
        assert!(covers(&live, &desired));
        let edited = json!({"spec": {"ports": [{"port": 81, "protocol": "TCP"}]}});
        assert!(!covers(&edited, &desired));
        let added = json!({"spec": {"ports": [{"port": 80}, {"port": 81}]}});
        assert!(!covers(&added, &desired));
    }

    #[test]
    fn an_object_from_a_list_equals_the_same_object_from_a_watch() {
        let account = k8s_openapi::api::core::v1::ServiceAccount::default();
        let object = Object::new(Kind::ServiceAccount, Group::Workloads, Ownership::Exact, &account);
        let mut live: DynamicObject = serde_json::from_value(object.body.clone()).unwrap();
        assert_eq!(diff(&object, Some(&live), None), Difference::None);
        live.types = None;
        assert_eq!(diff(&object, Some(&live), None), Difference::None);
        live.metadata.name = Some("other".to_owned());
        assert_eq!(diff(&object, Some(&live), None), Difference::None, "the desired object has no name");
        live.data = json!({"automountServiceAccountToken": true});
        let desired =
            k8s_openapi::api::core::v1::ServiceAccount { automount_service_account_token: Some(false), ..account };
        let object = Object::new(Kind::ServiceAccount, Group::Workloads, Ownership::Exact, &desired);
        assert_eq!(diff(&object, Some(&live), None), Difference::Outdated);
        let hash = [(DESIRED_HASH.to_owned(), object.hash().to_owned())];
        live.metadata.annotations = Some(hash.into());
        assert_eq!(diff(&object, Some(&live), None), Difference::Drifted);
        let normal_form = json!({
            "metadata": {"annotations": {DESIRED_HASH: object.hash()}}, "automountServiceAccountToken": true
        });
        assert_eq!(diff(&object, Some(&live), Some(&normal_form)), Difference::None);
        assert_eq!(diff(&object, None, None), Difference::Missing);
    }

    #[test]
    fn a_projection_omits_fields_of_other_clients() {
        let desired = json!({"resources": {"cpu": "0.5"}});
        let live = json!({"resources": {"cpu": "500m", "memory": "1Gi"}, "status": 1});
        assert_eq!(projection(&live, &desired), json!({"resources": {"cpu": "500m"}}));
    }
}
