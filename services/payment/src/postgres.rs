//! PostgreSQL implementation of the store. Each method is one transaction.
//!
//! The common path of a payment is one conditional statement per step. If its condition is false, the payment is read
//! again. Rules of payments belong to `domain`, not to this module.

mod reads;
mod recovery;
mod refunds;
mod row;

use std::{sync::Arc, time::Duration};

use agora_events::payment::PaymentEvent;
use agora_outbox::{
    Acquisition, DedupKey, DedupRecord, IdempotencyLease, NewEvent, NewEvents, StoredResponse, emit, write_once,
};
use agora_postgres::{Connection, Db, Tx};
use agora_vocab::{CommandId, Epoch, Ids, Money, PaymentId, Secret};
use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use self::{
    reads::{find, lock},
    row::{LedgerPosting, NewPaymentRow, PaymentChange, PaymentRow},
};
use crate::{
    domain::{CaptureAttempt, ChargeOutcome, Initiator, Payment, Posting, ProviderDetails, Status},
    ports::{Acquired, NewPayment, OrderPayment, PaymentError, Payments, StoreError},
};

/// Duration of the lease of a payment, refund or order callback. After it expires the worker takes over.
const LEASE: Duration = Duration::from_secs(10);
/// Maximum number of tries to open an attempt against concurrent changes of the same payment.
const PREPARE_TRIES_MAX: u32 = 20;

/// The store of payments in PostgreSQL.
#[derive(Clone)]
pub struct PgPayments {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
}

impl PgPayments {
    /// Creates the store. `epoch` is a part of event envelopes and of the provider's keys.
    pub fn new(db: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, ids, epoch }
    }

    fn result(&self) -> CommandId {
        CommandId::new(self.ids.next())
    }

    /// Voids a payment; inserts it first if it does not exist.
    async fn void_in(&self, tx: &mut Tx, new: &NewPayment) -> Result<Payment, PaymentError> {
        let payment = match insert(tx, &NewPaymentRow::of(new, None)).await? {
            Some(payment) => payment,
            None => lock(tx, new.id).await?,
        };
        if payment.order != new.order {
            return Err(PaymentError::Mismatch(new.id));
        }
        let Some(due) = payment.due.or(new.amount) else { return Ok(payment) };
        if payment.status != Status::Pending || payment.open_attempt().is_some() {
            return Ok(payment);
        }
        let (after, event) = payment.void(due, self.result())?;
        save(tx, &after).await?;
        self.emit(tx, &after, &event).await?;
        Ok(after)
    }

    async fn emit(&self, tx: &mut Tx, payment: &Payment, event: &PaymentEvent) -> Result<(), StoreError> {
        Ok(emit(tx, self.ids.as_ref(), self.epoch, new_event(payment, event)).await?)
    }
}

/// The outbox event of a payment in its current state.
fn new_event<'a>(payment: &Payment, event: &'a PaymentEvent) -> NewEvent<'a, PaymentEvent> {
    NewEvent {
        event,
        aggregate: payment.id.uuid(),
        seq: payment.seq,
        correlation: Some(payment.order.uuid()),
        causation: payment.result.map(CommandId::uuid),
    }
}

/// Inserts a payment as `pending` and returns it; none if the id exists.
async fn insert(connection: &mut Connection, new: &NewPaymentRow) -> Result<Option<Payment>, StoreError> {
    const INSERT: &str = include_str!("../sql/insert_payment.sql");
    let inserted: Option<PaymentRow> = sqlx::query_as(INSERT).bind(new).bind(LEASE).fetch_optional(connection).await?;
    inserted.map(Payment::try_from).transpose()
}

/// Writes a payment whose row `tx` has locked.
async fn save(tx: &mut Tx, payment: &Payment) -> Result<(), StoreError> {
    const SAVE: &str = include_str!("../sql/save_payment.sql");
    sqlx::query(SAVE).bind(payment.id.uuid()).bind(PaymentChange::of(payment)).execute(&mut **tx).await?;
    Ok(())
}

/// Leases a payment.
async fn lease(tx: &mut Tx, id: PaymentId) -> Result<(), StoreError> {
    const LEASE_PAYMENT: &str = "update payment set leased_until = now() + $2 where id = $1";
    sqlx::query(LEASE_PAYMENT).bind(id.uuid()).bind(LEASE).execute(&mut **tx).await?;
    Ok(())
}

#[async_trait]
impl Payments for PgPayments {
    async fn create(&self, new: &NewPayment, dedup_key: &DedupKey) -> Result<Acquired<Payment>, PaymentError> {
        const CREATE: &str = include_str!("../sql/create_payment.sql");
        let row = NewPaymentRow::of(new, None);
        // Most keys are new: one statement acquires the lease and inserts the payment.
        if let Some(key) = DedupRecord::lease(dedup_key) {
            let create = sqlx::query_as(CREATE).bind(&row).bind(key).bind(LEASE);
            let created: Option<PaymentRow> = create.fetch_optional(&mut *self.db.acquire().await?).await?;
            if let Some(created) = created {
                return Ok(Acquired::Held(Box::new(created.try_into()?)));
            }
        }
        let mut tx = self.db.begin().await?;
        let acquisition = IdempotencyLease::acquire(&mut tx, dedup_key, new.id.uuid(), LEASE).await;
        let payment = match acquisition? {
            Acquisition::Completed(response) => return Ok(Acquired::Completed(response)),
            Acquisition::InProgress { retry_after_s } => return Ok(Acquired::InProgress { retry_after_s }),
            Acquisition::Started { .. } => insert(&mut tx, &row).await?.ok_or(PaymentError::Mismatch(new.id))?,
            Acquisition::Resumed { recovery_id } => {
                let payment = lock(&mut tx, PaymentId::new(recovery_id)).await?;
                lease(&mut tx, payment.id).await?;
                payment
            }
        };
        tx.commit().await?;
        Ok(Acquired::Held(Box::new(payment)))
    }

