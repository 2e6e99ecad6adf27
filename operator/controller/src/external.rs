//! The data servers: PostgreSQL, Kafka and Redis. Must not use the Kubernetes API.

mod batches;
pub mod kafka;
pub mod ports;
pub mod postgres;
pub mod readiness;
pub mod redis;
pub mod tasks;
