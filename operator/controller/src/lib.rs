//! The operator: it reads one Marketplace and creates a running shop.
//!
//! The files of this folder are known to all. `decide` is pure; `cluster` talks to the Kubernetes API and `external` to
//! the data servers, and both know the types of `decide`; `run` calls all of them. `cargo xtask check` verifies this.

pub mod cluster;
pub mod decide;
pub mod external;
pub mod kinds;
pub mod market;
pub mod names;
pub mod run;