    async fn create_for_order(&self, new: &NewPayment) -> Result<OrderPayment, PaymentError> {
        const LEASE_EXPIRED: &str = "update payment set leased_until = now() + $3 \
            where id = $1 and order_id = $2 and status = 'pending' and leased_until < now()";
        let first = CaptureAttempt { n: 1, epoch: self.epoch, open: true };
        let mut connection = self.db.acquire().await?;
        if let Some(payment) = insert(&mut connection, &NewPaymentRow::of(new, Some(first))).await? {
            return Ok(OrderPayment::New(payment));
        }
        let lease = sqlx::query(LEASE_EXPIRED).bind(new.id.uuid()).bind(new.order.uuid()).bind(LEASE);
        let leased = lease.execute(&mut *connection).await?.rows_affected() == 1;
        let payment = find(&mut connection, new.id).await?.ok_or(PaymentError::NotFound(new.id))?;
        if (payment.order, payment.user, payment.due) != (new.order, new.user, new.amount) {
            return Err(PaymentError::Mismatch(new.id));
        }
        match payment.status {
            Status::Voided => Err(PaymentError::Cancelled(new.id)),
            _ if leased => Ok(OrderPayment::Resumed(payment)),
            _ => Ok(OrderPayment::Unchanged(payment)),
        }
    }

    async fn reject(
        &self,
        id: PaymentId,
        details: &ProviderDetails,
        response: Option<&StoredResponse>,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let payment = reads::find_locked(&mut tx, id).await?;
        if let Some(mut payment) = payment.filter(|payment| payment.status == Status::Pending && payment.due.is_none())
        {
            payment.status = Status::Failed;
            payment.details = details.clone();
            payment.token = None;
            save(&mut tx, &payment).await?;
        }
        match response {
            Some(response) => IdempotencyLease::complete(&mut tx, id.uuid(), response).await?,
            None => IdempotencyLease::cancel(&mut tx, id.uuid()).await?,
        }
        Ok(tx.commit().await?)
    }

    async fn reopen(&self, id: PaymentId, token: Option<&Secret>) -> Result<Payment, PaymentError> {
        const LOG: &str = "insert into payment_log (payment_id, log_message) values ($1, $2)";
        let mut tx = self.db.begin().await?;
        let payment = lock(&mut tx, id).await?.reopen(token.cloned())?;
        save(&mut tx, &payment).await?;
        // The next attempt replaces the outcome of this one in the payment.
        let (attempt, code) = (payment.attempt.map_or(0, |attempt| attempt.n), payment.details.code.as_deref());
        let message = format!("capture attempt {attempt} failed ({}); reopened for a retry", code.unwrap_or("no code"));
        sqlx::query(LOG).bind(id.uuid()).bind(message).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(payment)
    }

    async fn prepare_capture(&self, id: PaymentId, due: Option<Money>) -> Result<Payment, PaymentError> {
        const PREPARE: &str = include_str!("../sql/prepare_capture.sql");
        let mut connection = self.db.acquire().await?;
        for _ in 0..PREPARE_TRIES_MAX {
            let prepare = sqlx::query_as(PREPARE)
                .bind(id.uuid())
                .bind(due.map(|due| due.amount))
                .bind(due.map(|due| due.currency.to_string()))
                .bind(i64::from(self.epoch.0));
            let prepared: Option<PaymentRow> = prepare.fetch_optional(&mut *connection).await?;
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

    async fn complete_capture(&self, payment: Payment, outcome: ChargeOutcome) -> Result<Payment, PaymentError> {
        const COMPLETE: &str = include_str!("../sql/complete_capture.sql");
        let (id, Some(attempt)) = (payment.id, payment.open_attempt()) else { return Ok(payment) };
        let (mut after, event) = payment.complete_capture(outcome, self.result())?;
        let captured = after.due.filter(|_| after.status.is_captured());
        let postings: Vec<_> = captured.map(|due| LedgerPosting::of(&Posting::capture(id, due))).into_iter().collect();
        let mut events = NewEvents::new();
        events.push(self.ids.as_ref(), self.epoch, new_event(&after, &event))?;
        let complete = sqlx::query(COMPLETE)
            .bind(id.uuid())
            .bind(attempt.n)
            .bind(PaymentChange::of(&after))
            .bind(postings)
            .bind(after.initiator == Initiator::Shopper)
            .bind(LEASE)
            .bind(events.rows());
        let mut connection = self.db.acquire().await?;
        match write_once(&mut connection, complete, &events, &[]).await? {
            Some(row) => {
                after.updated_at = row.try_get::<OffsetDateTime, _>("updated_at")?;
                Ok(after)
            }
            None => find(&mut connection, id).await?.ok_or(PaymentError::NotFound(id)),
        }
    }

    async fn void(&self, new: &NewPayment) -> Result<Payment, PaymentError> {
        let mut tx = self.db.begin().await?;
        let payment = self.void_in(&mut tx, new).await?;
        tx.commit().await?;
        Ok(payment)
    }
}
