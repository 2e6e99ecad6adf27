//! Shipments of orders, on `order-events`: numbered among the events of their order.

use agora_vocab::{OrderId, ProductId, SellerId, ShipmentId, UserId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of shipments, keyed by order.
    ShipmentEvent on crate::topics::ORDER;
    /// Units of an order were handed to a carrier.
    "shipment.created" => Created(Shipment),
    /// They have arrived.
    "shipment.delivered" => Delivered(Shipment),
}

/// A parcel of one seller with units of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shipment {
    pub shipment_id: ShipmentId,
    pub order_id: OrderId,
    /// The number of the order, such as `A-1000001`.
    pub order_number: String,
    /// The user who ordered.
    pub user_id: UserId,
    pub seller_id: SellerId,
    pub carrier: String,
    /// The carrier's number of the parcel.
    pub tracking_number: Option<String>,
    pub items: Vec<ShippedItem>,
}

/// Units of one line of the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShippedItem {
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// The product's name in the order.
    pub name: String,
    pub quantity: u32,
}
