//! Bodies of returns of orders.

use agora_vocab::{Money, ReturnId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{NewItem, ShippedItem};

/// `POST /orders/{id}/returns`: units that the owner of the order sends back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewReturn {
    /// Products of the order, each with the units to send back.
    pub items: Vec<NewItem>,
    pub reason: String,
}

/// `POST /orders/{id}/returns/{returnId}/receive`: the units have arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiveReturn {
    /// Whether the units go into stock again.
    pub resellable: bool,
}

/// A return as the owner of the order and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Return {
    pub id: ReturnId,
    /// `requested`, `accepted`, `rejected`, `received` or `refunded`.
    pub status: String,
    pub items: Vec<ShippedItem>,
    /// Empty once the account of the order's owner is erased.
    pub reason: String,
    /// The price of the units, which goes back when they are received.
    pub amount: Money,
    /// Whether the units went into stock again; absent until they are received.
    pub resellable: Option<bool>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}
