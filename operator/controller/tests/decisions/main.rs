//! What the operator decides, on sample manifests and without a cluster.

mod desired;
mod fixture;
mod status;
