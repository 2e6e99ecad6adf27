//! The store in PostgreSQL: one transaction per method, all times from the database.
//!
//! Contains SQL, rows and constraints, and no order logic. An order is read without a lock, and
//! the domain's decision is written by one statement if the revision is unchanged; otherwise it is read again.

mod coupon_uses;
mod coupons;
mod histories;
mod idempotency_leases;
mod parcels;
mod personal_data;
mod prices;
mod read;
mod reports;
mod row;
mod sagas;
mod shipping_methods;
mod tax_rules;
mod write;

use std::{collections::HashSet, sync::Arc};

use agora_outbox::{DedupKey, DedupRecord, NewEvent, NewEvents, Outcome, StoredResponse, insert_result};
use agora_postgres::{Connection, Db, constraint};
use agora_vocab::{CommandId, Epoch, Ids, OrderId};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{histories::PgHistories, prices::PgPrices, reports::PgReports};
use self::{read::find_with, write::Effects};
use crate::{
    domain::{
        self, Decisions, HistoryEntry, Order, OrderDraft, PublishedEvent, Refused, RunnerId, SagaEvent, SagaLease,
        State, UnpaidLimits, lease,
    },
    ports::{ApplyError, CreateError, Issued, Orders, SagaSnapshot, StoreError},
};

/// Revision of a new saga.
const FIRST_REVISION: i64 = 1;
/// Maximum attempts after concurrent changes. Each failed attempt means that a concurrent one succeeded.
const TRIES_MAX: u32 = 50;

/// Store of orders in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgOrders {
    pub db: Db,
    /// Generator of event ids.
    pub ids: Arc<dyn Ids>,
    /// Recovery epoch, part of every event and every order number.
    pub epoch: Epoch,
    /// Time after creation during which an order can be paid.
    pub payment_window: time::Duration,
    /// Unpaid orders and their units that a user can have.
    pub limits: UnpaidLimits,
    /// Final response to the request that created an order; `None` while the saga has steps to take.
    pub answer: fn(&State) -> Option<StoredResponse>,
}

/// Result stored with a deduplication key, returned for duplicates.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredResult {
    /// The order after the change, [without its person](Order::without_person); absent if a duplicate returns the current
    /// order.
    Done(Option<Box<Order>>),
    Refused(Refused),
}

#[async_trait]
impl Orders for PgOrders {
    async fn create(&self, draft: OrderDraft, issued: Issued, runner: RunnerId) -> Result<SagaSnapshot, CreateError> {
        let Issued { number, at: now } = issued;
        let state = draft.into_state(number, now, self.payment_window);
        let (lease, leased) = lease(&state, now, SagaLease::FREE, Some(runner));
        let entries = vec![HistoryEntry::created(&state.order)];
        let events = self.events(&state.order, &entries, None)?;
        let effects = Effects { entries, events, ..Effects::default() };
        let created = match &state.order.charges.discount {
            None => {
                let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
                write::create(&mut connection, &state, (now, lease), &effects, self.limits).await?
            }
            // Rolled back if the coupon is used up.
            Some(discount) => {
                let mut tx = self.db.begin().await.map_err(StoreError::from)?;
                let created = write::create(&mut tx, &state, (now, lease), &effects, self.limits).await?;
                if created {
                    coupon_uses::claim(&mut tx, &state.order, &discount.code).await?;
                    tx.commit().await.map_err(StoreError::from)?;
                }
                created
            }
        };
        if !created {
            let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
            let reached = write::limit_reached(&mut connection, &state.order, self.limits).await?;
            return Err(reached.map_or(CreateError::LeaseLost, CreateError::LimitReached));
        }
        Ok(SagaSnapshot { state, now, lease, leased, revision: FIRST_REVISION })
    }

    async fn apply(
        &self,
        order: OrderId,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        if events.iter().any(SagaEvent::is_of_parcels) {
            return self.apply_in_transaction(order, events, dedup_key, runner).await;
        }
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        for _ in 0..TRIES_MAX {
            if let Some(done) = self.try_apply(&mut connection, order, events, dedup_key, runner).await? {
                return Ok(done);
            }
        }
        Err(StoreError::Running.into())
    }

    async fn applied_commands(&self, commands: &[CommandId]) -> Result<HashSet<CommandId>, StoreError> {
        const APPLIED: &str = "select event_id from inbox where consumer = $1 and event_id = any ($2)";
        let ids: Vec<Uuid> = commands.iter().map(|command| command.uuid()).collect();
        let applied = sqlx::query_scalar(APPLIED).bind(DedupKey::COMMANDS).bind(ids);
        let applied: Vec<Uuid> = applied.fetch_all(&mut *self.db.acquire().await?).await?;
        Ok(applied.into_iter().map(CommandId::new).collect())
    }
}

