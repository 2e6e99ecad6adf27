//! The kinds of children, and how one of them is named. Pure; the chart's Role is checked against this list.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind that the operator writes or watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Accounts of pods, without a token.
    ServiceAccount,
    /// Settings and public keys.
    ConfigMap,
    /// Credentials.
    Secret,
    /// Who may talk to whom.
    NetworkPolicy,
    /// Names and ports of services.
    Service,
    /// Migrations.
    Job,
    /// Pods of services.
    Deployment,
    /// How many pods.
    HorizontalPodAutoscaler,
    /// What drains may take.
    PodDisruptionBudget,
    /// The way in.
    Ingress,
    /// Watched alone: why a Deployment does not become ready.
    Pod,
}

impl Kind {
    /// Those that the operator writes, in the order in which they are applied.
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
    /// Those that the operator watches.
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

    /// The word in `kind:`.
    pub const fn word(self) -> &'static str {
        self.parts().2
    }

    /// API group and plural, as a Role names them.
    pub const fn group_and_plural(self) -> (&'static str, &'static str) {
        let (group, _, _, plural) = self.parts();
        (group, plural)
    }

    /// How the API server is asked for it.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.parts();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// A child of a Marketplace, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its name in the Marketplace's namespace.
    pub name: String,
}

impl ObjectKey {
    /// The key of that kind and name.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}
