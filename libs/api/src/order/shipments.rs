//! Bodies of shipments of orders.

use agora_vocab::{ProductId, SellerId, ShipmentId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::NewItem;

/// `POST /orders/{id}/shipments`: a parcel that was handed to a carrier, with units of one seller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewShipment {
    /// Products of the order, each with as many units as the parcel contains.
    pub items: Vec<NewItem>,
    pub carrier: String,
    /// The carrier's number of the parcel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_number: Option<String>,
}

/// A shipment as the owner of the order and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shipment {
    pub id: ShipmentId,
    pub seller_id: SellerId,
    /// `shipped` or `delivered`.
    pub status: String,
    pub carrier: String,
    /// The carrier's number of the parcel.
    pub tracking_number: Option<String>,
    pub items: Vec<ShippedItem>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub delivered_at: Option<OffsetDateTime>,
}

/// Units of one line of the order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShippedItem {
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub quantity: u32,
}
