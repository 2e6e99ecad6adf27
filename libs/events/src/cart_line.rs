//! Lines that left a cart without an act of its shopper, on `cart-events`: numbered among the events of their cart.

use agora_vocab::{CartId, ProductId, UserId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of lines of carts, keyed by cart.
    CartLineEvent on crate::topics::CART;
    /// The lines of a product left a cart.
    "cart.line_removed" => Removed(RemovedProduct),
}

/// A product that is no longer in a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovedProduct {
    pub cart_id: CartId,
    /// Whose the cart is.
    pub user_id: UserId,
    /// The cart's version after the event.
    pub version: i64,
    pub product_id: ProductId,
    /// The product's last name; empty if it is not known.
    pub name: String,
    /// Why, as a code: `deleted`.
    pub reason: String,
}
