//! Reads. Each field asks the service that owns its route, with the client's identity.

mod administration;
mod demo;
mod shop;

pub use administration::AdministrationQuery;
pub use demo::DemoQuery;
pub use shop::{AccountQuery, CatalogQuery};
