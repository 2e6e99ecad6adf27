//! The outbox on a real PostgreSQL and a real Kafka.
#![cfg(feature = "db-tests")]
#![expect(clippy::expect_used, reason = "what a test cannot do without ends it")]

mod consumer;
mod dedup;
mod fixture;
mod leases;
mod partitions;
mod plans;
mod poisoned;
mod rejected;
mod relay;
mod scaling;
mod single_statement;
