//! `cart-events`: carts that changed.

use agora_vocab::{CartId, ProductId, UserId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of `cart-events`, keyed by cart.
    CartEvent on crate::topics::CART;
    /// A cart changed; carries what it holds now.
    "cart.updated" => Updated(Cart),
}

/// A cart's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    pub cart_id: CartId,
    /// Whose it is.
    pub user_id: UserId,
    /// Rises by one with each change.
    pub version: i64,
    pub items: Vec<CartLine>,
}

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CartLine {
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub quantity: u32,
}
