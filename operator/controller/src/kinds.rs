//! The kinds of the child objects. Pure; a test compares the chart's Role with this list.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind that the operator writes or watches. The order of the variants is the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ServiceAccount,
    ConfigMap,
    Secret,
    NetworkPolicy,
    Service,
    Job,
    Deployment,
    HorizontalPodAutoscaler,
    PodDisruptionBudget,
    Ingress,
    /// Only watched: its status explains why a Deployment does not become ready.
    Pod,
}

impl Kind {
    pub const WRITTEN: [Self; 10] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Secret,
        Self::NetworkPolicy,
        Self::Service,
        Self::Job,
        Self::Deployment,
        Self::HorizontalPodAutoscaler,
        Self::PodDisruptionBudget,
        Self::Ingress,
    ];
    pub const WATCHED: [Self; 11] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Secret,
        Self::NetworkPolicy,
        Self::Service,
        Self::Job,
        Self::Deployment,
        Self::HorizontalPodAutoscaler,
        Self::PodDisruptionBudget,
        Self::Ingress,
        Self::Pod,
    ];

    const fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::HorizontalPodAutoscaler => {
                ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            }
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::Pod => ("", "v1", "Pod", "pods"),
        }
    }

    /// The value of the field `kind`.
    pub const fn word(self) -> &'static str {
        self.parts().2
    }

    /// API group and plural resource name, as in a Role.
    pub const fn group_and_plural(self) -> (&'static str, &'static str) {
        let (group, _, _, plural) = self.parts();
        (group, plural)
    }

    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.parts();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// Kind and name of a child object, in the namespace of its Marketplace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub kind: Kind,
    pub name: String,
}

impl ObjectKey {
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}
