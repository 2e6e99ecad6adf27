//! Whether a child that exists is as it should be. Pure.

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::decide::object::{DESIRED_HASH, Object, Write};

/// What has to be done about a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Nothing.
    None,
    /// It is absent.
    Absent,
    /// It was wanted otherwise until now.
    Outdated,
    /// It was so, and somebody changed it.
    Drifted,
}

/// Compares a child with the one that exists. `settled`: that one as the API server gave it back for this very object;
/// it tells normal forms (`0.5` is `500m`) from drift.
pub fn difference(object: &Object, live: Option<&DynamicObject>, settled: Option<&Value>) -> Difference {
    let Some(live) = live else { return Difference::Absent };
    if object.write == Write::Once {
        return Difference::None;
    }
    let same_wish = live.annotations().get(DESIRED_HASH).is_some_and(|hash| hash == object.hash());
    if !same_wish {
        return Difference::Outdated;
    }
    let (live, wanted) = (untyped(live), compared(object));
    let settled = settled.is_some_and(|settled| projection(&live, &wanted) == *settled);
    if settled || covers(&live, &wanted) { Difference::None } else { Difference::Drifted }
}

/// An object without `apiVersion` and `kind`, as it is compared.
pub fn compared(object: &Object) -> Value {
    without_type(object.body.clone())
}

/// A live object without `apiVersion` and `kind`: the API server leaves them out of lists.
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

/// Whether `live` holds every field of `wanted`. Fields that only `live` has are somebody else's; elements of lists
/// are compared one by one.
pub fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(name, wanted)| match live.get(name) {
            Some(live) => covers(live, wanted),
            None => is_empty(wanted),
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

/// The part of `live` that `wanted` speaks of.
pub fn projection(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .filter_map(|(name, wanted)| Some((name.clone(), projection(live.get(name)?, wanted))))
            .collect(),
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            live.iter().zip(wanted).map(|(live, wanted)| projection(live, wanted)).collect()
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

    use super::{Difference, covers, difference, projection};
    use crate::decide::object::{DESIRED_HASH, Group, Object, Write};
    use crate::kinds::Kind;

    #[test]
    fn defaults_of_the_server_are_no_difference_and_a_changed_value_is() {
        let wanted = json!({"spec": {"ports": [{"port": 80}], "selector": {}}});
        let live = json!({"spec": {"ports": [{"port": 80, "protocol": "TCP"}], "type": "ClusterIP"}});
        assert!(covers(&live, &wanted));
        let edited = json!({"spec": {"ports": [{"port": 81, "protocol": "TCP"}]}});
        assert!(!covers(&edited, &wanted));
        let added = json!({"spec": {"ports": [{"port": 80}, {"port": 81}]}});
        assert!(!covers(&added, &wanted));
    }

    #[test]
    fn an_object_from_a_list_is_no_other_than_one_from_a_watch() {
        let account = k8s_openapi::api::core::v1::ServiceAccount::default();
        let object = Object::new(Kind::ServiceAccount, Group::Workloads, Write::Apply, &account);
        let mut live: DynamicObject = serde_json::from_value(object.body.clone()).unwrap();
        assert_eq!(difference(&object, Some(&live), None), Difference::None);
        live.types = None;
        assert_eq!(difference(&object, Some(&live), None), Difference::None);
        live.metadata.name = Some("other".to_owned());
        assert_eq!(difference(&object, Some(&live), None), Difference::None, "its name is no field that was wanted");
        live.data = json!({"automountServiceAccountToken": true});
        let wanted =
            k8s_openapi::api::core::v1::ServiceAccount { automount_service_account_token: Some(false), ..account };
        let object = Object::new(Kind::ServiceAccount, Group::Workloads, Write::Apply, &wanted);
        assert_eq!(difference(&object, Some(&live), None), Difference::Outdated);
        let hash = [(DESIRED_HASH.to_owned(), object.hash().to_owned())];
        live.metadata.annotations = Some(hash.into());
        assert_eq!(difference(&object, Some(&live), None), Difference::Drifted);
        let settled = json!({
            "metadata": {"annotations": {DESIRED_HASH: object.hash()}}, "automountServiceAccountToken": true
        });
        assert_eq!(difference(&object, Some(&live), Some(&settled)), Difference::None);
        assert_eq!(difference(&object, None, None), Difference::Absent);
    }

    #[test]
    fn a_projection_is_blind_to_fields_of_others() {
        let wanted = json!({"resources": {"cpu": "0.5"}});
        let live = json!({"resources": {"cpu": "500m", "memory": "1Gi"}, "status": 1});
        assert_eq!(projection(&live, &wanted), json!({"resources": {"cpu": "500m"}}));
    }
}
