//! The HTTP API of the services: declared routes and bodies, a module per owning service, and [`Problem`].
//!
//! Data only: no validation beyond types, no HTTP, no defaults that a service decides.

pub mod cart;
pub mod catalog;
mod content;
pub mod gateway;
pub mod notification;
#[cfg(feature = "openapi")]
pub mod operation;
pub mod order;
mod parameters;
pub mod payment;
mod problem;
pub mod recommendation;
mod route;
pub mod search;
pub mod user;

pub use content::{EventStream, Gif, Html, HtmlOrText, IfAny, JsonLines, JsonObject, Lines, Svg, Yaml};
pub use parameters::{
    CartToken, Commanded, CursorQuery, IdempotencyKey, IfMatch, IfNoneMatch, LastEventId, LimitQuery, Localized,
    ProviderSignature, RequiredIdempotencyKey,
};
pub use problem::{CODES, Detail, Problem};
pub use route::{
    BODY_BYTES_MAX, IMPORT_BODY_BYTES_MAX, Method, OPEN_BODY_BYTES_MAX, ORDER_READERS, PAYMENT_READERS,
    PRODUCT_BODY_BYTES_MAX, Policy, Route, RouteClass, WEBHOOK_BODY_BYTES_MAX, WHOLE_BODY_BYTES_MAX,
};

use serde::{Deserialize, Serialize};

/// The public routes of every service behind the gateway.
pub fn public_routes() -> impl Iterator<Item = Route> {
    let services = [
        user::routes::PUBLIC,
        catalog::routes::PUBLIC,
        cart::routes::PUBLIC,
        order::routes::PUBLIC,
        payment::routes::PUBLIC,
        notification::routes::PUBLIC,
        search::routes::PUBLIC,
        recommendation::routes::PUBLIC,
    ];
    services.into_iter().flatten().copied()
}

/// The internal routes of every service that has some, with its name.
pub fn internal_routes() -> impl Iterator<Item = (&'static str, Route)> {
    let services = [
        ("user", user::routes::INTERNAL),
        ("catalog", catalog::routes::INTERNAL),
        ("cart", cart::routes::INTERNAL),
        ("order", order::routes::INTERNAL),
        ("payment", payment::routes::INTERNAL),
    ];
    services.into_iter().flat_map(|(service, routes)| routes.iter().map(move |route| (service, *route)))
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// How many items all pages hold together, where that is cheap to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Value of the parameter `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> From<agora_vocab::Page<T>> for List<T> {
    fn from(page: agora_vocab::Page<T>) -> Self {
        Self { items: page.items, total: page.total, next_cursor: page.next }
    }
}
