//! Attempts to charge, capture and void, and their outcomes. The common path is one conditional statement per step.

use std::time::Duration;

use agora_outbox::{NewEvents, write_once};
use agora_vocab::{Money, PaymentId};
use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::{
    LEASE, PgPayments, new_event, other_live,
    reads::find,
    row::{LedgerPosting, PaymentChange, PaymentRow},
};
use crate::{
    domain::{AttemptKind, ChargeOutcome, Initiator, Payment, Posting, Status, TransitionError},
    ports::{Attempts, PaymentError, StoreError},
};

/// Maximum number of tries to open an attempt against concurrent changes of the same payment.
const PREPARE_TRIES_MAX: u32 = 20;
/// Time that a payer has to confirm a payment. Shorter than an order keeps its stock for a payment without outcome.
const ACTION_MAX: Duration = Duration::from_mins(10);
/// Time after which an authorisation that was not captured is released. Banks keep one for seven days.
const AUTHORISATION_MAX: Duration = Duration::from_hours(6 * 24);

#[async_trait]
impl Attempts for PgPayments {
    async fn prepare_charge(&self, id: PaymentId, due: Option<Money>) -> Result<Payment, PaymentError> {
        const PREPARE: &str = include_str!("../../sql/prepare_charge.sql");
        let mut connection = self.db.acquire().await?;
        for _ in 0..PREPARE_TRIES_MAX {
            let prepare = sqlx::query_as(PREPARE)
                .bind(id.uuid())
                .bind(due.map(|due| due.amount))
                .bind(due.map(|due| due.currency.to_string()))
                .bind(i64::from(self.epoch.0));
            let prepared: Option<PaymentRow> = prepare.fetch_optional(&mut *connection).await.map_err(other_live)?;
            if let Some(prepared) = prepared {
                return Ok(prepared.try_into()?);
            }
            let payment = find(&mut connection, id).await?.ok_or(PaymentError::NotFound(id))?;
            let preparable = payment.status == Status::Pending && payment.due.or(due).is_some();
            if !preparable || payment.open_attempt().is_some() {
                return Ok(payment);
            }
        }
        Err(StoreError::Unavailable("the payment was changed concurrently on every try".into()).into())
    }

    async fn prepare_operation(
        &self,
        id: PaymentId,
        kind: AttemptKind,
        amount: Option<Money>,
    ) -> Result<Payment, PaymentError> {
        const PREPARE: &str = include_str!("../../sql/prepare_operation.sql");
        let mut connection = self.db.acquire().await?;
        let payment = find(&mut connection, id).await?.ok_or(PaymentError::NotFound(id))?;
        let amount_minor = match kind {
            AttemptKind::Capture => Some(payment.capturable(amount)?.amount),
            _ if payment.status == Status::Authorised => None,
            _ => return Err(TransitionError::NotAllowed { from: payment.status, to: Status::Voided }.into()),
        };
        let prepare = sqlx::query_as(PREPARE)
            .bind(id.uuid())
            .bind(kind.as_str())
            .bind(amount_minor)
            .bind(i64::from(self.epoch.0))
            .bind(LEASE);
        let prepared: Option<PaymentRow> = prepare.fetch_optional(&mut *connection).await?;
        Ok(prepared.ok_or(PaymentError::Busy)?.try_into()?)
    }

    async fn apply_outcome(&self, payment: Payment, outcome: ChargeOutcome) -> Result<Payment, PaymentError> {
        const APPLY: &str = include_str!("../../sql/apply_outcome.sql");
        let (id, read) = (payment.id, (payment.attempt, payment.open_attempt().is_some(), payment.status));
        let (mut after, event) = payment.apply(outcome, self.result())?;
        let captured = after.captured().filter(|_| read.2 != after.status);
        let postings: Vec<_> =
            captured.map(|amount| LedgerPosting::of(&Posting::capture(id, amount))).into_iter().collect();
        let mut events = NewEvents::new();
        if let Some(event) = &event {
            events.push(self.ids.as_ref(), self.epoch, new_event(&after, event))?;
        }
        let call_back = event.is_some() && after.status.is_result() && after.initiator == Initiator::Shopper;
        let apply = sqlx::query(APPLY)
            .bind(id.uuid())
            .bind(read.0.map_or(0, |attempt| attempt.n))
            .bind(read.1)
            .bind(read.2.as_str())
            .bind(PaymentChange::of(&after))
            .bind(postings)
            .bind(call_back)
            .bind(LEASE)
            .bind(events.rows())
            .bind(time_to_deadline(&after));
        let mut connection = self.db.acquire().await?;
        match write_once(&mut connection, apply, &events, &[]).await? {
            Some(row) => {
                after.updated_at = row.try_get::<OffsetDateTime, _>("updated_at")?;
                if let Some(amount) = captured {
                    count_posted("capture", amount);
                }
                Ok(after)
            }
            None => find(&mut connection, id).await?.ok_or(PaymentError::NotFound(id)),
        }
    }
}

/// Counts money that was posted to the ledger.
pub(super) fn count_posted(kind: &'static str, Money { amount, currency }: Money) {
    let labels = [("kind", kind.to_owned()), ("currency", currency.to_string())];
    metrics::counter!("payment_posted_minor_units_total", &labels).increment(u64::try_from(amount).unwrap_or_default());
}

/// How long the payment may stay as it is.
fn time_to_deadline(payment: &Payment) -> Option<Duration> {
    match payment.status {
        Status::Authorised => Some(AUTHORISATION_MAX),
        Status::Pending => payment.next_action.as_ref().map(|_| ACTION_MAX),
        _ => None,
    }
}
