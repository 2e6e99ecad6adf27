//! Lines that left a cart or have another price without an act of its shopper, on `cart-events`: numbered among the events
//! of their cart.

use agora_vocab::{CartId, Money, ProductId, UserId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of lines of carts, keyed by cart.
    CartLineEvent on crate::topics::CART;
    /// The lines of a product left a cart.
    "cart.line_removed" => Removed(RemovedProduct),
    /// The unit price of a line is another one.
    "cart.line_repriced" => Repriced(RepricedLine),
}

/// A product that is no longer in a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// A line of a cart whose unit price is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RepricedLine {
    pub cart_id: CartId,
    /// Whose the cart is.
    pub user_id: UserId,
    /// The cart's version after the event.
    pub version: i64,
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// The product's name.
    pub name: String,
    /// The unit price of the last event about the line, or else that of the moment when its shopper last changed it.
    pub previous_price: Money,
    /// The unit price now.
    pub price: Money,
}
