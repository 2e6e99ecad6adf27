//! Clients of the order service and of payment providers. Depend on `ports` and `domain` only.

pub mod order;
pub mod simulator;
pub mod stripe;
