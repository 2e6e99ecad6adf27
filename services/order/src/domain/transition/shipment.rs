//! Transitions that shipments cause. The status of an order with shipments follows from them. No I/O.

use agora_vocab::{SellerId, ShipmentId};
use time::OffsetDateTime;

use super::{Decision, Refused, State};
use crate::domain::{
    HistoryEntry, Line, LineUnits, NewShipment, Order, RequestedLine, SHIPMENTS_MAX, Shipment, Status,
};

/// Adds a shipment to a paid order.
pub(super) fn ship(before: &State, new: &NewShipment, now: OffsetDateTime) -> Result<Decision, Refused> {
    let order = &before.order;
    let from = order.progress.status;
    if !matches!(from, Status::Paid | Status::Processing) {
        return Err(Refused::InvalidTransition { from, to: Some(Status::Shipped) });
    }
    if order.shipments.len() >= SHIPMENTS_MAX {
        return Err(Refused::TooManyShipments);
    }
    let mut units = Vec::with_capacity(new.items.len());
    let mut sellers = Vec::<SellerId>::new();
    for (item, requested) in new.items.iter().enumerate() {
        let (position, line) = order.line_of(requested).ok_or(Refused::NotOrdered { item })?;
        let remaining = line.quantity.get().saturating_sub(order.shipped(position));
        let quantity = requested.quantity.get();
        if quantity > remaining {
            return Err(Refused::QuantityExceeded { product: line.product, requested: quantity, remaining });
        }
        sellers.push(line.seller);
        units.push(LineUnits { line: position, quantity });
    }
    let Some((&seller, others)) = sellers.split_first() else { return Err(Refused::NotOrdered { item: 0 }) };
    if others.iter().any(|other| *other != seller) {
        return Err(Refused::SeveralSellers);
    }
    units.sort_unstable_by_key(|units| units.line);
    let NewShipment { id, carrier, tracking, .. } = new.clone();
    let shipment = Shipment { id, seller, carrier, tracking, items: units, created_at: now, delivered_at: None };
    let order = order.with_shipment(shipment.clone(), now);
    let entry = HistoryEntry::shipped(&order, shipment);
    Ok(Decision { state: State { order, saga: before.saga.clone() }, entry: Some(entry) })
}

/// Marks a shipment as delivered; no effect if it is.
pub(super) fn deliver(before: &State, id: ShipmentId, now: OffsetDateTime) -> Result<Decision, Refused> {
    let shipment = before.order.shipments.iter().find(|shipment| shipment.id == id).ok_or(Refused::NoShipment)?;
    if shipment.delivered_at.is_some() {
        return Ok(Decision { state: before.clone(), entry: None });
    }
    let order = before.order.with_delivery(id, now);
    let entry = HistoryEntry::delivered(&order, id);
    Ok(Decision { state: State { order, saga: before.saga.clone() }, entry })
}

/// The status that the shipments of an order lead to next; `None` if it has that status.
pub(super) fn status_of_shipments(order: &Order) -> Option<Status> {
    if order.shipments.is_empty() {
        return None;
    }
    let every_unit_is_shipped =
        || (1_i16..).zip(&order.lines).all(|(at, line)| order.shipped(at) == line.quantity.get());
    match order.progress.status {
        Status::Paid => Some(Status::Processing),
        Status::Processing if every_unit_is_shipped() => Some(Status::Shipped),
        Status::Shipped if order.shipments.iter().all(|shipment| shipment.delivered_at.is_some()) => {
            Some(Status::Completed)
        }
        _ => None,
    }
}

impl Order {
    /// The line of a product and variant, and its position from 1.
    pub(super) fn line_of(&self, requested: &RequestedLine) -> Option<(i16, &Line)> {
        let is_it = |line: &Line| line.product == requested.product && line.variant == requested.variant;
        (1_i16..).zip(&self.lines).find(|(_, line)| is_it(line))
    }

    /// Units of a line that are in shipments.
    fn shipped(&self, position: i16) -> u32 {
        let items = self.shipments.iter().flat_map(|shipment| &shipment.items);
        items.filter(|units| units.line == position).map(|units| units.quantity).sum()
    }
}
