//! The saga of an order: reserve, pay, commit; or release, cancel the checkout, refund.
//!
//! [`crate::domain::next`] returns the next step; [`Services`] executes a step; [`SagaRunner`] runs steps until none is
//! left. The holder of the saga's lease runs it: the request that created the order, the request that delivered a payment
//! result, or the worker.

mod execute;
mod runner;

pub use execute::Services;
pub(super) use runner::SagaRunner;
