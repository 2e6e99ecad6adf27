//! The append-only history of an order, and the order rebuilt from it. No I/O.

use agora_events::order::OrderEvent;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Order, OrderProgress};

/// A history entry to write: sequence number, change and the event to publish, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// Sequence number from 1; equals the order's version after the change.
    pub seq: i64,
    /// The event and its sequence number. A change of the payment status alone publishes no event, because
    /// the payment service has already published one.
    pub event: Option<(i64, OrderEvent)>,
    /// The change as stored.
    pub change: OrderChange,
}

/// A change as stored in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderChange {
    /// The order was created.
    Created(Box<Order>),
    /// The progress changed to this value.
    Changed(OrderProgress),
}

impl HistoryEntry {
    /// The first history entry of an order.
    pub fn created(order: &Order) -> Self {
        Self { seq: 1, event: Some((1, order.event())), change: OrderChange::Created(Box::new(order.clone())) }
    }

    /// The history entry between two consecutive versions of an order.
    pub fn changed(before: &Order, after: &Order) -> Self {
        let event = (after.event_seq > before.event_seq).then(|| (after.event_seq, after.event()));
        Self { seq: after.version, event, change: OrderChange::Changed(after.progress) }
    }

    /// Type of the history entry: the event type, or `payment.changed`.
    pub fn kind(&self) -> &'static str {
        match &self.event {
            Some((_, event)) => agora_events::Event::kind(event),
            None => "payment.changed",
        }
    }
}

impl Order {
    /// The order with new progress and the next version.
    #[must_use]
    pub fn moved_to(&self, progress: OrderProgress, at: OffsetDateTime) -> Self {
        let published = i64::from(progress.status != self.progress.status);
        Self {
            progress,
            version: self.version + 1,
            event_seq: self.event_seq + published,
            updated_at: at,
            ..self.clone()
        }
    }
}

/// Sequence numbers, changes and times of an order's history.
pub type HistoryEntries = Vec<(i64, OrderChange, OffsetDateTime)>;

/// Rebuilds an order from its history; `None` if the history does not start with a creation or has a gap.
pub fn rebuild(history: impl IntoIterator<Item = (i64, OrderChange, OffsetDateTime)>) -> Option<Order> {
    let mut order: Option<Order> = None;
    for (seq, change, at) in history {
        order = Some(match (change, order) {
            (OrderChange::Created(order), None) if seq == 1 => *order,
            (OrderChange::Changed(progress), Some(order)) if seq == order.version + 1 => order.moved_to(progress, at),
            _ => return None,
        });
    }
    order
}
