//! PostgreSQL implementation of [`Orders`]: one transaction per method, all times from the database.
//!
//! Contains SQL, rows and constraints, and no order logic. An order is read without a lock, and
//! the domain's decision is written by one statement if the revision is unchanged; otherwise it is read again.

mod read;
mod row;
mod write;

use std::{collections::HashSet, sync::Arc, time::Duration};

use agora_outbox::{
    Acquisition, DedupKey, DedupRecord, IdempotencyLease, NewEvent, NewEvents, Outcome, StoredResponse, insert_result,
};
use agora_postgres::{Db, constraint};
use agora_vocab::{CommandId, Epoch, Ids, OrderId, Page};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, postgres::types::PgInterval};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{self, Decisions, HistoryEntry, Order, OrderDraft, Refused, RunnerId, SagaEvent, SagaLease, State, lease},
    ports::{ApplyError, CreateError, Issued, Listing, Orders, RequestLease, SagaSnapshot, StoreError},
    postgres::{
        read::{find, find_with},
        write::Effects,
    },
};

/// Duration of an idempotency lease; after that a retry may continue the request.
const IDEMPOTENCY_LEASE: Duration = Duration::from_secs(10);
/// Age after which the worker handles an incomplete idempotency lease.
const EXPIRED_AFTER: Duration = Duration::from_mins(1);

/// Revision of a new saga.
const FIRST_REVISION: i64 = 1;
/// Maximum attempts after concurrent changes. Each failed attempt means that a concurrent one succeeded.
const TRIES_MAX: u32 = 50;

/// Store of orders in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgOrders {
    /// Connection pool.
    pub db: Db,
    /// Generator of event ids.
    pub ids: Arc<dyn Ids>,
    /// Recovery epoch, part of every event and every order number.
    pub epoch: Epoch,
    /// Time after creation during which an order can be paid.
    pub payment_window: time::Duration,
    /// Final response to the request that created an order; `None` while the saga has steps to take.
    pub answer: fn(&State) -> Option<StoredResponse>,
}

/// Result stored with a deduplication key, returned for duplicates.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredResult {
    /// The order after the change; absent if a duplicate returns the current order.
    Done(Option<Box<Order>>),
    Refused(Refused),
}

#[async_trait]
impl Orders for PgOrders {
    async fn acquire_idempotency_lease(
        &self,
        dedup_key: &DedupKey,
        fresh: OrderId,
    ) -> Result<RequestLease, StoreError> {
        // The common case, a new key, needs one statement.
        let acquired = self.acquire_new(dedup_key, fresh).await?;
        if let Some(lease) = acquired {
            return Ok(lease);
        }
        let mut tx = self.db.begin().await?;
        let acquisition = IdempotencyLease::acquire(&mut tx, dedup_key, fresh.uuid(), IDEMPOTENCY_LEASE).await?;
        let (at, sequence_value) = sqlx::query_as("select now(), nextval('order_number')").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        let (order, resumed) = match acquisition {
            Acquisition::Started { recovery_id } => (OrderId::new(recovery_id), false),
            Acquisition::Resumed { recovery_id } => (OrderId::new(recovery_id), true),
            Acquisition::InProgress { .. } => return Ok(RequestLease::InProgress),
            Acquisition::Completed(response) => return Ok(RequestLease::Completed(response)),
        };
        Ok(RequestLease::Held { order, resumed, issued: self.issued(at, sequence_value) })
    }

