//! Units of an order that its owner sends back. No I/O.

use std::str::FromStr;

use agora_vocab::{Money, ReturnId};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{LineUnits, status::UnknownState};

/// Returns of one order.
pub const RETURNS_MAX: usize = 100;
/// Time after the delivery of a shipment during which its units can be sent back.
pub const RETURN_WINDOW: Duration = Duration::days(30);

/// A return of delivered units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    pub id: ReturnId,
    /// In the sequence of the order's lines; at least one.
    pub items: Vec<LineUnits>,
    pub reason: String,
    /// What is refunded for the units.
    pub amount: Money,
    /// The part of `amount` of each item, in their sequence; empty for an order without a discount, whose units cost their price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amounts: Vec<Money>,
    pub status: ReturnStatus,
    /// Whether the units are sold again; `None` until they are received.
    pub resellable: Option<bool>,
    /// Time of the request, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Time of the last change, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnStatus {
    Requested,
    /// The shop takes the units back.
    Accepted,
    /// The shop does not take the units back.
    Rejected,
    /// The units have arrived; their price is being refunded.
    Received,
    /// The price went back.
    Refunded,
}

impl ReturnStatus {
    /// All values, in declaration order.
    pub const ALL: [Self; 5] = [Self::Requested, Self::Accepted, Self::Rejected, Self::Received, Self::Refunded];

    /// Name in responses and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Received => "received",
            Self::Refunded => "refunded",
        }
    }

    /// Whether a return with this status has, or had before, the status `earlier`. Every return was requested.
    pub const fn follows(self, earlier: Self) -> bool {
        match earlier {
            Self::Requested => true,
            Self::Accepted => matches!(self, Self::Accepted | Self::Received | Self::Refunded),
            Self::Rejected => matches!(self, Self::Rejected),
            Self::Received => matches!(self, Self::Received | Self::Refunded),
            Self::Refunded => matches!(self, Self::Refunded),
        }
    }

    /// Whether a return with this status may get the status `to`.
    pub const fn leads_to(self, to: Self) -> bool {
        matches!(
            (self, to),
            (Self::Requested, Self::Accepted | Self::Rejected)
                | (Self::Accepted, Self::Received)
                | (Self::Received, Self::Refunded)
        )
    }
}

impl FromStr for ReturnStatus {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownState)
    }
}
