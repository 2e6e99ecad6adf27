//! Decisions, as pure functions of the spec and the observed state: no client, no clock, no random numbers.

pub mod applied;
pub mod claim;
pub mod condition_error;
pub mod correction;
pub mod credentials;
pub mod data_guard;
pub mod desired;
pub mod diff;
pub mod in_cluster;
pub mod maybe;
pub mod milestones;
pub mod object;
pub mod observed;
pub mod plan;
pub mod profile;
pub mod purpose;
pub mod repairs;
pub mod servers;
pub mod status;
pub mod topic_diff;
