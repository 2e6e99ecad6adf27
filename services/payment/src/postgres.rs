//! PostgreSQL implementation of the port [`Payments`]. Each method is one transaction.
//!
//! The common path of a payment is one conditional statement per step. If its condition is false, a transaction of
//! several statements follows, which locks the payment's row first. Rules of payments belong to `domain`, not to this
//! module.

mod attempts;
mod lease;
mod read;
mod row;
mod write;

use agora_events::payment::PaymentEvent;
use agora_outbox::{Account, Acquisition, DedupKey, NewEvent, StoredResponse};
use agora_postgres::{Db, Tx};
use agora_vocab::{CommandId, Epoch, Ids, Money, OrderId, Page, PageSize, PaymentId, RefundId};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

use self::{
    attempts::{attempts, latest, latest_refund, next_number},
    read::{find, find_with_open_attempt, lock},
    row::{PAYMENT, PaymentRow},
};
use crate::{
    domain::{Attempt, AttemptState, ChargeOutcome, Operation, Payment, ProviderDetails, Status, TransitionError},
    ports::{
        Acquired, Filter, LeasedPayment, NewPayment, Payments, PendingOrderCallback, PreparedCapture, RefundOutcome,
        StoreError,
    },
};

/// Duration of the lease of a payment, refund or order callback. After it expires the worker takes over.
const LEASE: Duration = Duration::from_secs(10);
/// Maximum number of tries to complete a capture against concurrent writes of the same payment.
const COMPLETE_TRIES_MAX: u32 = 20;

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
    async fn void_in(&self, tx: &mut Tx, new: &NewPayment) -> Result<Payment, StoreError> {
        let payment = match write::insert(tx, new).await? {
            Some(payment) => payment,
            None => lock(tx, new.id).await?,
        };
        if payment.order != new.order {
            return Err(StoreError::Mismatch(new.id));
        }
        let has_open_attempt =
            latest(tx, new.id, Operation::Capture).await?.is_some_and(|a| a.state == AttemptState::Prepared);
        let Some(due) = payment.due.or(new.amount) else { return Ok(payment) };
        if payment.status != Status::Pending || has_open_attempt {
            return Ok(payment);
        }
        let (mut after, event) = payment.void(due, self.result())?;
        after.due = Some(due);
        write::change(tx, &after, "voided before a capture").await?;
        self.emit(tx, &after, &event).await?;
        Ok(after)
    }

    async fn emit(&self, tx: &mut Tx, payment: &Payment, event: &PaymentEvent) -> Result<(), StoreError> {
        Ok(agora_outbox::emit(tx, self.ids.as_ref(), self.epoch, new_event(payment, event)).await?)
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

/// A page of payments, newest first: ids are `UUIDv7`.
macro_rules! page {
    ($of:literal) => {
        concat!("select ", PAYMENT!(), " from payment where ", $of, " and id < $3 order by id desc limit $4")
    };
}

#[async_trait]
impl Payments for PgPayments {
    async fn create(&self, new: &NewPayment, dedup_key: &DedupKey) -> Result<Acquired, StoreError> {
        // Fast path: most keys are new, and one statement acquires the lease and inserts the payment.
        let mut account = Account::new();
        if account.acquire(dedup_key, new.id.uuid(), LEASE)
            && let Some(payment) = write::insert_with_lease(&mut *self.db.acquire().await?, new, &account).await?
        {
            return Ok(Acquired::Payment(Box::new(LeasedPayment { payment, created: true })));
        }
        let mut tx = self.db.begin().await?;
        let leased = match agora_outbox::IdempotencyLease::acquire(&mut tx, dedup_key, new.id.uuid(), LEASE).await? {
            Acquisition::Completed(response) => return Ok(Acquired::Completed(response)),
            Acquisition::InProgress { retry_after_s } => return Ok(Acquired::InProgress { retry_after_s }),
            Acquisition::Started { .. } => {
                let payment = write::insert(&mut tx, new).await?.ok_or(StoreError::Mismatch(new.id))?;
                LeasedPayment { payment, created: true }
            }
            Acquisition::Resumed { recovery_id } => {
                let payment = lock(&mut tx, PaymentId::new(recovery_id)).await?;
                write::lease(&mut tx, payment.id).await?;
                LeasedPayment { payment, created: false }
            }
        };
        tx.commit().await?;
        Ok(Acquired::Payment(Box::new(leased)))
    }

    async fn create_for_order(&self, new: &NewPayment) -> Result<LeasedPayment, StoreError> {
        let mut tx = self.db.begin().await?;
        if let Some(payment) = write::insert(&mut tx, new).await? {
            tx.commit().await?;
            return Ok(LeasedPayment { payment, created: true });
        }
        let payment = lock(&mut tx, new.id).await?;
        if (payment.order, payment.user, payment.due) != (new.order, new.user, new.amount) {
            return Err(StoreError::Mismatch(new.id));
        }
        if payment.status == Status::Voided {
            return Err(StoreError::Cancelled(new.id));
        }
        write::lease(&mut tx, new.id).await?;
        tx.commit().await?;
        Ok(LeasedPayment { payment, created: false })
    }

    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        find(&mut *self.db.acquire().await?, id).await
    }

    async fn find_captured(&self, order: OrderId) -> Result<Option<Payment>, StoreError> {
        let mut connection = self.db.acquire().await?;
        let row: Option<PaymentRow> = sqlx::query_as(concat!(
            "select ",
            PAYMENT!(),
            " from payment where order_id = $1 and captured_minor > 0 order by id desc limit 1"
        ))
        .bind(order.uuid())
        .fetch_optional(&mut *connection)
        .await?;
        row.map(Payment::try_from).transpose()
    }

    async fn page(&self, filter: Filter, limit: PageSize) -> Result<Page<Payment>, StoreError> {
        const OF_ALL: &str = page!("$1::uuid is null and $2::uuid is null");
        const OF_USER: &str = page!("user_id = $1 and $2::uuid is null");
        const OF_ORDER: &str = page!("($1::uuid is null or user_id = $1) and order_id = $2");
        let Filter { user, order, before } = filter;
        let page = match (user, order) {
            (_, Some(_)) => OF_ORDER,
            (Some(_), None) => OF_USER,
            (None, None) => OF_ALL,
        };
        let mut connection = self.db.acquire().await?;
        let rows: Vec<PaymentRow> = sqlx::query_as(page)
            .bind(user.map(agora_vocab::UserId::uuid))
            .bind(order.map(OrderId::uuid))
            .bind(before.map_or(Uuid::max(), PaymentId::uuid))
            .bind(i64::from(limit.get()) + 1)
            .fetch_all(&mut *connection)
            .await?;
        let mut items = rows.into_iter().map(Payment::try_from).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > usize::from(limit.get());
        items.truncate(usize::from(limit.get()));
        let next = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(Page { items, total: None, next })
    }

    async fn capture(&self, id: PaymentId) -> Result<Option<Attempt>, StoreError> {
        latest(&mut *self.db.acquire().await?, id, Operation::Capture).await
    }

    async fn reject(
        &self,
        id: PaymentId,
        details: &ProviderDetails,
        response: Option<&StoredResponse>,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        let mut payment = lock(&mut tx, id).await?;
        if payment.status == Status::Pending && payment.due.is_none() {
            payment.status = Status::Failed;
            payment.details = details.clone();
            payment.token = None;
            write::change(&mut tx, &payment, "rejected by the order").await?;
        }
        match response {
            Some(response) => agora_outbox::IdempotencyLease::complete(&mut tx, id.uuid(), response).await?,
            None => agora_outbox::IdempotencyLease::cancel(&mut tx, id.uuid()).await?,
        }
        tx.commit().await?;
        Ok(())
    }

    async fn reopen(&self, id: PaymentId) -> Result<Payment, StoreError> {
        let mut tx = self.db.begin().await?;
        let payment = lock(&mut tx, id).await?.reopen()?;
        write::change(&mut tx, &payment, "reopened for a retry").await?;
        tx.commit().await?;
        Ok(payment)
    }

    async fn prepare_capture(&self, id: PaymentId, due: Option<Money>) -> Result<PreparedCapture, StoreError> {
        if let Some(due) = due
            && let Some(prepared) = write::first_attempt(&mut *self.db.acquire().await?, self.epoch, id, due).await?
        {
            return Ok(prepared);
        }
        let mut tx = self.db.begin().await?;
        let mut payment = lock(&mut tx, id).await?;
        if let (Status::Pending, None, Some(due)) = (payment.status, payment.due, due) {
            write::due(&mut tx, id, due).await?;
            payment.due = Some(due);
        }
        let Some(due) = payment.due.filter(|_| payment.status == Status::Pending) else {
            return Ok(PreparedCapture { payment, attempt: None });
        };
        let attempt = match latest(&mut tx, id, Operation::Capture).await? {
            Some(open) if open.state == AttemptState::Prepared => open,
            last => {
                let n = next_number(last.as_ref());
                write::attempt(&mut tx, self.epoch, (id, id.uuid()), Operation::Capture, n, due).await?
            }
        };
        tx.commit().await?;
        Ok(PreparedCapture { payment, attempt: Some(attempt) })
    }

    async fn complete_capture(
        &self,
        mut known: Option<Payment>,
        attempt: &Attempt,
        outcome: ChargeOutcome,
    ) -> Result<Payment, StoreError> {
        let log_message = match &outcome {
            ChargeOutcome::Captured(_) => "captured",
            ChargeOutcome::Declined(_) => "declined by the payer's bank",
            ChargeOutcome::Failed(_) => "failed at the provider",
        };
        let mut connection = self.db.acquire().await?;
        for _ in 0..COMPLETE_TRIES_MAX {
            let payment = match known.take() {
                Some(known) => known,
                None => match find_with_open_attempt(&mut connection, attempt).await? {
                    (payment, true) => payment,
                    (payment, false) => return Ok(payment),
                },
            };
            let (after, event) = payment.complete_capture(outcome.clone(), self.result())?;
            let mut account = Account::new();
            account.append(self.ids.as_ref(), self.epoch, new_event(&after, &event))?;
            if write::complete_capture(&mut connection, attempt, &after, log_message, &account).await? {
                return Ok(after);
            }
        }
        Err(StoreError::Unavailable("the payment was changed concurrently on every try".into()))
    }

    async fn void(&self, new: &NewPayment) -> Result<Payment, StoreError> {
        let mut tx = self.db.begin().await?;
        let payment = self.void_in(&mut tx, new).await?;
        tx.commit().await?;
        Ok(payment)
    }

    async fn create_refund(
        &self,
        id: RefundId,
        payment: PaymentId,
        amount: Option<Money>,
        dedup_key: &DedupKey,
    ) -> Result<Acquired, StoreError> {
        let mut tx = self.db.begin().await?;
        let recovery_id = match agora_outbox::IdempotencyLease::acquire(&mut tx, dedup_key, id.uuid(), LEASE).await? {
            Acquisition::Completed(response) => return Ok(Acquired::Completed(response)),
            Acquisition::InProgress { retry_after_s } => return Ok(Acquired::InProgress { retry_after_s }),
            Acquisition::Started { recovery_id } | Acquisition::Resumed { recovery_id } => recovery_id,
        };
        let locked = lock(&mut tx, payment).await?;
        let refunds = attempts(&mut tx, payment, Operation::Refund).await?;
        let own = refunds.iter().rfind(|attempt| attempt.intent == recovery_id);
        let attempt = if let Some(own) = own.filter(|attempt| attempt.state != AttemptState::Failed) {
            own.clone()
        } else {
            let (amount, n) = (locked.refundable(amount, &refunds)?, next_number(refunds.last()));
            write::attempt(&mut tx, self.epoch, (payment, recovery_id), Operation::Refund, n, amount).await?
        };
        tx.commit().await?;
        Ok(Acquired::Refund(Box::new(attempt)))
    }

    async fn prepare_refund(&self, id: RefundId, payment: PaymentId) -> Result<Option<Attempt>, StoreError> {
        let mut tx = self.db.begin().await?;
        let locked = lock(&mut tx, payment).await?;
        let refunds = attempts(&mut tx, payment, Operation::Refund).await?;
        if let Some(open) = refunds.iter().find(|attempt| attempt.state == AttemptState::Prepared) {
            return Ok(Some(open.clone()));
        }
        let amount = match locked.refundable(None, &refunds) {
            Ok(amount) => amount,
            Err(TransitionError::ExceedsCapture) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let n = next_number(refunds.last());
        let attempt = write::attempt(&mut tx, self.epoch, (payment, id.uuid()), Operation::Refund, n, amount).await?;
        tx.commit().await?;
        Ok(Some(attempt))
    }

    async fn refund(&self, id: RefundId) -> Result<Option<Attempt>, StoreError> {
        latest_refund(&mut *self.db.acquire().await?, id.uuid()).await
    }

    async fn complete_refund(&self, attempt: &Attempt, outcome: RefundOutcome) -> Result<Payment, StoreError> {
        let mut tx = self.db.begin().await?;
        let payment = lock(&mut tx, attempt.payment).await?;
        let (state, reference) = match &outcome {
            RefundOutcome::Succeeded(reference) => (AttemptState::Succeeded, Some(reference.as_str())),
            RefundOutcome::Failed => (AttemptState::Failed, None),
        };
        if !write::end_attempt(&mut tx, attempt, state, reference).await? {
            return Ok(payment);
        }
        let payment = if state == AttemptState::Succeeded {
            let (payment, event) = payment.refund(attempt, self.result())?;
            write::change(&mut tx, &payment, "refunded").await?;
            // At most one attempt of a refund succeeds, so the refund's id is unique in the ledger.
            write::post_refund(&mut tx, attempt.intent, attempt.amount).await?;
            write::enqueue_callback(&mut tx, &payment).await?;
            self.emit(&mut tx, &payment, &event).await?;
            payment
        } else {
            write::log(&mut tx, payment.id, "a refund failed").await?;
            payment
        };
        tx.commit().await?;
        Ok(payment)
    }

    async fn complete_request(
        &self,
        recovery_id: Uuid,
        response: &StoredResponse,
        acknowledged: Option<CommandId>,
    ) -> Result<(), StoreError> {
        let mut account = Account::new();
        account.complete(recovery_id, response)?;
        write::complete_request(&mut *self.db.acquire().await?, acknowledged, &account).await
    }

    async fn release_request(&self, recovery_id: Uuid) -> Result<(), StoreError> {
        Ok(agora_outbox::IdempotencyLease::release(&mut *self.db.acquire().await?, recovery_id).await?)
    }

    async fn lease_payments(&self, limit: u16) -> Result<Vec<PaymentId>, StoreError> {
        lease::payments(&mut *self.db.acquire().await?, limit).await
    }

    async fn lease_refunds(&self, limit: u16) -> Result<Vec<Attempt>, StoreError> {
        lease::refunds(&mut *self.db.acquire().await?, limit).await
    }

    async fn lease_callbacks(&self, limit: u16) -> Result<Vec<PendingOrderCallback>, StoreError> {
        lease::callbacks(&mut *self.db.acquire().await?, limit).await
    }

    async fn complete_callback(&self, result: CommandId) -> Result<(), StoreError> {
        write::complete_request(&mut *self.db.acquire().await?, Some(result), &Account::new()).await
    }
}
