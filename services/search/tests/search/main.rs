//! The search service on real databases and a real broker.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

mod convergence;
mod delivery;
mod fixture;
mod plans;
mod public;
mod rebuilds;
mod shop;
