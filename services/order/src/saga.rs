//! The saga of an order: hold, take payment, commit; or release, give back, refund.
//!
//! [`decide`] is a pure function from what is known to the next step; [`act`] takes that step; [`drive`] goes on until
//! there is nothing to do. Whoever holds the order's lease drives: the request that made the order, the one that brought
//! a payment's result, or the worker.

mod act;
mod command_id;
mod decide;
mod drive;
mod lease;

pub use act::Services;
pub use command_id::command_id;
pub use decide::{HOLD_MARGIN_SECONDS, Phase, STUCK_AFTER, Step, next, phase, wake};
pub use drive::{Drive, drive};
pub use lease::{LEASE, Leased, lease};
