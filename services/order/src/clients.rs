//! HTTP clients of the services that orders call, one per service. Must not contain order logic.

pub mod cart;
pub mod catalog;
pub mod payment;
pub mod user;
