//! Integration tests of the order service: HTTP, port contracts and, with feature `db-tests`, PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod api;
mod clients;
#[cfg(feature = "db-tests")]
mod crashing_store;
#[cfg(feature = "db-tests")]
mod database;
mod event_consumer;
mod fixture;
mod regressions;
mod saga;
mod shop;
mod store_contract;
