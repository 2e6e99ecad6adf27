//! Transitions of returns: request, decision, arrival of the units, and the refund that follows. No I/O.

use agora_vocab::{Money, ReturnId};
use time::OffsetDateTime;

use super::{Decision, Refused, State};
use crate::domain::{
    DueReturn, HistoryEntry, LineUnits, NewReturn, Order, RETURN_WINDOW, RETURNS_MAX, Return, ReturnStatus, Saga,
    Status,
};

/// What happens to a return after its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnChange {
    Accept,
    Reject,
    /// The units have arrived.
    Receive {
        /// Whether they go into stock again.
        resellable: bool,
    },
    /// Catalog has put the units into stock.
    Restocked,
    /// Payment has refunded the price of the units.
    Refunded,
}

/// Adds a return of delivered units.
pub(super) fn request(before: &State, new: &NewReturn, now: OffsetDateTime) -> Result<Decision, Refused> {
    let order = &before.order;
    let from = order.progress.status;
    if !matches!(from, Status::Processing | Status::Shipped | Status::Completed) {
        return Err(Refused::InvalidTransition { from, to: None });
    }
    if order.returns.len() >= RETURNS_MAX {
        return Err(Refused::TooManyReturns);
    }
    let mut items = Vec::with_capacity(new.items.len());
    let mut amount = Money::zero(order.total.currency);
    for (item, requested) in new.items.iter().enumerate() {
        let (position, line) = order.line_of(requested).ok_or(Refused::NotOrdered { item })?;
        let (quantity, returnable) = (requested.quantity.get(), order.returnable(position, now));
        if quantity > returnable {
            return Err(Refused::NotReturnable { product: line.product, requested: quantity, returnable });
        }
        let units = LineUnits { line: position, quantity };
        let refund = order.refund_for(units).map_err(|_| Refused::NotOrdered { item })?;
        amount = amount.checked_add(refund).map_err(|_| Refused::NotOrdered { item })?;
        items.push((units, refund));
    }
    items.sort_unstable_by_key(|(units, _)| units.line);
    let (items, mut amounts): (Vec<_>, Vec<_>) = items.into_iter().unzip();
    if order.charges.discount.is_none() {
        amounts.clear();
    }
    let NewReturn { id, reason, .. } = new.clone();
    let status = ReturnStatus::Requested;
    let returned =
        Return { id, items, reason, amount, amounts, status, resellable: None, created_at: now, updated_at: now };
    let order = order.with_return(returned, now);
    let entry = HistoryEntry::returned(&order, id);
    Ok(Decision { state: State { order, saga: before.saga.clone() }, entry })
}

/// Changes a return. A change that was made before has no effect.
pub(super) fn change(
    before: &State,
    id: ReturnId,
    change: ReturnChange,
    now: OffsetDateTime,
) -> Result<Decision, Refused> {
    let order = &before.order;
    let returned = order.returns.iter().find(|returned| returned.id == id).ok_or(Refused::NoReturn)?;
    let mut saga = before.saga.clone();
    let (to, resellable) = match change {
        ReturnChange::Accept => (ReturnStatus::Accepted, None),
        ReturnChange::Reject => (ReturnStatus::Rejected, None),
        ReturnChange::Receive { resellable } => (ReturnStatus::Received, Some(resellable)),
        ReturnChange::Refunded => (ReturnStatus::Refunded, returned.resellable),
        ReturnChange::Restocked => {
            saga.step_of_return_done(id, |due| due.restock = false);
            return Ok(Decision { state: State { order: order.clone(), saga }, entry: None });
        }
    };
    if returned.status.follows(to) && (resellable.is_none() || returned.resellable == resellable) {
        return Ok(Decision { state: before.clone(), entry: None });
    }
    if !returned.status.leads_to(to) {
        return Err(Refused::ReturnStatus { from: returned.status });
    }
    match change {
        ReturnChange::Receive { resellable } => {
            saga.returns.push(DueReturn { id, restock: resellable, refund: true });
            saga.not_before = None;
        }
        ReturnChange::Refunded => saga.step_of_return_done(id, |due| due.refund = false),
        _ => {}
    }
    let order = order.with_return_status(id, (to, resellable), now);
    let entry = HistoryEntry::returned(&order, id);
    Ok(Decision { state: State { order, saga }, entry })
}

impl Saga {
    fn step_of_return_done(&mut self, id: ReturnId, done: impl Fn(&mut DueReturn)) {
        self.returns.iter_mut().filter(|due| due.id == id).for_each(done);
        self.returns.retain(|due| due.restock || due.refund);
        (self.failures, self.failing_since, self.not_before) = (0, None, None);
    }
}

impl Order {
    /// Units of a line that can be sent back: delivered within the window, and less than all delivered ones by those of returns
    /// that are not rejected.
    fn returnable(&self, position: i16, now: OffsetDateTime) -> u32 {
        let of_line = |items: &[LineUnits]| -> u32 {
            items.iter().filter(|units| units.line == position).map(|units| units.quantity).sum()
        };
        let delivered = |since: Option<OffsetDateTime>| -> u32 {
            let counts = |at: OffsetDateTime| since.is_none_or(|since| at >= since);
            let shipments = self.shipments.iter().filter(|shipment| shipment.delivered_at.is_some_and(counts));
            shipments.map(|shipment| of_line(&shipment.items)).sum()
        };
        let open = self.returns.iter().filter(|returned| returned.status != ReturnStatus::Rejected);
        let returned: u32 = open.map(|returned| of_line(&returned.items)).sum();
        delivered(None).saturating_sub(returned).min(delivered(Some(now - RETURN_WINDOW)))
    }
}