impl PgOrders {
    /// Loads an order and applies `events`, or returns the result that is stored for the deduplication key. `None` if the order
    /// or the key was written concurrently: the caller tries again.
    async fn try_apply(
        &self,
        connection: &mut Connection,
        order: OrderId,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Option<Outcome<SagaSnapshot>>, ApplyError> {
        let (found, known) = find_with(connection, order, dedup_key).await?.ok_or(ApplyError::NotFound)?;
        match known {
            None => Ok(self.change(connection, found, events, dedup_key, runner).await?.map(Outcome::Applied)),
            Some(StoredResult::Done(then)) => {
                Ok(repeat(connection, found, then, runner).await?.map(Outcome::Duplicate))
            }
            Some(StoredResult::Refused(refused)) => Err(refused.into()),
        }
    }

    /// Like [`apply`](Orders::apply), for events that change several tables by several statements.
    async fn apply_in_transaction(
        &self,
        order: OrderId,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        for _ in 0..TRIES_MAX {
            let mut tx = self.db.begin().await.map_err(StoreError::from)?;
            match self.try_apply(&mut tx, order, events, dedup_key, runner).await {
                Ok(None) => {}
                Ok(Some(done)) => {
                    tx.commit().await.map_err(StoreError::from)?;
                    return Ok(done);
                }
                Err(ApplyError::Refused(refused)) => {
                    // The rejection may be stored with the key.
                    tx.commit().await.map_err(StoreError::from)?;
                    return Err(refused.into());
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Running.into())
    }

    /// Applies `events` to a loaded order. `None` if the order or the deduplication key was written concurrently: the caller
    /// loads the order again.
    async fn change(
        &self,
        connection: &mut Connection,
        found: SagaSnapshot,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Option<SagaSnapshot>, ApplyError> {
        let SagaSnapshot { state: before, now, lease: held, leased: _, revision } = found;
        let Decisions { state, entries } = match domain::decide_all(&before, events, now) {
            Ok(decisions) => decisions,
            Err(refused) => return refuse(connection, dedup_key, refused).await,
        };
        let order = matches!(dedup_key, DedupKey::Request { .. }).then(|| Box::new(state.order.without_person()));
        let result = DedupRecord::of(dedup_key, &StoredResult::Done(order)).map_err(StoreError::from)?;
        // The response is stored in the transaction that completes the request.
        let response = (self.answer)(&state).filter(|_| (self.answer)(&before).is_none());
        let events = self.events(&state.order, &entries, dedup_key.causation())?;
        let gives_coupon_back = state.order.gives_coupon_back(&before.order);
        let effects = Effects { entries, events, result, response, gives_coupon_back };
        let (lease, leased) = lease(&state, now, held, runner);
        let written = write::change(connection, &state, (revision, now, lease), &effects).await?;
        if written.is_some() {
            parcels::write(connection, (state.order.id, now), &effects.entries).await?;
        }
        Ok(written.map(|(now, revision)| SagaSnapshot { state, now, lease, leased, revision }))
    }

    /// The events of a change.
    fn events(
        &self,
        order: &Order,
        entries: &[HistoryEntry],
        causation: Option<Uuid>,
    ) -> Result<NewEvents, StoreError> {
        let (aggregate, mut events) = (order.id.uuid(), NewEvents::new());
        for (seq, event) in entries.iter().filter_map(|entry| entry.event.as_ref()) {
            match event {
                PublishedEvent::Order(event) => {
                    let event = NewEvent { event, aggregate, seq: *seq, correlation: Some(aggregate), causation };
                    events.push(self.ids.as_ref(), self.epoch, event)?;
                }
                PublishedEvent::Shipment(event) => {
                    let event = NewEvent { event, aggregate, seq: *seq, correlation: Some(aggregate), causation };
                    events.push(self.ids.as_ref(), self.epoch, event)?;
                }
                PublishedEvent::Return(event) => {
                    let event = NewEvent { event, aggregate, seq: *seq, correlation: Some(aggregate), causation };
                    events.push(self.ids.as_ref(), self.epoch, event)?;
                }
            }
        }
        Ok(events)
    }
}

/// The response to a duplicate: the order as it was `then` if that was stored, otherwise the current order, with
/// the lease of its saga if a runner asks for it.
async fn repeat(
    connection: &mut Connection,
    found: SagaSnapshot,
    then: Option<Box<Order>>,
    runner: Option<RunnerId>,
) -> Result<Option<SagaSnapshot>, StoreError> {
    match (then, runner) {
        (None, Some(runner)) => take_lease(connection, found, runner).await,
        (None, None) => Ok(Some(found)),
        (Some(order), _) => {
            let (then, State { order: now, saga }) = (*order, found.state);
            let state = State { order: then.with_person_of(now), saga };
            Ok(Some(SagaSnapshot { state, ..found }))
        }
    }
}

/// Acquires the lease of an unchanged order for `runner` if possible; `None` after a concurrent change.
async fn take_lease(
    connection: &mut Connection,
    found: SagaSnapshot,
    runner: RunnerId,
) -> Result<Option<SagaSnapshot>, StoreError> {
    let (lease, leased) = lease(&found.state, found.now, found.lease, Some(runner));
    if lease == found.lease {
        return Ok(Some(SagaSnapshot { leased, ..found }));
    }
    let written =
        write::change(connection, &found.state, (found.revision, found.now, lease), &Effects::default()).await?;
    Ok(written.map(|(now, revision)| SagaSnapshot { state: found.state, now, lease, leased, revision }))
}

/// Stores a final rejection; a retryable one is not stored. `None` if the deduplication key was written concurrently:
/// the caller loads the stored result.
async fn refuse(
    connection: &mut Connection,
    dedup_key: &DedupKey,
    refused: Refused,
) -> Result<Option<SagaSnapshot>, ApplyError> {
    if matches!((dedup_key, &refused), (DedupKey::Request { .. }, Refused::InvalidTransition { .. })) {
        let stored = StoredResult::Refused(refused.clone());
        if !insert_result(connection, dedup_key, &stored).await.map_err(StoreError::from)? {
            return Ok(None);
        }
    }
    Err(refused.into())
}

/// Maps constraint violations of an insert.
fn on_create(error: sqlx::Error) -> CreateError {
    match constraint(&error) {
        Some("orders_pk") => CreateError::Exists,
        Some("orders_cart_version") => CreateError::CartAlreadyOrdered,
        _ => StoreError::from(error).into(),
    }
}
