//! The state transitions of an order and its saga.
//!
//! One pure function, [`decide`]. A client's request may be rejected. A response of another service is never rejected: a
//! late or duplicate response has no effect.

mod order_return;
mod payment;
mod shipment;
mod stock;

use agora_vocab::{Money, PaymentId, ProductId, ReturnId, ShipmentId, UserId};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use self::payment::{begin, result};
pub use self::{
    order_return::ReturnChange,
    payment::{DECLINES_MAX, PaymentOutcome},
};
use super::{
    HistoryEntry, Hold, NewReturn, NewShipment, Order, OrderProgress, PaymentStatus, ReturnStatus, Saga, Shortage,
    Status,
};

/// Pause before payment is polled again for a pending result.
pub(super) const POLL_INTERVAL: Duration = Duration::seconds(5);
/// First and longest pause before a failed step is retried (exponential backoff).
const RETRY_PAUSE_MIN: Duration = Duration::milliseconds(200);
const RETRY_PAUSE_MAX: Duration = Duration::seconds(300);

/// An order and its saga. They are read and written in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The order, fixed fields and progress.
    pub order: Order,
    /// The saga of the order.
    pub saga: Saga,
}

/// An input of the saga: a client's request, a response of another service, or elapsed time.
#[derive(Clone, Debug, PartialEq)]
pub enum SagaEvent {
    /// A user starts a payment. Rejected if the order cannot be paid.
    PaymentRequested {
        /// Id of the payment.
        payment: PaymentId,
        /// User who pays; must own the order.
        user: UserId,
        /// Amount that the client expects to pay; not checked if absent.
        amount: Option<Money>,
    },
    /// The payment service reported an outcome.
    PaymentResult {
        /// Id of the payment.
        payment: PaymentId,
        /// The reported outcome.
        outcome: PaymentOutcome,
    },
    /// The owner or an admin requests cancellation.
    CancelRequested,
    /// An admin requests the next fulfilment status.
    StatusRequested(Status),
    /// An admin adds a shipment.
    ShipmentRequested(NewShipment),
    /// An admin marks a shipment as delivered.
    DeliveryReported(ShipmentId),
    /// The owner requests a return of delivered units.
    ReturnRequested(NewReturn),
    /// An admin changes a return, or another service has done its part of it.
    ReturnChanged { id: ReturnId, change: ReturnChange },
    /// Check whether the payment window has ended.
    WindowChecked,
    /// Catalog reserved all lines.
    StockReserved {
        /// Number of the reservation, from 1.
        hold: i32,
    },
    /// Catalog could not reserve all lines.
    StockUnavailable {
        /// Number of the reservation, from 1.
        hold: i32,
        /// The first line that was short.
        shortage: Shortage,
    },
    /// Catalog committed the reservation: the stock is sold.
    StockCommitted {
        /// Number of the reservation, from 1.
        hold: i32,
    },
    /// The reservation expired or was released before it was committed.
    ReservationLost {
        /// Number of the reservation, from 1.
        hold: i32,
    },
    /// Catalog released the reservation.
    StockReleased {
        /// Number of the reservation, from 1.
        hold: i32,
    },
    /// Cart restored the lines of a cancelled checkout.
    CheckoutCancelled,
    /// The payment service has no result yet.
    PaymentPending,
    /// The other service was unreachable or returned an unexpected response.
    StepFailed,
}

/// The result of [`decide`].
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The order and its saga after the event.
    pub state: State,
    /// History entry to write; `None` if the order itself did not change.
    pub entry: Option<HistoryEntry>,
}

/// Why a client's request was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The order belongs to another user.
    #[error("the order belongs to another user")]
    Foreign,
    /// The requested amount differs from the order's total.
    #[error("the order costs {due}")]
    AmountMismatch {
        /// Total of the order.
        due: Money,
    },
    /// [`super::EDGES`] does not contain this transition.
    #[error("an order that is {from} does not allow it")]
    InvalidTransition {
        from: Status,
        /// Requested status; `None` if the name is unknown.
        to: Option<Status>,
    },
    /// A payment of the order is in progress.
    #[error("a payment of the order is under way")]
    PaymentInProgress,
    /// A part of the order was shipped, so that it cannot be cancelled.
    #[error("a part of the order was shipped")]
    PartlyShipped,
    /// An item of the shipment is not a line of the order.
    #[error("the order has no such line")]
    NotOrdered {
        /// Index of the item.
        item: usize,
    },
    /// The items of the shipment belong to several sellers.
    #[error("a shipment belongs to one seller")]
    SeveralSellers,
    /// More units than ordered would be shipped.
    #[error("only {remaining} of {requested} units are left to ship")]
    QuantityExceeded { product: ProductId, requested: u32, remaining: u32 },
    /// The order has [`super::SHIPMENTS_MAX`] shipments.
    #[error("the order has the greatest number of shipments")]
    TooManyShipments,
    /// The order has no shipment with this id.
    #[error("the order has no such shipment")]
    NoShipment,
    /// More units than can be sent back.
    #[error("only {returnable} of {requested} units can be returned")]
    NotReturnable { product: ProductId, requested: u32, returnable: u32 },
    /// The order has [`super::RETURNS_MAX`] returns.
    #[error("the order has the greatest number of returns")]
    TooManyReturns,
    /// The status of the return does not allow the change.
    #[error("a return that is {} does not allow it", .from.as_str())]
    ReturnStatus { from: ReturnStatus },
    /// The order has no return with this id.
    #[error("the order has no such return")]
    NoReturn,
}

