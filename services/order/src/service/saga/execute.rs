//! Executes one step: calls the other service and returns the resulting [`SagaEvent`]. Makes no decisions.

use std::sync::Arc;

use agora_outbox::DedupKey;
use agora_vocab::{CommandId, Epoch, PaymentId, Quantity, ReturnId};

use crate::{
    domain::{
        Decision, HOLD_MARGIN_SECONDS, Line, LineUnits, Method, RequestedLine, ReturnChange, SagaEvent, State, Step,
        Token, command_id, decide, next,
    },
    ports::{CallFailed, Carts, Catalog, NewHold, Payable, Payments, Report, Reserving, ReturnedUnits, SagaSnapshot},
};

/// Clients of the services that a saga calls.
#[derive(Clone)]
pub struct Services {
    /// Client of the cart service.
    pub carts: Arc<dyn Carts>,
    /// Client of the catalog service.
    pub catalog: Arc<dyn Catalog>,
    /// Client of the payment service.
    pub payments: Arc<dyn Payments>,
    /// Recovery epoch, part of every command id.
    pub epoch: Epoch,
}

impl Services {
    /// Executes `step`; returns the resulting event and its deduplication key. A failed call becomes `StepFailed`.
    pub(super) async fn execute(&self, state: &State, step: Step) -> (SagaEvent, DedupKey) {
        match self.call(state, step).await {
            Ok(done) => done,
            Err(failure) => {
                let order = state.order.id;
                let CallFailed { callee, source } = failure;
                tracing::warn!(%order, ?step, callee, error = %source, "a saga step failed; it is retried");
                metrics::counter!("order_saga_step_failed_total", "callee" => callee).increment(1);
                (SagaEvent::StepFailed, DedupKey::None)
            }
        }
    }

    /// The event and, if the stock is to be committed because of it, the result of that step: both are written as one change.
    /// The commit is idempotent, so that a crash before the change repeats it.
    pub async fn with_commit(&self, snapshot: &SagaSnapshot, event: SagaEvent) -> Vec<SagaEvent> {
        let now = snapshot.now;
        let Ok(Decision { state, .. }) = decide(&snapshot.state, &event, now) else { return vec![event] };
        let step = next(&state, now);
        if !matches!(step, Step::Commit { .. }) {
            return vec![event];
        }
        let (committed, _) = self.execute(&state, step).await;
        vec![event, committed]
    }

    async fn call(&self, state: &State, step: Step) -> Result<(SagaEvent, DedupKey), CallFailed> {
        let order = state.order.id;
        let event = match step {
            Step::Reserve { hold } => self.reserve(state, hold).await?,
            Step::Commit { hold } if self.catalog.commit(self.id(state, "commit", hold), order, hold).await? => {
                SagaEvent::StockCommitted { hold }
            }
            Step::Commit { hold } => SagaEvent::ReservationLost { hold },
            Step::Release { hold } => {
                self.catalog.release(self.id(state, "release", hold), order, hold).await?;
                SagaEvent::StockReleased { hold }
            }
            Step::CancelCheckout => {
                self.carts.cancel_checkout(self.id(state, "cancel-checkout", 0), order).await?;
                SagaEvent::CheckoutCancelled
            }
            Step::Pay { payment } => match state.saga.unsettled_own_payment() {
                Some((_, method, token)) => return self.pay(state, payment, (method, token)).await,
                None => SagaEvent::PaymentPending,
            },
            Step::Settle { payment } => {
                let report = self.payments.settle(self.question(state, "settle"), &payable(state, payment)).await?;
                return Ok(payment_event(payment, report));
            }
            Step::Void { payment } => {
                let report = self.payments.void(self.question(state, "void"), &payable(state, payment)).await?;
                return Ok(payment_event(payment, report));
            }
            Step::Refund { payment } => {
                let report = self.payments.refund(self.question(state, "refund"), &payable(state, payment)).await?;
                return Ok(refund_event(payment, report));
            }
            Step::Restock { id } => self.restock(state, id).await?,
            Step::RefundReturn { id } => self.refund_return(state, id).await?,
            Step::CloseWindow | Step::Wait { .. } => SagaEvent::WindowChecked,
        };
        Ok((event, DedupKey::None))
    }

