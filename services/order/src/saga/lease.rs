//! Who may take an order's steps: one driver at a time, for a time.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Step, next};
use crate::{domain::State, ports::Driver};

/// Whoever takes a step is given so long: longer than a call may last with all its tries.
pub const LEASE: Duration = Duration::from_secs(15);

/// Who leases a saga, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The driver.
    pub owner: Option<Uuid>,
    /// From then on anybody may take it.
    pub until: Option<OffsetDateTime>,
}

impl Leased {
    /// Free for anybody.
    pub const NOBODY: Self = Self { owner: None, until: None };
}

/// Who leases the saga from now on, and whether that is the driver who asks: he is given it if there is a step to take
/// and nobody else has it, and loses it when there is none.
pub fn lease(state: &State, now: OffsetDateTime, leased: Leased, driver: Option<Driver>) -> (Leased, bool) {
    let ours = driver.is_some() && leased.owner == driver.map(|driver| driver.0);
    let free = leased.owner.is_none() || leased.until.is_none_or(|until| until <= now);
    match (next(state, now), driver) {
        (Step::Rest { .. }, _) if ours || free => (Leased::NOBODY, false),
        (Step::Rest { .. }, _) | (_, None) => (leased, false),
        (_, Some(Driver(owner))) if ours || free => (Leased { owner: Some(owner), until: Some(now + LEASE) }, true),
        (_, Some(_)) => (leased, false),
    }
}
