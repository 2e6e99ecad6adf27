//! The lease of a saga: one runner at a time may execute its steps. No I/O.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    super::State,
    next_step::{Step, next},
};

/// Duration of a lease; longer than one call with all its retries.
pub const LEASE: Duration = Duration::from_secs(15);

/// Identifies a runner of sagas, the holder of a lease. Each runner generates its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunnerId(pub Uuid);

/// Holder and end of a saga's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SagaLease {
    /// Id of the runner that holds the lease.
    pub owner: Option<Uuid>,
    /// Time from which any runner may take the lease.
    pub until: Option<OffsetDateTime>,
}

impl SagaLease {
    /// No runner holds the lease.
    pub const FREE: Self = Self { owner: None, until: None };
}

/// The next lease, and whether `runner` holds it. A runner gets a free lease if a step is due,
/// and loses it when none is.
pub fn lease(state: &State, now: OffsetDateTime, leased: SagaLease, runner: Option<RunnerId>) -> (SagaLease, bool) {
    let ours = runner.is_some() && leased.owner == runner.map(|runner| runner.0);
    let free = leased.owner.is_none() || leased.until.is_none_or(|until| until <= now);
    match (next(state, now), runner) {
        (Step::Wait { .. }, _) if ours || free => (SagaLease::FREE, false),
        (Step::Wait { .. }, _) | (_, None) => (leased, false),
        (_, Some(RunnerId(owner))) if ours || free => {
            (SagaLease { owner: Some(owner), until: Some(now + LEASE) }, true)
        }
        (_, Some(_)) => (leased, false),
    }
}
