//! The table of profiles: replicas, requests, limits, budget. Frozen per release: an edit restarts every pod.

use agora_crd::Profile;

/// What a profile gives to each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Fewest pods.
    pub replicas_min: i32,
    /// Most pods.
    pub replicas_max: i32,
    /// CPU that the scheduler sets aside.
    pub cpu_request: &'static str,
    /// Memory that the scheduler sets aside.
    pub memory_request: &'static str,
    /// Memory that a pod may not exceed.
    pub memory_limit: &'static str,
    /// Pods that a drain may take at once; `None`: no budget is written.
    pub max_unavailable: Option<i32>,
    /// Most connections of a pod to its database.
    pub pool_size_max: i32,
}

/// What this profile gives.
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
        Profile::Small => of(2, 6, "100m", "64Mi", "256Mi"),
        Profile::Medium => of(3, 12, "250m", "256Mi", "512Mi"),
        Profile::Large => of(3, 40, "500m", "512Mi", "1Gi"),
    }
}

const fn of(
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
