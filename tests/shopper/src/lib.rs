//! Open-loop load generator for a shop, the history of its requests, and the invariant checker.
//!
//! A black-box client: depends on routes, bodies and events, never on a service's code. It places real orders, so it
//! accepts only a shop on this machine.

pub mod buy;
pub mod checker;
pub mod client;
pub mod closed;
pub mod collect;
pub mod history;
mod journey;
pub mod load;
pub mod place;
mod random;
pub mod rush;
mod summary;
pub mod vendure;

pub use buy::{Receipt, buy_one};
pub use client::Shop;
pub use summary::Summary;
