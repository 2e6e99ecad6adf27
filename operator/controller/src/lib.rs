//! The operator: one Marketplace in, a running shop out.
//!
//! A straight pipe: `observe` reads, `plan` and `desired` decide, `apply` writes, `status` reports. What decides names no
//! client; what lies outside the cluster is reached through `ports`.

pub mod credentials;
pub mod database;
pub mod desired;
pub mod kinds;
pub mod names;
pub mod object;
pub mod observed;
pub mod plan;
pub mod ports;
pub mod profile;
pub mod redis_probe;
pub mod topics;
pub mod wanted;
