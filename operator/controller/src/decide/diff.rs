//! The difference between a desired child and the live one, and the object that replaces the live one. Pure.
//!
//! A child is compared exactly: a field that only the live object has is a difference, unless the API server sets it by
//! default. What the API server makes of a desired object, its normal form, is known from its response to a write, or to a
//! dry run of one.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::decide::object::{DESIRED_HASH, OWN_ANNOTATIONS, Object, Ownership};
use crate::kinds::Kind;
use crate::names;

/// Annotations of a pod template that other clients may set: `kubectl rollout restart` sets the first.
const FOREIGN_TEMPLATE_ANNOTATIONS: [&str; 1] = ["kubectl.kubernetes.io/restartedAt"];
/// Fields of a ServiceAccount that controllers of the platform set.
const FOREIGN_OF_SERVICE_ACCOUNTS: [&str; 2] = ["secrets", "imagePullSecrets"];
const FINGERPRINT_DIGITS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    None,
    Missing,
    /// The live object was written for another desired object.
    Outdated,
    /// The live object was written for this desired object, and whether another client changed it is only known with its
    /// normal form.
    Unverified,
}

/// `verified` is the fingerprint of the normal form of this desired object.
pub fn diff(object: &Object, live: Option<&DynamicObject>, verified: Option<&str>) -> Difference {
    let Some(live) = live else {
        return Difference::Missing;
    };
    if object.ownership == Ownership::CreateOnce {
        return Difference::None;
    }
    if !is_written_for(object, live) {
        return Difference::Outdated;
    }
    let unchanged = verified.is_some_and(|verified| fingerprint(&normal_form(object, live)) == verified);
    if unchanged { Difference::None } else { Difference::Unverified }
}

/// Whether the live object was written for this desired object, by its annotation.
pub fn is_written_for(object: &Object, live: &DynamicObject) -> bool {
    live.annotations().get(DESIRED_HASH).is_some_and(|hash| hash == object.hash())
}

/// Whether another client made a ConfigMap or Secret immutable, so that no update can correct it.
pub fn is_made_immutable(object: &Object, live: &DynamicObject) -> bool {
    live.data["immutable"] == true && object.body["immutable"].is_null()
}

/// The part of a live object that the operator owns: without status, labels and annotations of other clients, and fields that
/// other controllers set.
pub fn normal_form(object: &Object, live: &DynamicObject) -> Value {
    let mut form = live.data.clone();
    let Some(members) = form.as_object_mut() else { return Value::Null };
    members.remove("status");
    if object.key.kind == Kind::ServiceAccount {
        members.retain(|name, _| !FOREIGN_OF_SERVICE_ACCOUNTS.contains(&name.as_str()));
    }
    if matches!(object.ownership, Ownership::Autoscaled { .. })
        && replicas(live) != Some(0)
        && let Some(spec) = members.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.remove("replicas");
    }
    if let Some(annotations) = template_annotations(&mut form) {
        annotations.retain(|name, _| !FOREIGN_TEMPLATE_ANNOTATIONS.contains(&name.as_str()));
    }
    let own = |of: &BTreeMap<String, String>, field: &str| -> Map<String, Value> {
        let desired = object.body["metadata"][field].as_object().into_iter().flatten();
        desired.filter_map(|(name, _)| Some((name.clone(), json!(of.get(name)?)))).collect()
    };
    form["metadata"] = json!({
        "labels": own(live.labels(), "labels"),
        "annotations": own(live.annotations(), "annotations"),
        "ownerReferences": live.owner_references(),
    });
    form
}

/// A hash of a normal form.
pub fn fingerprint(form: &Value) -> String {
    names::short_hash(&form.to_string(), FINGERPRINT_DIGITS)
}

/// The object to send in place of `live`: the desired one, with labels, annotations and finalizers of other clients, and
/// fields that other controllers set.
pub fn replacement(object: &Object, live: &DynamicObject) -> Value {
    let mut body = object.body.clone();
    let own_before: BTreeSet<&str> =
        live.annotations().get(OWN_ANNOTATIONS).into_iter().flat_map(|names| names.split(',')).collect();
    let metadata = &mut body["metadata"];
    metadata["resourceVersion"] = json!(live.resource_version());
    metadata["finalizers"] = json!(live.finalizers());
    let labels = live.labels().iter();
    add_missing(&mut metadata["labels"], labels);
    let annotations = live.annotations().iter();
    let foreign = annotations.filter(|(name, _)| !own_before.contains(name.as_str()) && *name != OWN_ANNOTATIONS);
    add_missing(&mut metadata["annotations"], foreign);
    if object.key.kind == Kind::ServiceAccount {
        for field in FOREIGN_OF_SERVICE_ACCOUNTS {
            body[field] = live.data[field].clone();
        }
    }
    if let Ownership::Autoscaled { initial_replicas } = object.ownership {
        let current = replicas(live).filter(|current| *current > 0);
        body["spec"]["replicas"] = json!(current.unwrap_or(i64::from(initial_replicas)));
    }
    let set_by_others = live.data["spec"]["template"]["metadata"]["annotations"].as_object();
    let kept: Vec<(&str, &Value)> = set_by_others
        .into_iter()
        .flat_map(|annotations| FOREIGN_TEMPLATE_ANNOTATIONS.map(|name| Some((name, annotations.get(name)?))))
        .flatten()
        .collect();
    if let Some(annotations) = template_annotations(&mut body) {
        annotations.extend(kept.into_iter().map(|(name, value)| (name.to_owned(), value.clone())));
    }
    body
}

