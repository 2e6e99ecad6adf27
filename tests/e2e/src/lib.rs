//! The shop on a real cluster, from outside.
