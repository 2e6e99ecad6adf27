//! The order of the work: the scheduler, the steps of a reconciliation, and those of a deletion.

pub mod context;
pub mod error;
pub mod finalize;
pub mod next;
pub mod operator;
pub mod reconcile;
pub mod scheduler;
mod unreadable;
