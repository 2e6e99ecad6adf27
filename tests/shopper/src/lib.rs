//! Open-loop shoppers, the history of what they saw, and the checker of the invariants.
//!
//! A black box: knows routes, bodies and events, never a service's insides. It buys for real, so it only ever talks to
//! a shop on this machine.

pub mod buy;
pub mod checker;
pub mod client;
pub mod collect;
pub mod history;
mod journey;
pub mod load;
pub mod place;
mod random;
pub mod rush;
mod summary;

pub use buy::{Bought, buy_one};
pub use client::Shop;
pub use summary::Summary;
