//! Labels and owners of children: how they are found, selected and pruned.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::decide::plan::Plan;

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
const PART_OF: &str = "app.kubernetes.io/part-of";
/// Label that says who wrote a child.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const COMPONENT: &str = "app.kubernetes.io/component";

/// Selects every child of every Marketplace.
pub const SELECTOR: &str = "app.kubernetes.io/part-of=agora,app.kubernetes.io/managed-by=agora-operator";

/// The Marketplace that a child with these labels belongs to.
pub fn owner_name(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(INSTANCE).map(String::as_str)
}

/// Labels of a child.
pub fn labels(plan: &Plan, name: &str) -> BTreeMap<String, String> {
    [(NAME, name), (INSTANCE, plan.name.as_str()), (PART_OF, "agora"), (MANAGED_BY, "agora-operator")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Labels of a migration's pods: not those of the service's pods, or its Service would send requests to them.
pub fn migration_labels(plan: &Plan, service: &str) -> BTreeMap<String, String> {
    let mut labels = labels(plan, &format!("{service}-migrate"));
    labels.insert(COMPONENT.to_owned(), "migration".to_owned());
    labels
}

/// Selects the pods of a service.
pub fn selector(plan: &Plan, service: &str) -> LabelSelector {
    let labels = [(NAME, service), (INSTANCE, plan.name.as_str())];
    LabelSelector {
        match_labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        ..LabelSelector::default()
    }
}

/// Selects every pod of a Marketplace.
pub fn instance_selector(plan: &Plan) -> LabelSelector {
    let labels = [(INSTANCE, plan.name.as_str()), (PART_OF, "agora")];
    LabelSelector {
        match_labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        ..LabelSelector::default()
    }
}

/// Selects the pods of a Marketplace's migrations.
pub fn migration_selector(plan: &Plan) -> LabelSelector {
    let labels = [(INSTANCE, plan.name.as_str()), (PART_OF, "agora"), (COMPONENT, "migration")];
    LabelSelector {
        match_labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        ..LabelSelector::default()
    }
}

/// Metadata of a child that goes with its Marketplace.
pub fn owned(plan: &Plan, name: String, label: &str) -> ObjectMeta {
    ObjectMeta { owner_references: Some(vec![plan.owner.clone()]), ..kept(plan, name, label) }
}

/// Metadata of a child that outlives its Marketplace, because data depend on it.
pub fn kept(plan: &Plan, name: String, label: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(plan.namespace.clone()),
        labels: Some(labels(plan, label)),
        ..ObjectMeta::default()
    }
}
