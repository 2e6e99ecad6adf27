//! Integration tests on a real PostgreSQL, with the simulated provider and an in-memory order service.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "an unexpected value must fail the test")]

mod challenges;
mod fixture;
mod in_memory_orders;
mod operations;
mod orders;
mod public;
mod reconciliation;
mod recovery;
mod refunds;
mod slow_provider;
mod storage;
mod stripe;
mod tokens;
