//! The children of one service and the shared ones. Each struct has a field for every child that there may be, so that code
//! which does not decide about one of them does not compile.

use std::collections::BTreeMap;

use agora_topology as topology;

use super::{config_map, labels, migration_job, network_policy};
use crate::decide::credentials;
use crate::decide::maybe::Maybe;
use crate::decide::object::Object;
use crate::decide::observed::Observed;
use crate::decide::plan::Plan;
use crate::kinds::{Kind, ObjectKey};

pub type Entry = (ObjectKey, Maybe<Object>);

pub struct ServiceChildren {
    pub account: Maybe<Object>,
    pub service: Maybe<Object>,
    pub network_policy: Maybe<Object>,
    pub secret: Maybe<Object>,
    pub call_keys: Maybe<Object>,
    pub config_map: Maybe<Object>,
    pub migration: Maybe<Object>,
    pub deployment: Maybe<Object>,
    pub autoscaler: Maybe<Object>,
    pub budget: Maybe<Object>,
}

impl ServiceChildren {
    /// For a service that is disabled.
    pub const fn gone() -> Self {
        Self {
            account: Maybe::Gone,
            service: Maybe::Gone,
            network_policy: Maybe::Gone,
            secret: Maybe::Gone,
            call_keys: Maybe::Gone,
            config_map: Maybe::Gone,
            migration: Maybe::Gone,
            deployment: Maybe::Gone,
            autoscaler: Maybe::Gone,
            budget: Maybe::Gone,
        }
    }

    pub fn entries(self, plan: &Plan, service: &str) -> [Entry; 10] {
        let Self {
            account,
            service: own_service,
            network_policy,
            secret,
            call_keys,
            config_map,
            migration,
            deployment,
            autoscaler,
            budget,
        } = self;
        let key = |kind| ObjectKey::new(kind, plan.child(service));
        [
            (key(Kind::ServiceAccount), account),
            (key(Kind::Service), own_service),
            (key(Kind::NetworkPolicy), network_policy),
            (ObjectKey::new(Kind::Secret, credentials::database_secret(&plan.name, service)), secret),
            (ObjectKey::new(Kind::Secret, credentials::call_keys_secret(&plan.name, service)), call_keys),
            (key(Kind::ConfigMap), config_map),
            (ObjectKey::new(Kind::Job, migration_job::job_name(plan, service)), migration),
            (key(Kind::Deployment), deployment),
            (key(Kind::HorizontalPodAutoscaler), autoscaler),
            (key(Kind::PodDisruptionBudget), budget),
        ]
    }
}

pub struct SharedChildren {
    pub jwks: Maybe<Object>,
    pub rate_limits: Maybe<Object>,
    pub internal: Maybe<Object>,
    pub signing: Maybe<Object>,
    /// The keys of stored secrets, by service.
    pub encryption: BTreeMap<&'static str, Maybe<Object>>,
    pub admin: Maybe<Object>,
    pub default_deny: Maybe<Object>,
    pub migration_policy: Maybe<Object>,
    pub ingress: Maybe<Object>,
}

impl SharedChildren {
    pub fn entries(self, plan: &Plan) -> impl Iterator<Item = Entry> {
        let Self { jwks, rate_limits, internal, signing, encryption, admin, default_deny, migration_policy, ingress } =
            self;
        let secret = |name| ObjectKey::new(Kind::Secret, name);
        let policy = |name| ObjectKey::new(Kind::NetworkPolicy, plan.child(name));
        let encryption = encryption.into_iter();
        let encryption = encryption
            .map(move |(service, child)| (secret(credentials::encryption_secret(&plan.name, service)), child));
        [
            (ObjectKey::new(Kind::ConfigMap, credentials::jwks_name(&plan.name)), jwks),
            (ObjectKey::new(Kind::ConfigMap, config_map::rate_limits_name(&plan.name)), rate_limits),
            (secret(credentials::internal_secret(&plan.name)), internal),
            (secret(credentials::signing_secret(&plan.name)), signing),
            (secret(credentials::admin_secret(&plan.name)), admin),
            (policy(network_policy::DEFAULT_DENY), default_deny),
            (policy(network_policy::MIGRATION), migration_policy),
            (ObjectKey::new(Kind::Ingress, plan.child(super::ingress::GATEWAY)), ingress),
        ]
        .into_iter()
        .chain(encryption)
    }
}

/// Existing children that only another release has: the migration Jobs of other images, and the children of services that
/// this release does not know.
pub fn of_other_releases(observed: &Observed, is_known: impl Fn(&ObjectKey) -> bool) -> Vec<ObjectKey> {
    let of_known_service = |name: &str| labels::SHARED.contains(&name) || topology::service(name).is_some();
    let children = observed.children.0.iter().filter(|(key, _)| key.kind != Kind::Pod && !is_known(key));
    children
        .filter(|(key, object)| {
            let name = object.metadata.labels.as_ref().and_then(labels::service_name);
            key.kind == Kind::Job || name.is_some_and(|name| !of_known_service(name))
        })
        .map(|(key, _)| key.clone())
        .collect()
}

/// The copies of Secrets that exist again.
pub fn spares<'a>(observed: &Observed, keys: impl Iterator<Item = &'a ObjectKey>) -> Vec<ObjectKey> {
    let existing = keys.filter(|key| key.kind == Kind::Secret && observed.children.get(key).is_some());
    existing.map(|key| ObjectKey::new(Kind::Secret, credentials::spare_secret(&key.name))).collect()
}
