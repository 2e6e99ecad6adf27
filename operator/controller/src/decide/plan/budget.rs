//! The division of the database server's connections among the pods.

use agora_crd::Reason;

use super::{Scope, ServicePlan, Violation};
use crate::decide::profile::Size;

/// Connections that are left for admins, migrations and listeners.
const RESERVED: i32 = 20;
/// A service needs one connection for requests and one for the outbox relay.
const POOL_SIZE_MIN: i32 = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Connections of the server; `None` until the server was inspected.
    pub limit: Option<i32>,
    /// Pool size of each pod; `None` until the server was inspected, and while its connections do not suffice for a new shop.
    pub pool: Option<i32>,
    /// Whether the connections suffice, so that the pool sizes of the spec are used.
    pub suffices: bool,
}

/// `in_effect` is the pool size that running pods have: it stays if the connections do not suffice.
///
/// Pool size = min(maximum of the profile, ⌊(limit − 20 − S) / maximum number of pods with a database⌋ − 1), where services whose
/// pool size is in the spec are not counted among the pods, and S is one more than that size for each of their pods.
pub(super) fn budget(
    limit: Option<i32>,
    in_effect: Option<i32>,
    services: &[ServicePlan],
    size: &Size,
    violations: &mut Vec<Violation>,
) -> Budget {
    let (mut pods, mut needed_of_spec) = (0, 0);
    for service in services.iter().filter(|service| service.row.database) {
        match service.database.pool_size {
            Some(pool) => needed_of_spec += service.replicas.max * (pool + 1),
            None => pods += service.replicas.max,
        }
    }
    let Some(limit) = limit else {
        return Budget::default();
    };
    let left = limit - RESERVED - needed_of_spec;
    let share = left.checked_div(pods).map_or(size.pool_size_max, |share| share - 1);
    let pool = share.min(size.pool_size_max);
    if pool < POOL_SIZE_MIN || left < 0 {
        let needed = RESERVED + needed_of_spec + pods * (POOL_SIZE_MIN + 1);
        let pods: i32 =
            services.iter().filter(|service| service.row.database).map(|service| service.replicas.max).sum();
        violations.push(Violation::new(
            Reason::ConnectionBudgetExceeded,
            Scope::Pools,
            format!(
                "{limit} connections, without those that older Marketplaces on the server reserve, are too few for {pods} pods \
                 with a database, which need {needed}: raise max_connections of the server (and \
                 spec.database.maxConnections), or lower spec.services[].scaling.maxReplicas or \
                 spec.services[].database.poolSize"
            ),
        ));
        return Budget { limit: Some(limit), pool: in_effect, suffices: false };
    }
    Budget { limit: Some(limit), pool: Some(pool), suffices: true }
}
