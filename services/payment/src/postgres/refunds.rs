//! Refunds. Each writing method locks the payment's row first, which serialises the refunds of a payment.

use agora_outbox::{Acquisition, DedupKey, IdempotencyLease};
use agora_postgres::Tx;
use agora_vocab::{Money, PaymentId, RefundId};
use async_trait::async_trait;

use super::{
    LEASE, PgPayments,
    attempts::count_posted,
    reads::lock,
    row::{LedgerPosting, RefundAttemptRow},
    save,
};
use crate::{
    domain::{AttemptState, Payment, Posting, RefundAttempt, TransitionError},
    ports::{Acquired, PaymentError, RefundOutcome, Refunds, StoreError},
};

#[async_trait]
impl Refunds for PgPayments {
    async fn create_refund(
        &self,
        id: RefundId,
        payment: PaymentId,
        amount: Option<Money>,
        dedup_key: &DedupKey,
    ) -> Result<Acquired<RefundAttempt>, PaymentError> {
        let mut tx = self.db.begin().await?;
        let refund = match IdempotencyLease::acquire(&mut tx, dedup_key, id.uuid(), LEASE).await? {
            Acquisition::Completed(response) => return Ok(Acquired::Completed(response)),
            Acquisition::InProgress { retry_after_s } => return Ok(Acquired::InProgress { retry_after_s }),
            Acquisition::Started { recovery_id } | Acquisition::Resumed { recovery_id } => RefundId::new(recovery_id),
        };
        let locked = lock(&mut tx, payment).await?;
        let attempts = attempts(&mut tx, payment).await?;
        let own = attempts.iter().rfind(|attempt| attempt.id == refund);
        let attempt = if let Some(own) = own.filter(|attempt| attempt.state != AttemptState::Failed) {
            own.clone()
        } else {
            self.insert_attempt(&mut tx, (payment, refund), &attempts, locked.refundable(amount, &attempts)?).await?
        };
        tx.commit().await?;
        Ok(Acquired::Held(Box::new(attempt)))
    }

