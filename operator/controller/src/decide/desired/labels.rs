//! Labels and owner references of children, and the selectors that find them.

use std::collections::BTreeMap;

use agora_crd::OWNER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::decide::object::DESIRED_HASH;
use crate::decide::plan::Plan;

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Name of the Marketplace on children without owner. GitOps tools take the instance label for a mark of what they applied, and
/// would delete an object that has it and no owner.
const MARKETPLACE: &str = "agoraplatform.dev/marketplace";
const PART_OF: &str = "app.kubernetes.io/part-of";
/// Label with the name of the client that manages an object.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const COMPONENT: &str = "app.kubernetes.io/component";

/// Value of the name label of children that belong to the network and to no service.
pub const NETWORK: &str = "network";
/// Value of the name label of the Secret of internal tokens.
pub const INTERNAL: &str = "internal";
/// Values of the name label that are not the name of a service.
pub const SHARED: [&str; 2] = [NETWORK, INTERNAL];

/// Selects the children of all Marketplaces.
pub const SELECTOR: &str = "app.kubernetes.io/part-of=agora,app.kubernetes.io/managed-by=agora-operator";

/// The service to which a child with these labels belongs, or one of [`SHARED`].
pub fn service_name(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(NAME).map(String::as_str)
}

/// The name of the Marketplace to which a child with these labels belongs.
pub fn owner_name(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(MARKETPLACE).or_else(|| labels.get(INSTANCE)).map(String::as_str)
}

pub fn labels(plan: &Plan, name: &str) -> BTreeMap<String, String> {
    [(NAME, name), (INSTANCE, plan.name.as_str()), (PART_OF, "agora"), (MANAGED_BY, "agora-operator")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Labels of a migration's pods. They differ from those of the service's pods, so that no Service selects them.
pub fn migration_labels(plan: &Plan, service: &str) -> BTreeMap<String, String> {
    let mut labels = labels(plan, &format!("{service}-migrate"));
    labels.insert(COMPONENT.to_owned(), "migration".to_owned());
    labels
}

pub fn selector(plan: &Plan, service: &str) -> LabelSelector {
    let labels = [(NAME, service), (INSTANCE, plan.name.as_str())];
    LabelSelector {
        match_labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        ..LabelSelector::default()
    }
}

pub fn instance_selector(plan: &Plan) -> LabelSelector {
    let labels = [(INSTANCE, plan.name.as_str()), (PART_OF, "agora")];
    LabelSelector {
        match_labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        ..LabelSelector::default()
    }
}

pub fn migration_selector(plan: &Plan) -> LabelSelector {
    let labels = [(INSTANCE, plan.name.as_str()), (PART_OF, "agora"), (COMPONENT, "migration")];
    LabelSelector {
        match_labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        ..LabelSelector::default()
    }
}

/// Metadata of a child that the garbage collector deletes with its Marketplace.
pub fn owned(plan: &Plan, name: String, label: &str) -> ObjectMeta {
    ObjectMeta { owner_references: Some(vec![plan.owner.clone()]), ..metadata(plan, name, label) }
}

/// Metadata of a child without owner, which stays after the deletion of its Marketplace because stored data depends on it. An
/// annotation records the owner.
pub fn kept(plan: &Plan, name: String, label: &str) -> ObjectMeta {
    let annotations = [(OWNER.to_owned(), plan.claim().market)];
    let mut metadata = metadata(plan, name, label);
    let mut labels = metadata.labels.unwrap_or_default();
    labels.remove(INSTANCE);
    labels.insert(MARKETPLACE.to_owned(), plan.name.clone());
    metadata.labels = Some(labels);
    ObjectMeta { annotations: Some(annotations.into()), ..metadata }
}

fn metadata(plan: &Plan, name: String, label: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(plan.namespace.clone()),
        labels: Some(labels(plan, label)),
        ..ObjectMeta::default()
    }
}

/// Whether an object belongs to the Marketplace: by its owner reference, or by label and owner record. An earlier release
/// recorded no owner on the objects that stay after a deletion. Pods belong to their ReplicaSet or Job.
pub fn is_owned(plan: &Plan, object: &ObjectMeta) -> bool {
    let controllers: Vec<_> = object.owner_references.iter().flatten().collect();
    if !controllers.is_empty() {
        let of_workload = |kind: &str| ["ReplicaSet", "Job"].contains(&kind);
        return controllers.iter().any(|owner| owner.uid == plan.owner.uid || of_workload(&owner.kind));
    }
    let labels = object.labels.clone().unwrap_or_default();
    let annotation = |name: &str| object.annotations.as_ref().and_then(|all| all.get(name));
    let labelled = owner_name(&labels) == Some(&plan.name)
        && labels.get(MANAGED_BY).is_some_and(|manager| manager == "agora-operator");
    let recorded = annotation(OWNER).map(|owner| *owner == plan.claim().market);
    labelled && recorded.unwrap_or_else(|| annotation(DESIRED_HASH).is_some())
}

/// As [`is_owned`], for an object whose labels another client may have changed: the owner record alone is enough.
pub fn is_owned_without_labels(plan: &Plan, object: &ObjectMeta) -> bool {
    let recorded = object.annotations.as_ref().and_then(|all| all.get(OWNER));
    is_owned(plan, object) || recorded == Some(&plan.claim().market)
}
