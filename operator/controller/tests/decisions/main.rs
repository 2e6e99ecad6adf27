//! Tests of the pure part of the operator, on sample manifests and without a cluster.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod archive;
mod call_keys;
mod desired;
mod encryption;
#[path = "../crash/fakes.rs"]
mod fakes;
mod fixture;
mod inspections;
mod mail;
mod network;
mod observability;
mod payments;
mod per_service;
mod pieces;
mod pools;
mod reasons;
mod staff;
mod start;
mod status;
mod transport;