    async fn prepare_refund(&self, id: RefundId, payment: PaymentId) -> Result<Option<RefundAttempt>, PaymentError> {
        let mut tx = self.db.begin().await?;
        let locked = lock(&mut tx, payment).await?;
        let attempts = attempts(&mut tx, payment).await?;
        if let Some(open) = attempts.iter().find(|attempt| attempt.state == AttemptState::Prepared) {
            return Ok(Some(open.clone()));
        }
        let amount = match locked.refundable(None, &attempts) {
            Ok(amount) => amount,
            Err(TransitionError::ExceedsCapture) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let attempt = self.insert_attempt(&mut tx, (payment, id), &attempts, amount).await?;
        tx.commit().await?;
        Ok(Some(attempt))
    }

    async fn prepare_part(
        &self,
        id: RefundId,
        payment: PaymentId,
        amount: Money,
    ) -> Result<Option<RefundAttempt>, PaymentError> {
        let mut tx = self.db.begin().await?;
        let locked = lock(&mut tx, payment).await?;
        let attempts = attempts(&mut tx, payment).await?;
        let own = attempts.iter().rfind(|attempt| attempt.id == id);
        if let Some(own) = own.filter(|attempt| attempt.state != AttemptState::Failed) {
            return Ok(Some(own.clone()));
        }
        let remaining = match locked.refundable(None, &attempts) {
            Ok(remaining) => remaining,
            Err(TransitionError::ExceedsCapture) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let amount = Money { amount: amount.amount.min(remaining.amount), ..amount };
        let amount = locked.refundable(Some(amount), &attempts)?;
        let attempt = self.insert_attempt(&mut tx, (payment, id), &attempts, amount).await?;
        tx.commit().await?;
        Ok(Some(attempt))
    }

    async fn find_refund(&self, id: RefundId) -> Result<Option<RefundAttempt>, StoreError> {
        const FIND: &str = "select * from refund_attempt_record where refund_id = $1 order by n desc limit 1";
        let mut connection = self.db.acquire().await?;
        let row: Option<RefundAttemptRow> =
            sqlx::query_as(FIND).bind(id.uuid()).fetch_optional(&mut *connection).await?;
        row.map(RefundAttempt::try_from).transpose()
    }

    async fn complete_refund(
        &self,
        attempt: &RefundAttempt,
        outcome: RefundOutcome,
        call_back: bool,
    ) -> Result<Payment, PaymentError> {
        let mut tx = self.db.begin().await?;
        let mut payment = lock(&mut tx, attempt.payment).await?;
        if !close_attempt(&mut tx, attempt, &outcome).await? {
            return Ok(payment);
        }
        let succeeded = matches!(outcome, RefundOutcome::Succeeded(_));
        if succeeded {
            let (after, event) = payment.refund(attempt, self.result())?;
            save(&mut tx, &after).await?;
            post(&mut tx, attempt, call_back).await?;
            self.emit(&mut tx, &after, &event).await?;
            payment = after;
        }
        tx.commit().await?;
        if succeeded {
            count_posted("refund", attempt.amount);
        }
        Ok(payment)
    }
}

impl PgPayments {
    /// Inserts the attempt after `attempts` as `prepared`.
    async fn insert_attempt(
        &self,
        tx: &mut Tx,
        (payment, refund): (PaymentId, RefundId),
        attempts: &[RefundAttempt],
        amount: Money,
    ) -> Result<RefundAttempt, StoreError> {
        const INSERT: &str = include_str!("../../sql/insert_refund_attempt.sql");
        let inserted: RefundAttemptRow = sqlx::query_as(INSERT)
            .bind(payment.uuid())
            .bind(attempts.last().map_or(1, |last| last.n + 1))
            .bind(refund.uuid())
            .bind(amount.amount)
            .bind(i64::from(self.epoch.0))
            .bind(LEASE)
            .fetch_one(&mut **tx)
            .await?;
        inserted.try_into()
    }
}

/// Returns every refund attempt of a payment, oldest first.
async fn attempts(tx: &mut Tx, payment: PaymentId) -> Result<Vec<RefundAttempt>, StoreError> {
    const FIND: &str = "select * from refund_attempt_record where payment_id = $1 order by n";
    let rows: Vec<RefundAttemptRow> = sqlx::query_as(FIND).bind(payment.uuid()).fetch_all(&mut **tx).await?;
    rows.into_iter().map(RefundAttempt::try_from).collect()
}

/// Stores the outcome of an attempt. Returns false, without effect, if the attempt is not open.
async fn close_attempt(tx: &mut Tx, attempt: &RefundAttempt, outcome: &RefundOutcome) -> Result<bool, StoreError> {
    const CLOSE: &str = "update refund_attempt set state = $3, reference_id = $4, updated_at = now() \
        where payment_id = $1 and n = $2 and state = 'prepared'";
    let (state, reference) = match outcome {
        RefundOutcome::Succeeded(reference) => (AttemptState::Succeeded, Some(reference.as_str())),
        RefundOutcome::Pending(reference) => (AttemptState::Prepared, Some(reference.as_str())),
        RefundOutcome::Failed => (AttemptState::Failed, None),
    };
    let close = sqlx::query(CLOSE).bind(attempt.payment.uuid()).bind(attempt.n).bind(state.as_str()).bind(reference);
    Ok(close.execute(&mut **tx).await?.rows_affected() == 1)
}

/// Posts a refund, whose id is unique in the ledger: at most one attempt of a refund succeeds.
async fn post(tx: &mut Tx, attempt: &RefundAttempt, call_back: bool) -> Result<(), StoreError> {
    const POST: &str = include_str!("../../sql/post_refund.sql");
    sqlx::query(POST)
        .bind(vec![LedgerPosting::of(&Posting::refund(attempt))])
        .bind(attempt.payment.uuid())
        .bind(call_back)
        .bind(LEASE)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
