//! Tests of the pure part of the operator, on sample manifests and without a cluster.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod desired;
mod fixture;
mod network;
mod pieces;
mod start;
mod status;
