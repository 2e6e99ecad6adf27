//! The shop on a real cluster, from outside: the harness of `tests/marketplace.rs`.
//!
//! A black box: knows the resource, the routes, the names of children and the tables, never the operator's code. It works
//! in namespaces of its own and touches nothing that it did not make, save the data services that it takes away for a while.

pub mod at_rest;
pub mod broker;
pub mod cluster;
pub mod faults;
pub mod market;
pub mod report;
pub mod settings;
pub mod tables;
pub mod wait;
pub mod world;
