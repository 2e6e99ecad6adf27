//! Order status and payment status as two transition tables. A transition that is not listed is rejected.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Lifecycle status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Created; no stock is reserved yet.
    Created,
    /// Stock is reserved; payment is awaited.
    Pending,
    /// Paid; the stock is committed.
    Paid,
    /// Being prepared for shipment.
    Processing,
    /// Handed to the carrier.
    Shipped,
    Completed,
    /// Cancelled; stock is released and a captured payment is refunded.
    Cancelled,
    /// The stock could not be reserved.
    Rejected,
    /// The payment window ended.
    Expired,
    /// Fully refunded without a cancellation.
    Refunded,
}

/// Payment status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// No payment was started.
    Unpaid,
    /// A payment is in progress; it blocks expiry and cancellation.
    Processing,
    /// The last payment captured nothing.
    Failed,
    /// The payment is captured.
    Paid,
    /// A part of the amount was refunded.
    PartiallyRefunded,
    /// The whole amount was refunded.
    Refunded,
}

/// All transitions of an order's status.
pub const EDGES: &[(Status, Status)] = {
    use Status::{Cancelled, Completed, Created, Expired, Paid, Pending, Processing, Refunded, Rejected, Shipped};
    &[
        (Created, Pending),
        (Created, Rejected),
        (Created, Cancelled),
        (Pending, Paid),
        (Pending, Cancelled),
        (Pending, Expired),
        (Expired, Paid),
        (Paid, Processing),
        (Paid, Cancelled),
        (Paid, Refunded),
        (Processing, Shipped),
        (Processing, Cancelled),
        (Processing, Refunded),
        (Shipped, Completed),
        (Shipped, Refunded),
        (Completed, Refunded),
    ]
};

/// All transitions of an order's payment status. A refund may overtake its capture,
/// and a late capture finds the order unpaid or failed.
pub const PAYMENT_EDGES: &[(PaymentStatus, PaymentStatus)] = {
    use PaymentStatus::{Failed, Paid, PartiallyRefunded, Processing, Refunded, Unpaid};
    &[
        (Unpaid, Processing),
        (Unpaid, Paid),
        (Unpaid, PartiallyRefunded),
        (Failed, Processing),
        (Failed, Paid),
        (Failed, PartiallyRefunded),
        (Processing, Failed),
        (Processing, Paid),
        (Processing, PartiallyRefunded),
        (Processing, Refunded),
        (Paid, PartiallyRefunded),
        (Paid, Refunded),
        (PartiallyRefunded, Refunded),
    ]
};

impl Status {
    /// All values, in declaration order.
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Pending,
        Self::Paid,
        Self::Processing,
        Self::Shipped,
        Self::Completed,
        Self::Cancelled,
        Self::Rejected,
        Self::Expired,
        Self::Refunded,
    ];

    /// Name in requests, responses and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Processing => "processing",
            Self::Shipped => "shipped",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
        }
    }

    /// Whether the transition table allows `self` → `to`.
    pub fn leads_to(self, to: Self) -> bool {
        EDGES.contains(&(self, to))
    }

    /// Whether an order with this status can have shipments.
    pub const fn may_be_shipped(self) -> bool {
        matches!(self, Self::Processing | Self::Shipped | Self::Completed | Self::Refunded)
    }

    /// Whether the order is paid and neither cancelled nor refunded.
    pub const fn is_paid(self) -> bool {
        matches!(self, Self::Paid | Self::Processing | Self::Shipped | Self::Completed)
    }
}

impl PaymentStatus {
    /// All values, in declaration order.
    pub const ALL: [Self; 6] =
        [Self::Unpaid, Self::Processing, Self::Failed, Self::Paid, Self::PartiallyRefunded, Self::Refunded];

    /// Name in requests, responses and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Processing => "processing",
            Self::Failed => "failed",
            Self::Paid => "paid",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }

    /// Whether the transition table allows `self` → `to`.
    pub fn leads_to(self, to: Self) -> bool {
        PAYMENT_EDGES.contains(&(self, to))
    }

    /// Whether a payment of this order was ever captured.
    pub const fn is_captured(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded | Self::Refunded)
    }
}

/// The text is not the name of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such state")]
pub struct UnknownState;

impl FromStr for Status {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownState)
    }
}

impl FromStr for PaymentStatus {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownState)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for PaymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{EDGES, PAYMENT_EDGES, PaymentStatus, Status};

    /// The transition table as text: an independent copy to check [`EDGES`] against.
    const DESIGN: &str = "created: pending rejected cancelled
        pending: paid cancelled expired
        expired: paid
        paid: processing cancelled refunded
        processing: shipped cancelled refunded
        shipped: completed refunded
        completed: refunded
        cancelled:
        rejected:
        refunded:";

    #[test]
    fn or8_transition_table_matches_the_design() {
        for line in DESIGN.lines() {
            let (from, to) = line.trim().split_once(':').unwrap();
            let from: Status = from.parse().unwrap();
            let listed: Vec<Status> = to.split_whitespace().map(|text| text.parse().unwrap()).collect();
            for to in Status::ALL {
                assert_eq!(from.leads_to(to), listed.contains(&to), "{from} -> {to}");
            }
        }
        assert_eq!(DESIGN.lines().count(), Status::ALL.len());
    }

    #[test]
    fn status_names_round_trip() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for status in PaymentStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("banana".parse::<Status>().is_err());
    }

    #[test]
    fn refunded_is_final_and_captured_payments_only_move_forward() {
        assert!(PAYMENT_EDGES.iter().all(|(from, _)| *from != PaymentStatus::Refunded));
        assert!(PAYMENT_EDGES.iter().all(|(from, to)| !from.is_captured() || to > from));
    }

    #[test]
    fn transitions_are_unique_and_change_the_status() {
        for (i, edge) in EDGES.iter().enumerate() {
            assert!(edge.0 != edge.1 && !EDGES[..i].contains(edge), "{edge:?}");
        }
        for (i, edge) in PAYMENT_EDGES.iter().enumerate() {
            assert!(edge.0 != edge.1 && !PAYMENT_EDGES[..i].contains(edge), "{edge:?}");
        }
    }
}
