//! Routes and bodies of carts, of users and of guests, and the internal commands that begin and cancel the checkout of an order.

pub mod routes;

use agora_vocab::{CartId, LineId, Money, OrderId, ProductId, UserId};
use serde::{Deserialize, Serialize};

use crate::catalog::Line;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddItem {
    pub product_id: ProductId,
    /// Units, added to those already there.
    pub quantity: i64,
    /// The variant; absent for a product without variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeItem {
    /// Units from now on.
    pub quantity: i64,
}

/// The answer of `POST /guest-carts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GuestCart {
    /// Proves that the cart is the guest's, in the header `X-Cart-Token`. Only a repetition with the same `Idempotency-Key`
    /// returns it once more.
    pub cart_token: String,
    #[serde(flatten)]
    pub cart: Cart,
}

/// `POST /cart/merge`: adds the lines of a guest's cart to the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MergeCart {
    /// The token of the guest's cart, which is gone afterwards.
    pub cart_token: String,
}

/// A cart as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cart {
    pub id: CartId,
    /// Its lines, oldest first.
    pub items: Vec<Item>,
    /// The sum of all lines at today's prices.
    pub total: Money,
    /// Lines that the cart could not keep, until its next change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<RemovedItem>,
    /// Rises by one with each change.
    pub version: i64,
}

/// A line that is no longer part of a cart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RemovedItem {
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// The product's name.
    pub name: String,
    pub quantity: u32,
    /// What one unit cost when the line was last changed.
    pub price: Money,
    /// `deleted`: the product is. `currency`: the cart has other lines of another currency. `full`: the cart has as many lines
    /// as it can have. Of a merged guest's cart, for the units that did not fit, also `stock`: there are no more; `quantity`: a
    /// line has no more.
    pub reason: String,
}

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CartItem))]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub id: LineId,
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// The product's name.
    pub name: String,
    /// A picture of it.
    pub image_url: Option<String>,
    pub quantity: u32,
    /// What one unit costs today.
    pub price: Money,
    /// Whether that many can be ordered now.
    pub available: bool,
    /// Whether the price differs from that of the moment when the line was last changed.
    pub price_changed: bool,
    /// What one unit cost at that moment, if the price differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_price: Option<Money>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BeginCheckout {
    /// The order to which the lines move.
    pub order_id: OrderId,
    /// The cart's user.
    pub user_id: UserId,
}

/// The part of a cart that an order received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Checkout {
    pub cart_id: CartId,
    /// The cart's version at the checkout: at most one live order has it.
    pub cart_version: i64,
    pub lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelCheckout {
    /// The order of the checkout.
    pub order_id: OrderId,
}

/// `cancelled`, or `completed` for a placed order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckoutState {
    /// The state after the command.
    pub state: String,
}