    async fn cancel_idempotency_lease(&self, order: OrderId) -> Result<bool, StoreError> {
        const EXISTS: &str = "select exists (select from orders where id = $1)";
        const LOCK: &str = "select from idempotency where recovery_id = $1 for update";
        let mut tx = self.db.begin().await?;
        sqlx::query(LOCK).bind(order.uuid()).execute(&mut *tx).await?;
        if sqlx::query_scalar(EXISTS).bind(order.uuid()).fetch_one(&mut *tx).await? {
            return Ok(false);
        }
        IdempotencyLease::cancel(&mut tx, order.uuid()).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn expired_idempotency_leases(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        const EXTEND: &str =
            "update idempotency set lease_until = now() + make_interval(secs => $2) where recovery_id = any ($1)";
        let mut tx = self.db.begin().await?;
        let stale = IdempotencyLease::expired(&mut tx, EXPIRED_AFTER, limit).await?;
        if !stale.is_empty() {
            sqlx::query(EXTEND).bind(&stale).bind(IDEMPOTENCY_LEASE.as_secs_f64()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(stale.into_iter().map(OrderId::new).collect())
    }

    async fn create(&self, draft: OrderDraft, issued: Issued, runner: RunnerId) -> Result<SagaSnapshot, CreateError> {
        let Issued { number, at: now } = issued;
        let state = draft.into_state(number, now, self.payment_window);
        let (lease, leased) = lease(&state, now, SagaLease::FREE, Some(runner));
        let entries = vec![HistoryEntry::created(&state.order)];
        let events = self.events(&state.order, &entries, None)?;
        let effects = Effects { entries, events, ..Effects::default() };
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        if !write::create(&mut connection, &state, (now, lease), &effects).await? {
            return Err(CreateError::LeaseLost);
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
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        for _ in 0..TRIES_MAX {
            let (found, known) = find_with(&mut connection, order, dedup_key).await?.ok_or(ApplyError::NotFound)?;
            let done = match known {
                None => self.change(&mut connection, found, events, dedup_key, runner).await?.map(Outcome::Applied),
                Some(StoredResult::Done(then)) => {
                    repeat(&mut connection, found, then, runner).await?.map(Outcome::Duplicate)
                }
                Some(StoredResult::Refused(refused)) => return Err(refused.into()),
            };
            if let Some(done) = done {
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

    async fn advance(
        &self,
        known: SagaSnapshot,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: RunnerId,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        let order = known.state.order.id;
        let done = {
            let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
            self.change(&mut connection, known, events, dedup_key, Some(runner)).await
        };
        match done {
            Ok(Some(snapshot)) => Ok(Outcome::Applied(snapshot)),
            // `known` may be outdated, so a rejection is not final: read again.
            Ok(None) | Err(ApplyError::Refused(_)) => self.apply(order, events, dedup_key, Some(runner)).await,
            Err(error) => Err(error),
        }
    }

    async fn load(&self, order: OrderId, runner: Option<RunnerId>) -> Result<Option<SagaSnapshot>, StoreError> {
        let mut connection = self.db.acquire().await?;
        for _ in 0..TRIES_MAX {
            let Some(found) = find(&mut connection, order).await? else { return Ok(None) };
            let snapshot = match runner {
                Some(runner) => take_lease(&mut connection, found, runner).await?,
                None => Some(found),
            };
            if snapshot.is_some() {
                return Ok(snapshot);
            }
        }
        Err(StoreError::Running)
    }

    async fn lease_due(&self, runner: RunnerId, limit: u32) -> Result<Vec<SagaSnapshot>, StoreError> {
        read::lease_due(&self.db, runner, limit).await
    }

    async fn release_lease(&self, order: OrderId, runner: RunnerId) -> Result<(), StoreError> {
        write::release_lease(&mut *self.db.acquire().await?, order.uuid(), runner.0).await
    }

    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError> {
        read::page(&self.db, listing).await
    }

    async fn stuck(&self) -> Result<u64, StoreError> {
        const STUCK: &str = "select count(*) from orders where due_at is not null and phase = 'stuck'";
        let mut connection = self.db.acquire().await?;
        let count: i64 = sqlx::query_scalar(STUCK).fetch_one(&mut *connection).await?;
        Ok(count.unsigned_abs())
    }
}

impl PgOrders {
    /// Acquires the lease of a new key; `None` if the key is stored already.
    async fn acquire_new(&self, dedup_key: &DedupKey, fresh: OrderId) -> Result<Option<RequestLease>, StoreError> {
        let duration = PgInterval::try_from(IDEMPOTENCY_LEASE).map_err(StoreError::Broken)?;
        let (acquired, at, sequence_value): (bool, _, Option<i64>) =
            sqlx::query_as(include_str!("../sql/acquire_lease.sql"))
                .bind(DedupRecord::lease(dedup_key))
                .bind(fresh.uuid())
                .bind(duration)
                .fetch_one(&mut *self.db.acquire().await?)
                .await?;
        let held = |value| RequestLease::Held { order: fresh, resumed: false, issued: self.issued(at, value) };
        Ok(sequence_value.filter(|_| acquired).map(held))
    }

    fn issued(&self, at: OffsetDateTime, sequence_value: i64) -> Issued {
        Issued { number: domain::number(self.epoch, sequence_value), at }
    }

    /// Applies `events` to a loaded order. `None` if the order or the deduplication key was written concurrently: the caller
    /// loads the order again.
    async fn change(
        &self,
        connection: &mut PgConnection,
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
        let order = matches!(dedup_key, DedupKey::Request { .. }).then(|| Box::new(state.order.clone()));
        let result = DedupRecord::of(dedup_key, &StoredResult::Done(order)).map_err(StoreError::from)?;
        // The response is stored in the transaction that completes the request.
        let response = (self.answer)(&state).filter(|_| (self.answer)(&before).is_none());
        let events = self.events(&state.order, &entries, dedup_key.causation())?;
        let effects = Effects { entries, events, result, response };
        let (lease, leased) = lease(&state, now, held, runner);
        let written = write::change(connection, &state, (revision, now, lease), &effects).await?;
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
            let new_event = NewEvent { event, aggregate, seq: *seq, correlation: Some(aggregate), causation };
            events.push(self.ids.as_ref(), self.epoch, new_event)?;
        }
        Ok(events)
    }
}

/// The response to a duplicate: the order as it was `then` if that was stored, otherwise the current order, with
/// the lease of its saga if a runner asks for it.
async fn repeat(
    connection: &mut PgConnection,
    found: SagaSnapshot,
    then: Option<Box<Order>>,
    runner: Option<RunnerId>,
) -> Result<Option<SagaSnapshot>, StoreError> {
    match (then, runner) {
        (None, Some(runner)) => take_lease(connection, found, runner).await,
        (None, None) => Ok(Some(found)),
        (Some(order), _) => {
            let state = State { order: *order, saga: found.state.saga };
            Ok(Some(SagaSnapshot { state, ..found }))
        }
    }
}

/// Acquires the lease of an unchanged order for `runner` if possible; `None` after a concurrent change.
async fn take_lease(
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
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
