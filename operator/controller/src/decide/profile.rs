//! The sizes of the profiles. A change of a request or limit restarts every pod at the upgrade of the operator.

use agora_crd::Profile;

/// The size of each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub replicas_min: i32,
    pub replicas_max: i32,
    pub cpu_request: &'static str,
    pub memory_request: &'static str,
    pub memory_limit: &'static str,
    /// Pods of a service that a node drain may evict at once; `None`: there is no PodDisruptionBudget.
    pub max_unavailable: Option<i32>,
    /// Maximum number of connections of a pod to its database.
    pub pool_size_max: i32,
}

pub const fn size(profile: Profile) -> Size {
    match profile {
        Profile::Development => Size {
            replicas_min: 1,
            replicas_max: 3,
            cpu_request: "50m",
            memory_request: "32Mi",
            memory_limit: "256Mi",
            max_unavailable: None,
            pool_size_max: 5,
        },
        Profile::Small => highly_available(2, 6, "100m", "64Mi", "256Mi"),
        Profile::Medium => highly_available(3, 12, "250m", "256Mi", "512Mi"),
        Profile::Large => highly_available(3, 40, "500m", "512Mi", "1Gi"),
    }
}

const fn highly_available(
    replicas_min: i32,
    replicas_max: i32,
    cpu_request: &'static str,
    memory_request: &'static str,
    memory_limit: &'static str,
) -> Size {
    Size {
        replicas_min,
        replicas_max,
        cpu_request,
        memory_request,
        memory_limit,
        max_unavailable: Some(1),
        pool_size_max: 10,
    }
}