/// Applies `event` at `now` to the order and its saga. Never rejects a response of another service.
pub fn decide(before: &State, event: &SagaEvent, now: OffsetDateTime) -> Result<Decision, Refused> {
    let mut transition =
        Transition { order: &before.order, progress: before.order.progress, saga: before.saga.clone(), now };
    match event {
        SagaEvent::PaymentRequested { payment, user, amount } => begin(&mut transition, *payment, *user, *amount)?,
        SagaEvent::PaymentResult { payment, outcome } => result(&mut transition, *payment, *outcome),
        SagaEvent::CancelRequested => transition.cancel()?,
        SagaEvent::StatusRequested(to) => transition.advance(*to)?,
        SagaEvent::ShipmentRequested(new) => return shipment::ship(before, new, now),
        SagaEvent::DeliveryReported(id) => return shipment::deliver(before, *id, now),
        SagaEvent::ReturnRequested(new) => return order_return::request(before, new, now),
        SagaEvent::ReturnChanged { id, change } => return order_return::change(before, *id, *change, now),
        SagaEvent::WindowChecked => transition.close_window(),
        SagaEvent::StockReserved { hold } => transition.stock_reserved(*hold),
        SagaEvent::StockUnavailable { hold, shortage } => transition.stock_unavailable(*hold, *shortage),
        SagaEvent::StockCommitted { hold } => transition.stock_committed(*hold),
        SagaEvent::ReservationLost { hold } => transition.reservation_lost(*hold),
        SagaEvent::StockReleased { hold } => transition.stock_released(*hold),
        SagaEvent::CheckoutCancelled => transition.saga.cancel_checkout = false,
        SagaEvent::PaymentPending => transition.payment_pending(),
        SagaEvent::StepFailed => transition.step_failed(),
    }
    if event.is_step_result() {
        (transition.saga.failures, transition.saga.failing_since) = (0, None);
    }
    transition.finish()
}

/// The result of [`decide_all`].
#[derive(Clone, Debug, PartialEq)]
pub struct Decisions {
    /// The order and its saga after the last event.
    pub state: State,
    /// History entries to write, in sequence.
    pub entries: Vec<HistoryEntry>,
}

/// Applies several events of the same moment in turn, each with the changes of status that follow from the shipments; all or
/// none.
pub fn decide_all(before: &State, events: &[SagaEvent], now: OffsetDateTime) -> Result<Decisions, Refused> {
    let mut after = Decisions { state: before.clone(), entries: Vec::new() };
    for event in events {
        let Decision { state, entry } = decide(&after.state, event, now)?;
        after.state = state;
        after.entries.extend(entry);
        while let Some(status) = shipment::status_of_shipments(&after.state.order) {
            let Decision { state, entry } = change_status(&after.state, status, now)?;
            after.state = state;
            after.entries.extend(entry);
        }
    }
    Ok(after)
}

fn change_status(before: &State, to: Status, now: OffsetDateTime) -> Result<Decision, Refused> {
    let progress = OrderProgress { status: to, ..before.order.progress };
    Transition { order: &before.order, progress, saga: before.saga.clone(), now }.finish()
}

impl SagaEvent {
    /// Whether the event changes shipments or returns, which are stored in tables of their own.
    pub const fn is_of_parcels(&self) -> bool {
        matches!(
            self,
            Self::ShipmentRequested(_)
                | Self::DeliveryReported(_)
                | Self::ReturnRequested(_)
                | Self::ReturnChanged { .. }
        )
    }

    /// Whether the event is the response of a successful call to another service.
    const fn is_step_result(&self) -> bool {
        match self {
            Self::PaymentResult { .. }
            | Self::StockReserved { .. }
            | Self::StockUnavailable { .. }
            | Self::StockCommitted { .. }
            | Self::ReservationLost { .. }
            | Self::StockReleased { .. }
            | Self::CheckoutCancelled
            | Self::PaymentPending => true,
            Self::PaymentRequested { .. }
            | Self::CancelRequested
            | Self::StatusRequested(_)
            | Self::ShipmentRequested(_)
            | Self::DeliveryReported(_)
            | Self::ReturnRequested(_)
            | Self::ReturnChanged { .. }
            | Self::WindowChecked
            | Self::StepFailed => false,
        }
    }
}

