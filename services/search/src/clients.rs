//! Clients of other services, over HTTP. Depend on `ports` and `domain` only.

pub mod catalog;
