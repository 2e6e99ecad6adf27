//! Returns of orders, on `order-events`: numbered among the events of their order.

use agora_vocab::{Money, OrderId, ReturnId, UserId};
use serde::{Deserialize, Serialize};

use crate::shipment::ShippedItem;

crate::events! {
    /// Events of returns, keyed by order.
    ReturnEvent on crate::topics::ORDER;
    /// The owner of the order wants to send units back.
    "return.requested" => Requested(Return),
    /// The shop takes them back.
    "return.accepted" => Accepted(Return),
    /// The shop does not take them back.
    "return.rejected" => Rejected(Return),
    /// They have arrived; the money follows.
    "return.received" => Received(Return),
    /// The money went back.
    "return.refunded" => Refunded(Return),
}

/// Units of an order that its owner sends back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Return {
    pub return_id: ReturnId,
    pub order_id: OrderId,
    /// The number of the order, such as `A-1000001`.
    pub order_number: String,
    /// The user who ordered.
    pub user_id: UserId,
    pub items: Vec<ShippedItem>,
    /// The price of the units.
    pub amount: Money,
}
