//! Bodies of the cart, and the internal commands by which an order takes its lines and gives them back.

use agora_vocab::{CartId, LineId, Money, OrderId, ProductId, UserId};
use serde::{Deserialize, Serialize};

use crate::catalog::Line;

/// `POST /cart/items`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddItem {
    /// The product.
    pub product_id: ProductId,
    /// Units, added to those already there.
    pub quantity: i64,
    /// The variant; absent for a product without variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// `PATCH /cart/items/{id}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeItem {
    /// Units from now on.
    pub quantity: i64,
}

/// A cart as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    /// The cart.
    pub id: CartId,
    /// Its lines, oldest first.
    pub items: Vec<Item>,
    /// The sum of all lines at today's prices.
    pub total: Money,
    /// Rises by one with each change.
    pub version: i64,
}

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The line.
    pub id: LineId,
    /// The product.
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// The product's name.
    pub name: String,
    /// A picture of it.
    pub image_url: Option<String>,
    /// Units.
    pub quantity: u32,
    /// What one unit costs today.
    pub price: Money,
    /// Whether that many can be ordered now.
    pub available: bool,
    /// Whether the price differs from that of the moment when the line was last changed.
    pub price_changed: bool,
}

/// Internal `POST /internal/v1/take`: moves the lines of a user's cart into an order; idempotent by order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Take {
    /// The order that takes.
    pub order_id: OrderId,
    /// Whose cart.
    pub user_id: UserId,
}

/// What an order took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taking {
    /// The cart.
    pub cart_id: CartId,
    /// The cart's version that was taken: at most one live order has it.
    pub cart_version: i64,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Internal `POST /internal/v1/give-back`: undoes a take; of an unknown order it writes a tombstone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GiveBack {
    /// The order that took.
    pub order_id: OrderId,
}

/// `taken`, `returned` or `done`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TakingState {
    /// The state of the taking now.
    pub state: String,
}
