//! The order service from the outside: over HTTP, by its ports' laws, and with feature `db-tests` on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod api;
mod clients;
#[cfg(feature = "db-tests")]
mod database;
#[cfg(feature = "db-tests")]
mod fused;
mod hearing;
mod laws;
mod older_defects;
mod saga;
mod shop;
mod world;
