//! Takes one step: calls the other service and says, as a command to the order, what came of it. Decides nothing.

use std::sync::Arc;

use agora_outbox::DedupKey;
use agora_vocab::{CommandId, Epoch, PaymentId};

use super::{HOLD_MARGIN_SECONDS, Step, command_id};
use crate::{
    domain::{Command, Line, Method, State, Token, Wanted},
    ports::{CallFailed, Carts, Catalog, NewHold, Payable, Payments, Report, Reserving},
};

/// The services that a saga calls.
#[derive(Clone)]
pub struct Services {
    /// Carts.
    pub carts: Arc<dyn Carts>,
    /// The catalogue.
    pub catalog: Arc<dyn Catalog>,
    /// Payments.
    pub payments: Arc<dyn Payments>,
    /// Part of every command's id.
    pub epoch: Epoch,
}

impl Services {
    /// Takes the step that is next; what came of it, and the cause that makes the same news count once.
    pub(super) async fn act(&self, state: &State, step: Step) -> (Command, DedupKey) {
        match self.call(state, step).await {
            Ok(done) => done,
            Err(failure) => {
                let order = state.order.id;
                let CallFailed { callee, source } = failure;
                tracing::warn!(%order, ?step, callee, error = %source, "a step of an order failed; it is tried again");
                metrics::counter!("order_saga_step_failed_total", "callee" => callee).increment(1);
                (Command::StepFailed, DedupKey::None)
            }
        }
    }

    async fn call(&self, state: &State, step: Step) -> Result<(Command, DedupKey), CallFailed> {
        let order = state.order.id;
        let command = match step {
            Step::Reserve { hold } => self.reserve(state, hold).await?,
            Step::Commit { hold } if self.catalog.commit(self.id(state, "commit", hold), order, hold).await? => {
                Command::Committed { hold }
            }
            Step::Commit { hold } => Command::HoldGone { hold },
            Step::Release { hold } => {
                self.catalog.release(self.id(state, "release", hold), order, hold).await?;
                Command::Released { hold }
            }
            Step::GiveBack => {
                self.carts.give_back(self.id(state, "give-back", 0), order).await?;
                Command::CartReturned
            }
            Step::Pay { payment } => match state.saga.own_unsettled() {
                Some((_, method, token)) => return self.pay(state, payment, (method, token)).await,
                None => Command::StillPending,
            },
            Step::Settle { payment } => {
                let report = self.payments.settle(self.question(state, "settle"), &payable(state, payment)).await?;
                return Ok(told(payment, report));
            }
            Step::Void { payment } => {
                let report = self.payments.void(self.question(state, "void"), &payable(state, payment)).await?;
                return Ok(told(payment, report));
            }
            Step::Refund { payment } => {
                let report = self.payments.refund(self.question(state, "refund"), &payable(state, payment)).await?;
                return Ok(told_refund(payment, report));
            }
            Step::CloseWindow | Step::Rest { .. } => Command::CloseWindow,
        };
        Ok((command, DedupKey::None))
    }

    async fn reserve(&self, state: &State, hold: i32) -> Result<Command, CallFailed> {
        let order = &state.order;
        let window = (order.expires_at - order.created_at).whole_seconds() + HOLD_MARGIN_SECONDS;
        let wanted = NewHold {
            order: order.id,
            hold,
            lines: order.lines.iter().map(wanted).collect(),
            seconds: u32::try_from(window).unwrap_or(u32::MAX),
        };
        Ok(match self.catalog.reserve(self.id(state, "reserve", hold), &wanted).await? {
            Reserving::Held => Command::Held { hold },
            Reserving::Short(shortage) => Command::Short { hold, shortage },
        })
    }

    async fn pay(
        &self,
        state: &State,
        payment: PaymentId,
        with: (Method, &Token),
    ) -> Result<(Command, DedupKey), CallFailed> {
        let report = self.payments.pay(self.question(state, "pay"), &payable(state, payment), with).await?;
        Ok(told(payment, report))
    }

    fn id(&self, state: &State, name: &str, number: i32) -> CommandId {
        command_id(state.order.id, self.epoch.0, name, i64::from(number))
    }

    /// The id of a question: another one after each answer, so that no answer is given from memory.
    fn question(&self, state: &State, name: &str) -> CommandId {
        command_id(state.order.id, self.epoch.0, name, i64::from(state.saga.asked))
    }
}

fn told(payment: PaymentId, Report { outcome, result }: Report) -> (Command, DedupKey) {
    let dedup_key = result.map_or(DedupKey::None, |id| DedupKey::Command { id: id.uuid() });
    match outcome {
        Some(outcome) => (Command::PaymentResult { payment, outcome }, dedup_key),
        None => (Command::StillPending, DedupKey::None),
    }
}

/// A refund is over when nothing is left of the payment; "captured" or "partly refunded" means that it is not.
fn told_refund(payment: PaymentId, report: Report) -> (Command, DedupKey) {
    use crate::domain::PaymentOutcome::{Captured, PartiallyRefunded};
    match report.outcome {
        Some(Captured | PartiallyRefunded) => (Command::StillPending, DedupKey::None),
        _ => told(payment, report),
    }
}

fn payable(state: &State, payment: PaymentId) -> Payable {
    let order = &state.order;
    Payable { payment, order: order.id, user: order.user, total: order.total }
}

fn wanted(line: &Line) -> Wanted {
    Wanted { product: line.product, variant: line.variant.clone(), quantity: line.quantity }
}
