//! What is serialised in an HTTP body and read by more than its owner: a module per owning service, and [`Problem`].
//!
//! Data only: no validation beyond types, no HTTP, no defaults that a service decides.

pub mod cart;
pub mod catalog;
pub mod order;
pub mod payment;
mod problem;
pub mod user;

pub use problem::{Detail, Problem};

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// How many items all pages hold together, where that is cheap to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Give it back as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> From<agora_vocab::Page<T>> for List<T> {
    fn from(page: agora_vocab::Page<T>) -> Self {
        Self { items: page.items, total: page.total, next_cursor: page.next }
    }
}
