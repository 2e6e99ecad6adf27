//! PostgreSQL implementation of the store. Each method is one transaction.
//!
//! The common path of a payment is one conditional statement per step. If its condition is false, the payment is read
//! again. Rules of payments belong to `domain`, not to this module.

mod attempts;
mod provider_events;
mod reads;
mod reconciliation;
mod recovery;
mod refunds;
mod row;
mod tokens;

use std::{sync::Arc, time::Duration};

use agora_events::payment::PaymentEvent;
use agora_outbox::{Acquisition, DedupKey, DedupRecord, IdempotencyLease, NewEvent, StoredResponse, emit};
use agora_postgres::{Connection, Db, Tx, constraint};
use agora_vocab::{CommandId, Epoch, Ids, PaymentId};
use async_trait::async_trait;

use self::{
    reads::{find, lock},
    row::{NewPaymentRow, PaymentChange, PaymentRow},
};
use crate::{
    domain::{Attempt, Payment, ProviderDetails, SealedToken, Status},
    ports::{Acquired, NewPayment, OrderPayment, PaymentError, Payments, StoreError},
};

/// Duration of the lease of a payment, refund or order callback. After it expires the worker takes over.
const LEASE: Duration = Duration::from_secs(10);
/// The index that allows one live payment of an order.
const ONE_LIVE: &str = "payment_one_live_of_an_order";

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
        if let Some(event) = event {
            self.emit(tx, &after, &event).await?;
        }
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
async fn insert(connection: &mut Connection, new: &NewPaymentRow) -> Result<Option<Payment>, PaymentError> {
    const INSERT: &str = include_str!("../sql/insert_payment.sql");
    let inserted = sqlx::query_as(INSERT).bind(new).bind(LEASE).fetch_optional(connection).await;
    let inserted: Option<PaymentRow> = inserted.map_err(other_live)?;
    Ok(inserted.map(Payment::try_from).transpose()?)
}

/// The error of a statement that opens a charge.
fn other_live(error: sqlx::Error) -> PaymentError {
    if constraint(&error) == Some(ONE_LIVE) { PaymentError::OtherLive } else { error.into() }
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
        let first = Attempt::first(self.epoch);
        let mut connection = self.db.acquire().await?;
        match insert(&mut connection, &NewPaymentRow::of(new, Some(first))).await {
            Ok(Some(payment)) => return Ok(OrderPayment::New(payment)),
            Ok(None) => {}
            // The other one may be this payment, inserted by a concurrent duplicate of the command.
            Err(PaymentError::OtherLive) if find(&mut connection, new.id).await?.is_some() => {}
            Err(error) => return Err(error),
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

    async fn reopen(&self, id: PaymentId, token: Option<&SealedToken>) -> Result<Payment, PaymentError> {
        const LOG: &str = "insert into payment_log (payment_id, log_message) values ($1, $2)";
        let mut tx = self.db.begin().await?;
        let failed = lock(&mut tx, id).await?;
        // The next attempt replaces the outcome of this one in the payment.
        let attempt = failed.attempt.map_or(0, |attempt| attempt.n);
        let code = failed.details.code.clone().unwrap_or_else(|| "no code".to_owned());
        let message = format!("charge attempt {attempt} failed ({code}); reopened for a retry");
        let payment = failed.reopen(token.cloned())?;
        save(&mut tx, &payment).await?;
        sqlx::query(LOG).bind(id.uuid()).bind(message).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(payment)
    }

    async fn void(&self, new: &NewPayment) -> Result<Payment, PaymentError> {
        let mut tx = self.db.begin().await?;
        let payment = self.void_in(&mut tx, new).await?;
        tx.commit().await?;
        Ok(payment)
    }
}
