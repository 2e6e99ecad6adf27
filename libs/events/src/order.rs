//! `order-events`: the life of orders. Mail and history follow `order.placed` and later ones, never `order.created`.

use agora_vocab::{CartId, Money, OrderId, PaymentId, ProductId, SellerId, UserId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of `order-events`, keyed by order.
    OrderEvent on crate::topics::ORDER;
    /// An order was written; nothing is held yet.
    "order.created" => Created(Order),
    /// The hold on its stock succeeded: the order stands.
    "order.placed" => Placed(Order),
    /// It is paid and its stock is committed.
    "order.paid" => Paid(Order),
    /// The shop works on it.
    "order.processing" => Processing(Order),
    /// It left the house.
    "order.shipped" => Shipped(Order),
    "order.completed" => Completed(Order),
    /// It was cancelled; stock and money go back.
    "order.cancelled" => Cancelled(Order),
    /// Its stock could not be held.
    "order.rejected" => Rejected(Order),
    /// Its payment window ended.
    "order.expired" => Expired(Order),
    /// All of its money went back.
    "order.refunded" => Refunded(Order),
}

impl OrderEvent {
    /// The order, whatever happened to it.
    pub fn order(&self) -> &Order {
        match self {
            Self::Created(order)
            | Self::Placed(order)
            | Self::Paid(order)
            | Self::Processing(order)
            | Self::Shipped(order)
            | Self::Completed(order)
            | Self::Cancelled(order)
            | Self::Rejected(order)
            | Self::Expired(order)
            | Self::Refunded(order) => order,
        }
    }
}

/// An order as it stands after the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub order_id: OrderId,
    /// What people call it: `A-1000001`.
    pub number: String,
    pub user_id: UserId,
    /// The cart that it came from, and that cart's version.
    pub cart_id: Option<CartId>,
    /// Which hold of its stock is the current one; 0 before the first.
    pub hold: i32,
    /// The payment under way or made.
    pub payment_id: Option<PaymentId>,
    /// Its state after this event.
    pub status: String,
    /// Its payment's state after this event.
    pub payment_status: String,
    /// What was bought.
    pub items: Vec<OrderLine>,
    /// What it costs.
    pub total: Money,
    /// Why that is not the sum of the items; absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charges: Option<Charges>,
}

/// What an order costs beside its items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Charges {
    /// What a coupon takes off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_price: Option<Money>,
    /// The tax that the prices of the items include.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Money>,
    /// The tax that the shipping price includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_tax: Option<Money>,
}

/// A line of an order, frozen when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderLine {
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// The product's name then.
    pub name: String,
    pub quantity: u32,
    /// What one unit cost then.
    pub price: Money,
    /// The category then.
    pub category: Option<String>,
    /// Who sold it.
    pub seller_id: SellerId,
}
