//! The append-only history of an order, and the order rebuilt from it. No I/O.

use agora_events::{Event as _, order::OrderEvent, order_return::ReturnEvent, shipment::ShipmentEvent};
use agora_vocab::{ReturnId, ShipmentId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Order, OrderProgress, Return, ReturnStatus, Shipment};

/// A history entry to write: sequence number, change and the event to publish, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// Sequence number from 1; equals the order's version after the change.
    pub seq: i64,
    /// The event and its sequence number. A change of the payment status alone publishes no event, because
    /// the payment service has already published one.
    pub event: Option<(i64, PublishedEvent)>,
    /// The change as stored.
    pub change: OrderChange,
}

/// An event of an order, of one of its shipments or of one of its returns.
#[derive(Clone, Debug, PartialEq)]
pub enum PublishedEvent {
    Order(OrderEvent),
    Shipment(ShipmentEvent),
    Return(ReturnEvent),
}

/// A change as stored in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderChange {
    /// The order was created.
    Created(Box<Order>),
    /// The progress changed to this value.
    Changed(OrderProgress),
    /// A shipment was added.
    Shipped(Shipment),
    /// A shipment was delivered.
    Delivered(ShipmentId),
    /// A return was requested.
    ReturnRequested(Return),
    /// A return got another status.
    ReturnChanged {
        id: ReturnId,
        status: ReturnStatus,
        /// Whether the units are sold again; `None` until they are received.
        resellable: Option<bool>,
    },
}

impl HistoryEntry {
    /// The first history entry of an order.
    pub fn created(order: &Order) -> Self {
        let event = Some((1, PublishedEvent::Order(order.event())));
        Self { seq: 1, event, change: OrderChange::Created(Box::new(order.clone())) }
    }

    /// The history entry between two consecutive versions of an order.
    pub fn changed(before: &Order, after: &Order) -> Self {
        let event = || (after.event_seq, PublishedEvent::Order(after.event()));
        let event = (after.event_seq > before.event_seq).then(event);
        Self { seq: after.version, event, change: OrderChange::Changed(after.progress) }
    }

    /// The entry of a shipment that was added to `after`.
    pub fn shipped(after: &Order, shipment: Shipment) -> Self {
        let event = ShipmentEvent::Created(after.shipment_payload(&shipment));
        let event = Some((after.event_seq, PublishedEvent::Shipment(event)));
        Self { seq: after.version, event, change: OrderChange::Shipped(shipment) }
    }

    /// The entry of a shipment of `after` that was delivered; `None` if it has no such shipment.
    pub fn delivered(after: &Order, id: ShipmentId) -> Option<Self> {
        let shipment = after.shipments.iter().find(|shipment| shipment.id == id)?;
        let event = ShipmentEvent::Delivered(after.shipment_payload(shipment));
        let event = Some((after.event_seq, PublishedEvent::Shipment(event)));
        Some(Self { seq: after.version, event, change: OrderChange::Delivered(id) })
    }

    /// The entry of the last change of a return of `after`; `None` if it has no such return.
    pub fn returned(after: &Order, id: ReturnId) -> Option<Self> {
        let returned = after.returns.iter().find(|returned| returned.id == id)?;
        let make = match returned.status {
            ReturnStatus::Requested => ReturnEvent::Requested,
            ReturnStatus::Accepted => ReturnEvent::Accepted,
            ReturnStatus::Rejected => ReturnEvent::Rejected,
            ReturnStatus::Received => ReturnEvent::Received,
            ReturnStatus::Refunded => ReturnEvent::Refunded,
        };
        let event = Some((after.event_seq, PublishedEvent::Return(make(after.return_payload(returned)))));
        let change = match returned.status {
            ReturnStatus::Requested => OrderChange::ReturnRequested(returned.clone()),
            status => OrderChange::ReturnChanged { id, status, resellable: returned.resellable },
        };
        Some(Self { seq: after.version, event, change })
    }

    /// Type of the history entry: the event type, or `payment.changed`.
    pub fn kind(&self) -> &'static str {
        match &self.event {
            Some((_, PublishedEvent::Order(event))) => event.kind(),
            Some((_, PublishedEvent::Shipment(event))) => event.kind(),
            Some((_, PublishedEvent::Return(event))) => event.kind(),
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

    /// The order with one more shipment and the next version.
    #[must_use]
    pub fn with_shipment(&self, shipment: Shipment, at: OffsetDateTime) -> Self {
        let mut order = self.published_at(at);
        order.shipments.push(shipment);
        order
    }

    /// The order with a delivered shipment and the next version.
    #[must_use]
    pub fn with_delivery(&self, id: ShipmentId, at: OffsetDateTime) -> Self {
        let mut order = self.published_at(at);
        for shipment in order.shipments.iter_mut().filter(|shipment| shipment.id == id) {
            shipment.delivered_at = Some(at);
        }
        order
    }

    /// The order with one more return and the next version.
    #[must_use]
    pub fn with_return(&self, returned: Return, at: OffsetDateTime) -> Self {
        let mut order = self.published_at(at);
        order.returns.push(returned);
        order
    }

    /// The order with another status of a return and the next version.
    #[must_use]
    pub fn with_return_status(
        &self,
        id: ReturnId,
        (status, resellable): (ReturnStatus, Option<bool>),
        at: OffsetDateTime,
    ) -> Self {
        let mut order = self.published_at(at);
        for returned in order.returns.iter_mut().filter(|returned| returned.id == id) {
            (returned.status, returned.resellable, returned.updated_at) = (status, resellable, at);
        }
        order
    }

    fn published_at(&self, at: OffsetDateTime) -> Self {
        Self { version: self.version + 1, event_seq: self.event_seq + 1, updated_at: at, ..self.clone() }
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
            (change, Some(order)) if seq == order.version + 1 => match change {
                OrderChange::Created(_) => return None,
                OrderChange::Changed(progress) => order.moved_to(progress, at),
                OrderChange::Shipped(shipment) => order.with_shipment(shipment, at),
                OrderChange::Delivered(id) => order.with_delivery(id, at),
                OrderChange::ReturnRequested(returned) => order.with_return(returned, at),
                OrderChange::ReturnChanged { id, status, resellable } => {
                    order.with_return_status(id, (status, resellable), at)
                }
            },
            _ => return None,
        });
    }
    order
}
