//! The client of the services behind the gateway.

pub mod upstream;
