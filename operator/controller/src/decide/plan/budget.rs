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
}

/// `in_effect` is the pool size that running pods have: it stays if the connections do not suffice.
///
/// Pool size = min(maximum of the profile, ⌊(limit − 20) / maximum number of pods with a database⌋ − 1).
pub(super) fn budget(
    limit: Option<i32>,
    in_effect: Option<i32>,
    services: &[ServicePlan],
    size: &Size,
    violations: &mut Vec<Violation>,
) -> Budget {
    let pods: i32 = services.iter().filter(|service| service.row.database).map(|service| service.replicas.max).sum();
    let Some(limit) = limit else {
        return Budget::default();
    };
    let share = (limit - RESERVED).checked_div(pods).map_or(size.pool_size_max, |share| share - 1);
    let pool = share.min(size.pool_size_max);
    if pool < POOL_SIZE_MIN {
        let needed = RESERVED + pods * (POOL_SIZE_MIN + 1);
        violations.push(Violation::new(
            Reason::ConnectionBudgetExceeded,
            Scope::Pools,
            format!(
                "{limit} connections, without those that older Marketplaces on the server reserve, are too few for {pods} pods \
                 with a database, which need {needed}: raise max_connections of the server (and \
                 spec.database.maxConnections), or lower spec.services[].scaling.maxReplicas"
            ),
        ));
        return Budget { limit: Some(limit), pool: in_effect };
    }
    Budget { limit: Some(limit), pool: Some(pool) }
}
