//! The state machine as two tables. Every edge that is not listed is refused.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Written; nothing is held yet.
    Created,
    /// Its stock is held and it waits to be paid.
    Pending,
    /// Paid, its stock committed.
    Paid,
    /// The shop works on it.
    Processing,
    /// It left the house.
    Shipped,
    /// It arrived.
    Completed,
    /// Called off; stock and money go back.
    Cancelled,
    /// Its stock could not be held.
    Rejected,
    /// Its payment window ended.
    Expired,
    /// All of its money went back without a cancel.
    Refunded,
}

/// Where the money of an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nobody has tried to pay.
    Unpaid,
    /// A payment is under way: neither expiry nor cancel may interfere.
    Processing,
    /// The last payment took no money.
    Failed,
    /// The money is here.
    Paid,
    /// A part of it went back.
    PartiallyRefunded,
    /// All of it went back.
    Refunded,
}

/// Every edge between two different states of an order.
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

/// Every edge between two different states of an order's money. A refund may overtake the capture that it gives back,
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
    /// All of them.
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

    /// Its name on the wire.
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

    /// Whether the table has an edge from here to there.
    pub fn leads_to(self, to: Self) -> bool {
        EDGES.contains(&(self, to))
    }

    /// Whether the order was paid and stands.
    pub const fn stands_paid(self) -> bool {
        matches!(self, Self::Paid | Self::Processing | Self::Shipped | Self::Completed)
    }
}

impl PaymentStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unpaid, Self::Processing, Self::Failed, Self::Paid, Self::PartiallyRefunded, Self::Refunded];

    /// Its name on the wire.
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

    /// Whether the table has an edge from here to there.
    pub fn leads_to(self, to: Self) -> bool {
        PAYMENT_EDGES.contains(&(self, to))
    }

    /// Whether money of this order was taken at some time.
    pub const fn was_taken(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded | Self::Refunded)
    }
}

/// A text that names no state.
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

    /// The binding design's section 3 once more, as text, so that the table is checked against a second writing of it.
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
    fn every_pair_of_states_is_an_edge_exactly_where_the_design_lists_it() {
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
    fn names_read_back_as_what_they_name() {
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
    fn money_that_went_back_never_comes_again() {
        assert!(PAYMENT_EDGES.iter().all(|(from, _)| *from != PaymentStatus::Refunded));
        assert!(PAYMENT_EDGES.iter().all(|(from, to)| !from.was_taken() || to > from));
    }

    #[test]
    fn no_edge_is_listed_twice_and_none_leads_to_where_it_starts() {
        for (i, edge) in EDGES.iter().enumerate() {
            assert!(edge.0 != edge.1 && !EDGES[..i].contains(edge), "{edge:?}");
        }
        for (i, edge) in PAYMENT_EDGES.iter().enumerate() {
            assert!(edge.0 != edge.1 && !PAYMENT_EDGES[..i].contains(edge), "{edge:?}");
        }
    }
}
