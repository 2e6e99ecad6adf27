//! Parcels with units of an order. No I/O.

use agora_vocab::{SellerId, ShipmentId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Shipments of one order.
pub const SHIPMENTS_MAX: usize = 100;

/// A parcel of one seller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    pub id: ShipmentId,
    pub seller: SellerId,
    pub carrier: String,
    /// The carrier's number of the parcel.
    pub tracking: Option<String>,
    /// In the sequence of the order's lines; at least one.
    pub items: Vec<LineUnits>,
    /// Time at which it was added, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub delivered_at: Option<OffsetDateTime>,
}

/// Units of one line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineUnits {
    /// Position of the line in the order, from 1.
    pub line: i16,
    /// At least one.
    pub quantity: u32,
}
