//! The operator: one Marketplace in, a running shop out.
//!
//! A straight pipe: `observe` reads, `plan` and `desired` decide, `apply` writes, `status` reports. What decides names no
//! client; what lies outside the cluster is reached through `ports`.

pub mod applied;
pub mod apply;
pub mod context;
pub mod credentials;
pub mod database;
pub mod desired;
pub mod events;
pub mod externals;
pub mod finalize;
pub mod kinds;
pub mod names;
pub mod object;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod ports;
pub mod profile;
pub mod reconcile;
pub mod redis_probe;
pub mod scheduler;
pub mod status;
pub mod streams;
pub mod topic_change;
pub mod topics;
pub mod wanted;
pub mod written;
