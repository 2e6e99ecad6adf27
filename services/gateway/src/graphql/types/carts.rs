//! Carts of users and of guests.

use async_graphql::{ComplexObject, Context, ID, SimpleObject};
use serde::Deserialize;

use super::catalog::Product;
use crate::graphql::{
    cost,
    fault::Answer,
    loaders::linked,
    scalars::{Long, Money},
};

/// A cart with prices and availability as they are now.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    pub id: ID,
    /// Its lines, oldest first.
    #[graphql(complexity = "cost::lines(child_complexity)")]
    pub items: Vec<CartItem>,
    pub total: Money,
    /// Lines that the cart could not keep, until its next change.
    #[graphql(complexity = "cost::lines(child_complexity)")]
    #[serde(default)]
    pub removed: Vec<RemovedItem>,
    /// Rises by one with each change.
    pub version: Long,
}

/// A line of a cart.
#[derive(Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct CartItem {
    pub id: ID,
    pub product_id: ID,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub name: String,
    pub image_url: Option<String>,
    pub quantity: i64,
    /// What one unit costs now.
    pub price: Money,
    /// Whether that many can be ordered now.
    pub available: bool,
    /// Whether the price differs from that of the moment when the line was last changed.
    pub price_changed: bool,
}

#[ComplexObject]
impl CartItem {
    async fn product(&self, context: &Context<'_>) -> Answer<Product> {
        linked(context, &self.product_id).await
    }
}

/// A line that is no longer part of a cart.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct RemovedItem {
    pub product_id: ID,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub name: String,
    pub quantity: i64,
    /// What one unit cost when the line was last changed.
    pub price: Money,
    /// `deleted`, `currency`, `full`, `stock` or `quantity`.
    pub reason: String,
}

/// A new cart of a visitor without a login.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct GuestCart {
    /// Proves that the cart is the visitor's. No other answer has it.
    pub cart_token: String,
    #[serde(flatten)]
    pub cart: Cart,
}
