//! The client of the services behind the gateway.

mod permits;
pub mod upstream;