/// The object to create after `live` was deleted: as [`replacement`].
pub fn recreation(object: &Object, live: &DynamicObject) -> Value {
    let mut body = replacement(object, live);
    body["metadata"]["resourceVersion"] = Value::Null;
    body
}

/// The object to create.
pub fn creation(object: &Object) -> Value {
    let mut body = object.body.clone();
    if let Ownership::Autoscaled { initial_replicas } = object.ownership {
        body["spec"]["replicas"] = json!(initial_replicas);
    }
    body
}

/// The paths of the fields in which two normal forms differ, for messages. Values are left out: they may be secret.
pub fn changed_fields(expected: &Value, live: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    collect_changes(expected, live, "", &mut fields);
    fields
}

fn collect_changes(expected: &Value, live: &Value, path: &str, fields: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (expected, live) {
        (Value::Object(expected), Value::Object(live)) => {
            let names: BTreeSet<&String> = expected.keys().chain(live.keys()).collect();
            for name in names {
                let (one, other) = (expected.get(name), live.get(name));
                collect_changes(one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null), &below(name), fields);
            }
        }
        (Value::Array(expected), Value::Array(live)) if expected.len() == live.len() => {
            for (index, (expected, live)) in expected.iter().zip(live).enumerate() {
                collect_changes(expected, live, &format!("{path}[{index}]"), fields);
            }
        }
        (expected, live) if expected != live => fields.push(path.to_owned()),
        _ => {}
    }
}

fn replicas(live: &DynamicObject) -> Option<i64> {
    live.data["spec"]["replicas"].as_i64()
}

fn template_annotations(body: &mut Value) -> Option<&mut Map<String, Value>> {
    body.pointer_mut("/spec/template/metadata/annotations")?.as_object_mut()
}

fn add_missing<'a>(members: &mut Value, others: impl Iterator<Item = (&'a String, &'a String)>) {
    let mut all: Map<String, Value> = others.map(|(name, value)| (name.clone(), json!(value))).collect();
    all.extend(members.as_object().cloned().unwrap_or_default());
    *members = Value::Object(all);
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::{Difference, changed_fields, diff, fingerprint, normal_form, replacement};
    use crate::decide::object::{Group, OWN_ANNOTATIONS, Object, Ownership};
    use crate::kinds::Kind;

    fn account(annotation: &str) -> Object {
        let mut account = k8s_openapi::api::core::v1::ServiceAccount {
            automount_service_account_token: Some(false),
            ..Default::default()
        };
        account.metadata.annotations = Some([(annotation.to_owned(), "x".to_owned())].into());
        Object::new(Kind::ServiceAccount, Group::Workloads, Ownership::Exact, &account)
    }

    fn live(object: &Object) -> DynamicObject {
        serde_json::from_value(object.body.clone()).unwrap()
    }

    #[test]
    fn an_added_field_is_a_difference_and_metadata_of_other_clients_is_not() {
        let object = account("ours");
        let mut live = live(&object);
        let verified = fingerprint(&normal_form(&object, &live));
        let difference = |live: &DynamicObject| diff(&object, Some(live), Some(&verified));
        assert_eq!(difference(&live), Difference::None);
        live.types = None;
        live.metadata.resource_version = Some("7".to_owned());
        live.metadata.annotations.as_mut().unwrap().insert("theirs".to_owned(), "y".to_owned());
        live.metadata.finalizers = Some(vec!["theirs".to_owned()]);
        live.data["imagePullSecrets"] = json!([{"name": "of-the-platform"}]);
        assert_eq!(difference(&live), Difference::None);
        assert_eq!(diff(&object, Some(&live), None), Difference::Unverified);
        live.data["added"] = json!(1);
        assert_eq!(difference(&live), Difference::Unverified);
        assert_eq!(diff(&account("other"), Some(&live), Some(&verified)), Difference::Outdated);
        assert_eq!(diff(&object, None, None), Difference::Missing);
    }

    #[test]
    fn a_replacement_keeps_metadata_of_other_clients_and_drops_what_the_spec_had_before() {
        let mut live = live(&account("before"));
        live.metadata.annotations.as_mut().unwrap().insert("theirs".to_owned(), "y".to_owned());
        live.metadata.resource_version = Some("7".to_owned());
        let body = replacement(&account("now"), &live);
        let annotations = &body["metadata"]["annotations"];
        assert_eq!(annotations[OWN_ANNOTATIONS], "now");
        assert_eq!(annotations["theirs"], "y");
        assert!(annotations["before"].is_null());
        assert_eq!(body["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn changes_are_named_by_their_paths() {
        let expected = json!({"spec": {"ports": [{"port": 80}], "type": "ClusterIP"}});
        let live = json!({"spec": {"ports": [{"port": 81}], "type": "ClusterIP", "externalIPs": ["192.0.2.1"]}});
        assert_eq!(changed_fields(&expected, &live), ["spec.externalIPs", "spec.ports[0].port"]);
        assert!(changed_fields(&live, &live).is_empty());
    }
}
