//! The gateway's own routes, besides those that it forwards.

pub mod routes;
