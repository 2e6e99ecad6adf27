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
/// Defaults of the API server: retries of a Job, and its pods at a time.
const BACKOFF_LIMIT: i32 = 6;
const PARALLELISM: i32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    None,
    Missing,
    /// The live object was written for another desired object.
    Outdated,
    /// The live object was written for this desired object, and whether another client changed it is only known with its
    /// normal form.
    Unverified,
    /// Another client changed what is compared without a normal form.
    Changed,
}

/// `verified` is the fingerprint of the normal form of this desired object.
pub fn diff(object: &Object, live: Option<&DynamicObject>, verified: Option<&str>) -> Difference {
    let Some(live) = live else {
        return Difference::Missing;
    };
    if object.ownership == Ownership::CreateOnce {
        return if reversible_changes(object, live).is_empty() { Difference::None } else { Difference::Changed };
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
    form["metadata"] = json!({
        "labels": own(object, "labels", live.labels()),
        "annotations": own(object, "annotations", live.annotations()),
        "ownerReferences": live.owner_references(),
    });
    form
}

/// The members of a part of the live metadata that the desired object has too.
fn own(object: &Object, field: &str, live: &BTreeMap<String, String>) -> Map<String, Value> {
    let desired = object.body["metadata"][field].as_object().into_iter().flatten();
    desired.filter_map(|(name, _)| Some((name.clone(), json!(live.get(name)?)))).collect()
}

/// A hash of a normal form.
pub fn fingerprint(form: &Value) -> String {
    names::short_hash(&form.to_string(), FINGERPRINT_DIGITS)
}

/// The object to send in place of `live`: the desired one, with labels, annotations and finalizers of other clients, and
/// fields that other controllers set.
pub fn replacement(object: &Object, live: &DynamicObject) -> Value {
    if object.ownership == Ownership::CreateOnce {
        return reverted(object, live);
    }
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

/// What another client changed of a child that is created once and can be changed back, by the paths of the fields: labels,
/// owners, and how a Job runs until it has ended.
pub fn reversible_changes(object: &Object, live: &DynamicObject) -> Vec<String> {
    let metadata = &object.body["metadata"];
    let mut desired = json!({
        "metadata": {"labels": metadata["labels"], "ownerReferences": metadata["ownerReferences"]},
    });
    let mut found = json!({
        "metadata": {"labels": own(object, "labels", live.labels()), "ownerReferences": live.owner_references()},
    });
    if !has_ended(live) {
        let fields = run_fields(object);
        let spec = &live.data["spec"];
        let run: Map<String, Value> = fields.keys().map(|name| (name.clone(), spec[name].clone())).collect();
        found["spec"] = Value::Object(run);
        desired["spec"] = Value::Object(fields);
    }
    changed_fields(&desired, &found)
}

/// `live` without the changes that can be undone.
fn reverted(object: &Object, live: &DynamicObject) -> Value {
    let mut body = serde_json::to_value(live).unwrap_or_default();
    for field in ["apiVersion", "kind"] {
        body[field] = object.body[field].clone();
    }
    let metadata = &object.body["metadata"];
    let mut labels = metadata["labels"].clone();
    add_missing(&mut labels, live.labels().iter());
    body["metadata"]["labels"] = labels;
    body["metadata"]["ownerReferences"] = metadata["ownerReferences"].clone();
    if !has_ended(live) {
        for (name, value) in run_fields(object) {
            body["spec"][name] = value;
        }
    }
    body
}

/// The fields of a Job that can be changed until it has ended, with their desired values or the defaults of the API server.
fn run_fields(object: &Object) -> Map<String, Value> {
    let defaults = [
        ("activeDeadlineSeconds", Value::Null),
        ("backoffLimit", json!(BACKOFF_LIMIT)),
        ("parallelism", json!(PARALLELISM)),
        ("suspend", json!(false)),
        ("ttlSecondsAfterFinished", Value::Null),
    ];
    let desired = &object.body["spec"];
    let fields = defaults.into_iter();
    fields.map(|(name, default)| (name.to_owned(), desired.get(name).cloned().unwrap_or(default))).collect()
}

/// Whether a Job is complete or has failed for good.
fn has_ended(live: &DynamicObject) -> bool {
    let mut conditions = live.data["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|it| (it["type"] == "Complete" || it["type"] == "Failed") && it["status"] == "True")
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
    use k8s_openapi::api::batch::v1::{Job, JobSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::{Difference, changed_fields, diff, fingerprint, normal_form, replacement, reversible_changes};
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

    fn job() -> Object {
        let owner = OwnerReference { name: "shop".to_owned(), uid: "u".to_owned(), ..OwnerReference::default() };
        let metadata = ObjectMeta {
            labels: Some([("part-of".to_owned(), "agora".to_owned())].into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        };
        let spec = JobSpec { active_deadline_seconds: Some(1_800), ..JobSpec::default() };
        let job = Job { metadata, spec: Some(spec), ..Job::default() };
        Object::new(Kind::Job, Group::Workloads, Ownership::CreateOnce, &job)
    }

    /// With the defaults of the API server.
    fn live_job() -> DynamicObject {
        let mut live = live(&job());
        live.metadata.resource_version = Some("7".to_owned());
        for (field, default) in [("backoffLimit", json!(6)), ("parallelism", json!(1)), ("suspend", json!(false))] {
            live.data["spec"][field] = default;
        }
        live
    }

    #[test]
    fn what_another_client_changes_of_a_running_job_is_changed_back() {
        let object = job();
        assert_eq!(diff(&object, Some(&live_job()), None), Difference::None);
        for (field, value) in [
            ("suspend", json!(true)),
            ("parallelism", json!(0)),
            ("activeDeadlineSeconds", json!(1)),
            ("activeDeadlineSeconds", json!(null)),
            ("backoffLimit", json!(0)),
            ("ttlSecondsAfterFinished", json!(0)),
        ] {
            let mut live = live_job();
            live.data["spec"][field] = value;
            live.data["spec"]["template"] = json!({"immutable": "x"});
            assert_eq!(diff(&object, Some(&live), None), Difference::Changed, "{field}");
            assert_eq!(reversible_changes(&object, &live), [format!("spec.{field}")]);
            let replacement: DynamicObject = serde_json::from_value(replacement(&object, &live)).unwrap();
            assert_eq!(diff(&object, Some(&replacement), None), Difference::None, "{field}");
            assert_eq!(replacement.data["spec"]["template"], live.data["spec"]["template"]);
            assert_eq!(replacement.metadata.resource_version.as_deref(), Some("7"));
        }
    }

    #[test]
    fn of_a_job_that_has_ended_only_labels_and_owners_are_changed_back() {
        let object = job();
        for type_ in ["Complete", "Failed"] {
            let mut live = live_job();
            live.data["spec"]["suspend"] = json!(true);
            live.data["status"] = json!({"conditions": [{"type": type_, "status": "True"}]});
            assert_eq!(diff(&object, Some(&live), None), Difference::None, "{type_}");
            live.metadata.labels = Some([("theirs".to_owned(), "x".to_owned())].into());
            live.metadata.owner_references = None;
            assert_eq!(diff(&object, Some(&live), None), Difference::Changed, "{type_}");
            assert_eq!(reversible_changes(&object, &live), ["metadata.labels.part-of", "metadata.ownerReferences"]);
            let replacement: DynamicObject = serde_json::from_value(replacement(&object, &live)).unwrap();
            assert_eq!(diff(&object, Some(&replacement), None), Difference::None, "{type_}");
            assert_eq!(replacement.metadata.labels.unwrap()["theirs"], "x");
            assert_eq!(replacement.data["spec"]["suspend"], true);
        }
    }

    #[test]
    fn changes_are_named_by_their_paths() {
        let expected = json!({"spec": {"ports": [{"port": 80}], "type": "ClusterIP"}});
        let live = json!({"spec": {"ports": [{"port": 81}], "type": "ClusterIP", "externalIPs": ["192.0.2.1"]}});
        assert_eq!(changed_fields(&expected, &live), ["spec.externalIPs", "spec.ports[0].port"]);
        assert!(changed_fields(&live, &live).is_empty());
    }
}
