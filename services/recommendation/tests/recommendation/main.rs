//! Integration tests of the recommendation service on a real PostgreSQL, Kafka and Redis.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod broker;
mod cached;
mod delivery;
mod feedback;
mod plans;
mod public;
mod recomputation;
mod rules;
mod shop;
