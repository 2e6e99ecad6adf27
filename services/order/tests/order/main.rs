//! Tests of the order service. Those of use cases, HTTP and the store run on a real PostgreSQL, with feature `db-tests`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod clients;
#[cfg(feature = "db-tests")]
mod fakes;
mod saga_rules;
#[cfg(feature = "db-tests")]
mod with_database;