    async fn reserve(&self, state: &State, hold: i32) -> Result<SagaEvent, CallFailed> {
        let order = &state.order;
        let window = (order.expires_at - order.created_at).whole_seconds() + HOLD_MARGIN_SECONDS;
        let requested = NewHold {
            order: order.id,
            hold,
            lines: order.lines.iter().map(requested).collect(),
            seconds: u32::try_from(window).unwrap_or(u32::MAX),
        };
        Ok(match self.catalog.reserve(self.id(state, "reserve", hold), &requested).await? {
            Reserving::Held => SagaEvent::StockReserved { hold },
            Reserving::Short(shortage) => SagaEvent::StockUnavailable { hold, shortage },
        })
    }

    async fn restock(&self, state: &State, id: ReturnId) -> Result<SagaEvent, CallFailed> {
        let (order, items) = (&state.order, state.order.returns.iter().find(|returned| returned.id == id));
        let items = items.map(|returned| returned.items.as_slice()).unwrap_or_default();
        let line = |units: &LineUnits| {
            let quantity = Quantity::parse(i64::from(units.quantity)).ok()?;
            Some(RequestedLine { quantity, ..requested(order.line_at(units.line)?) })
        };
        let (hold, lines) = (order.progress.hold, items.iter().filter_map(line).collect());
        let units = ReturnedUnits { order: order.id, hold, id, lines };
        self.catalog.take_back(CommandId::new(id.uuid()), &units).await?;
        Ok(SagaEvent::ReturnChanged { id, change: ReturnChange::Restocked })
    }

    async fn refund_return(&self, state: &State, id: ReturnId) -> Result<SagaEvent, CallFailed> {
        let amount = state.order.returns.iter().find(|returned| returned.id == id).map(|returned| returned.amount);
        let (Some(payment), Some(amount)) = (state.order.progress.payment, amount) else {
            return Ok(SagaEvent::PaymentPending);
        };
        let done = SagaEvent::ReturnChanged { id, change: ReturnChange::Refunded };
        // The units were free, and payment refunds no less than one minor unit.
        if amount.amount == 0 {
            return Ok(done);
        }
        let command = self.question(state, "refund-part");
        let refunded = self.payments.refund_part(command, &payable(state, payment), (id, amount)).await?;
        Ok(if refunded { done } else { SagaEvent::PaymentPending })
    }

    async fn pay(
        &self,
        state: &State,
        payment: PaymentId,
        with: (Method, &Token),
    ) -> Result<(SagaEvent, DedupKey), CallFailed> {
        let report = self.payments.pay(self.question(state, "pay"), &payable(state, payment), with).await?;
        Ok(payment_event(payment, report))
    }

    fn id(&self, state: &State, name: &str, number: i32) -> CommandId {
        command_id(state.order.id, self.epoch.0, name, i64::from(number))
    }

    /// Command id of a payment query: it changes after each answer, so that payment does not return a stored response.
    fn question(&self, state: &State, name: &str) -> CommandId {
        command_id(state.order.id, self.epoch.0, name, i64::from(state.saga.queries))
    }
}

fn payment_event(payment: PaymentId, Report { outcome, result }: Report) -> (SagaEvent, DedupKey) {
    let dedup_key = result.map_or(DedupKey::None, |id| DedupKey::Command { id: id.uuid() });
    match outcome {
        Some(outcome) => (SagaEvent::PaymentResult { payment, outcome }, dedup_key),
        None => (SagaEvent::PaymentPending, DedupKey::None),
    }
}

/// A refund is complete when the whole amount is refunded; `Captured` or `PartiallyRefunded` means it is pending.
fn refund_event(payment: PaymentId, report: Report) -> (SagaEvent, DedupKey) {
    use crate::domain::PaymentOutcome::{Captured, PartiallyRefunded};
    match report.outcome {
        Some(Captured | PartiallyRefunded) => (SagaEvent::PaymentPending, DedupKey::None),
        _ => payment_event(payment, report),
    }
}

fn payable(state: &State, payment: PaymentId) -> Payable {
    let order = &state.order;
    Payable { payment, order: order.id, user: order.user, total: order.total }
}

fn requested(line: &Line) -> RequestedLine {
    RequestedLine { product: line.product, variant: line.variant.clone(), quantity: line.quantity }
}
