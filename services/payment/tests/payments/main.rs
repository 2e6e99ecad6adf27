//! Integration tests on a real PostgreSQL, with the simulated provider and an in-memory order service.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "an unexpected value must fail the test")]

mod fixture;
mod orders;
mod public;
mod recovery;
mod refunds;
mod storage;
