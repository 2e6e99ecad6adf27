//! The saga of an order: reserve, pay, commit; or release, cancel the checkout, refund.
//!
//! [`next`] is a pure function that returns the next step; [`Services`] executes a step; [`SagaRunner`] runs steps until
//! none is left. The holder of the saga's lease runs it: the request that created the order, the request that delivered
//! a payment result, or the worker.

mod command_id;
mod execute;
mod lease;
mod next_step;
mod runner;

pub use command_id::command_id;
pub use execute::Services;
pub use lease::{LEASE, SagaLease, lease};
pub use next_step::{HOLD_MARGIN_SECONDS, Phase, STUCK_AFTER, Step, next, phase, wake_at};
pub use runner::SagaRunner;
