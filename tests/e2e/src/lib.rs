//! Harness of the end-to-end tests in `tests/marketplace`: operator and services on a cluster.
//!
//! Black-box tests: depend on the custom resource, routes, names of child objects and tables, never on the operator's
//! code. They use their own namespaces and change nothing else, except for outages of the local data services.

pub mod at_rest;
pub mod broker;
pub mod cluster;
pub mod faults;
pub mod mailbox;
pub mod market;
pub mod report;
pub mod settings;
pub mod tables;
pub mod wait;
pub mod world;
