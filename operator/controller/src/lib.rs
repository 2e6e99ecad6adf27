//! The operator: it reads a Marketplace and creates the shop that it describes.
//!
//! The files of this folder are known to every module. `decide` is pure; `cluster` calls the Kubernetes API and `external`
//! the data servers, and both know the types of `decide`; `run` calls all of them. `cargo xtask check` verifies this.

pub mod cluster;
pub mod decide;
pub mod external;
pub mod kinds;
pub mod market;
pub mod names;
pub mod run;
