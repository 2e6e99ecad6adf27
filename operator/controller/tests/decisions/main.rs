//! What the operator decides, on sample manifests and without a cluster.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod desired;
mod fixture;
mod network;
mod status;
