//! Changes. Each field calls the service that owns its route, with the client's identity; the fields of a request run one
//! after another. A request with the header `Idempotency-Key` can be repeated: each field has a key of its own made of it.

mod account;
mod catalog;
mod demo;
mod orders;
mod shopping;

pub use account::AccountMutation;
pub use catalog::CatalogMutation;
pub use demo::DemoMutation;
pub use orders::OrderMutation;
pub use shopping::ShoppingMutation;
