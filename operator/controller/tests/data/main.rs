//! Stored data outlives mistakes: the operator on a real API server, PostgreSQL and Kafka, without controllers and kubelet.
#![cfg(all(feature = "api-tests", feature = "db-tests"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod admission;
#[path = "../crash/api_server.rs"]
#[expect(dead_code, reason = "the tests of another program use the rest")]
mod api_server;
mod deletion;
mod loss;
mod secrets;
mod shop;