/// A transition under construction.
pub(super) struct Transition<'a> {
    pub(super) order: &'a Order,
    pub(super) progress: OrderProgress,
    pub(super) saga: Saga,
    pub(super) now: OffsetDateTime,
}

impl Transition<'_> {
    /// Whether a payment blocks expiry and cancellation.
    pub(super) fn paying(&self) -> bool {
        self.progress.payment_status == PaymentStatus::Processing || self.saga.captured.is_some()
    }

    /// Sets a final status, schedules the release of the reservation and clears the payment in progress.
    pub(super) fn end(&mut self, status: Status) {
        self.progress.status = status;
        if self.saga.hold != Hold::Gone {
            self.saga.hold = Hold::Ending;
        }
        self.clear_payment();
    }

    /// Clears the payment in progress and erases the payment token.
    pub(super) fn clear_payment(&mut self) {
        self.saga.paying_since = None;
        if let Some(own) = &mut self.saga.own {
            own.token = None;
        }
    }

    /// Schedules the release of the reservation that a captured payment needed: the current one, or the next one, which may
    /// have been requested already.
    pub(super) fn release_for_payment(&mut self) {
        if self.saga.hold == Hold::Gone {
            self.progress.hold += 1;
        }
        self.saga.hold = Hold::Ending;
    }

    /// Schedules a refund of `payment`; idempotent.
    pub(super) fn refund(&mut self, payment: PaymentId) {
        if !self.saga.refunds.contains(&payment) {
            self.saga.refunds.push(payment);
        }
    }

    fn cancel(&mut self) -> Result<(), Refused> {
        let from = self.progress.status;
        if !from.leads_to(Status::Cancelled) {
            return Err(Refused::InvalidTransition { from, to: Some(Status::Cancelled) });
        }
        if self.paying() {
            return Err(Refused::PaymentInProgress);
        }
        if !self.order.shipments.is_empty() {
            return Err(Refused::PartlyShipped);
        }
        self.saga.cancel_checkout = from == Status::Created && self.order.cart.is_some();
        self.end(Status::Cancelled);
        if let (Some(payment), PaymentStatus::Paid | PaymentStatus::PartiallyRefunded) =
            (self.progress.payment, self.progress.payment_status)
        {
            self.refund(payment);
        }
        Ok(())
    }

    fn advance(&mut self, to: Status) -> Result<(), Refused> {
        let from = self.progress.status;
        match to {
            Status::Cancelled => self.cancel(),
            Status::Shipped | Status::Completed if !self.order.shipments.is_empty() => Err(Refused::PartlyShipped),
            Status::Processing | Status::Shipped | Status::Completed if from.leads_to(to) => {
                self.progress.status = to;
                Ok(())
            }
            _ => Err(Refused::InvalidTransition { from, to: Some(to) }),
        }
    }

    fn close_window(&mut self) {
        if self.now < self.order.expires_at || self.paying() {
            return;
        }
        match self.progress.status {
            Status::Created => {
                self.saga.cancel_checkout = self.order.cart.is_some();
                self.end(Status::Cancelled);
            }
            Status::Pending => self.end(Status::Expired),
            _ => {}
        }
    }

    fn payment_pending(&mut self) {
        self.saga.queries += 1;
        self.saga.not_before = Some(self.now + POLL_INTERVAL);
    }

    fn step_failed(&mut self) {
        let pause = RETRY_PAUSE_MIN * 2_i32.pow(self.saga.failures.min(12));
        self.saga.not_before = Some(self.now + pause.min(RETRY_PAUSE_MAX));
        self.saga.failures += 1;
        self.saga.failing_since.get_or_insert(self.now);
    }

    /// Returns the decision if both transition tables allow it.
    fn finish(mut self) -> Result<Decision, Refused> {
        let before = self.order.progress;
        if self.progress == before {
            return Ok(Decision { state: State { order: self.order.clone(), saga: self.saga }, entry: None });
        }
        let (from, to) = (before.status, self.progress.status);
        let money = (before.payment_status, self.progress.payment_status);
        if (from != to && !from.leads_to(to)) || (money.0 != money.1 && !money.0.leads_to(money.1)) {
            return Err(Refused::InvalidTransition { from, to: Some(to) });
        }
        self.saga.not_before = None;
        let order = self.order.moved_to(self.progress, self.now);
        let entry = Some(HistoryEntry::changed(self.order, &order));
        Ok(Decision { state: State { order, saga: self.saga }, entry })
    }
}
