//! PostgreSQL implementation of [`Orders`]: one transaction per method, all times from the database.
//!
//! Contains SQL, rows and constraints, and no order logic. An order is read without a lock, and
//! the domain's decision is written by one statement if the revision is unchanged; otherwise it is read again.

mod read;
mod row;
mod write;

use std::{sync::Arc, time::Duration};

use agora_outbox::{Account, Acquisition, DedupKey, NewEvent, Outcome, StoredResponse, insert_result};
use agora_postgres::{Db, constraint};
use agora_vocab::{Epoch, Ids, OrderId, Page};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{self, Decision, HistoryEntry, Order, OrderDraft, Refused, SagaEvent, State},
    ports::{ApplyError, CreateError, Listing, Orders, RunnerId, SagaSnapshot, StoreError},
    postgres::{
        read::{LoadedSaga, find, find_with},
        write::SagaRow,
    },
    saga::{LEASE, SagaLease, lease},
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
    async fn acquire_idempotency_lease(&self, dedup_key: &DedupKey, fresh: OrderId) -> Result<Acquisition, StoreError> {
        // The common case, a new key, needs one statement.
        if agora_outbox::IdempotencyLease::try_acquire(
            &mut *self.db.acquire().await?,
            dedup_key,
            fresh.uuid(),
            IDEMPOTENCY_LEASE,
        )
        .await?
        {
            return Ok(Acquisition::Started { recovery_id: fresh.uuid() });
        }
        let mut tx = self.db.begin().await?;
        let acquisition =
            agora_outbox::IdempotencyLease::acquire(&mut tx, dedup_key, fresh.uuid(), IDEMPOTENCY_LEASE).await?;
        tx.commit().await?;
        Ok(acquisition)
    }

    async fn cancel_idempotency_lease(&self, order: OrderId) -> Result<bool, StoreError> {
        const EXISTS: &str = "select exists (select from orders where id = $1)";
        const LOCK: &str = "select point from idempotency where point = $1 for update";
        let mut tx = self.db.begin().await?;
        sqlx::query(LOCK).bind(order.uuid()).execute(&mut *tx).await?;
        if sqlx::query_scalar(EXISTS).bind(order.uuid()).fetch_one(&mut *tx).await? {
            return Ok(false);
        }
        agora_outbox::IdempotencyLease::cancel(&mut tx, order.uuid()).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn expired_idempotency_leases(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        const EXTEND: &str =
            "update idempotency set lease_until = now() + make_interval(secs => $2) where point = any ($1)";
        let mut tx = self.db.begin().await?;
        let stale = agora_outbox::IdempotencyLease::expired(&mut tx, EXPIRED_AFTER, limit).await?;
        if !stale.is_empty() {
            sqlx::query(EXTEND).bind(&stale).bind(IDEMPOTENCY_LEASE.as_secs_f64()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(stale.into_iter().map(OrderId::new).collect())
    }

    async fn create(&self, draft: OrderDraft, runner: RunnerId) -> Result<SagaSnapshot, CreateError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        let (now, sequence_value) = draw(&mut connection, draft.id).await?;
        let number = domain::number(self.epoch, sequence_value);
        let state = draft.into_state(number, now, self.payment_window);
        let (lease, leased) = lease(&state, now, SagaLease::FREE, Some(runner));
        let (first, mut account) = (HistoryEntry::created(&state.order), Account::new());
        self.append_event(&mut account, &state.order, &first, None)?;
        let saga = SagaRow { state: &state, now, lease };
        if !write::create(&mut connection, &saga, &first, &account).await? {
            return Err(CreateError::LeaseLost);
        }
        Ok(SagaSnapshot { state, now, leased, revision: FIRST_REVISION })
    }

    async fn apply(
        &self,
        order: OrderId,
        event: &SagaEvent,
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        for _ in 0..TRIES_MAX {
            let (found, known) = find_with(&mut connection, order, dedup_key).await?.ok_or(ApplyError::NotFound)?;
            let done = match known {
                None => self.change(&mut connection, found, event, dedup_key, runner).await?.map(Outcome::Applied),
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

    async fn advance(
        &self,
        known: SagaSnapshot,
        event: &SagaEvent,
        dedup_key: &DedupKey,
        runner: RunnerId,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        let SagaSnapshot { state, now, leased: _, revision } = known;
        let order = state.order.id;
        let leased = SagaLease { owner: Some(runner.0), until: Some(now + LEASE) };
        let found = LoadedSaga { state, leased, now, revision };
        let done = {
            let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
            self.change(&mut connection, found, event, dedup_key, Some(runner)).await
        };
        match done {
            Ok(Some(snapshot)) => Ok(Outcome::Applied(snapshot)),
            // `known` may be outdated, so a rejection is not final: read again.
            Ok(None) | Err(ApplyError::Refused(_)) => self.apply(order, event, dedup_key, Some(runner)).await,
            Err(error) => Err(error),
        }
    }

    async fn load(&self, order: OrderId, runner: Option<RunnerId>) -> Result<Option<SagaSnapshot>, StoreError> {
        let mut connection = self.db.acquire().await?;
        for _ in 0..TRIES_MAX {
            let Some(found) = find(&mut connection, order).await? else { return Ok(None) };
            let snapshot = match runner {
                Some(runner) => take_lease(&mut connection, found, runner).await?,
                None => Some(found.into_snapshot(false)),
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
        let mut connection = self.db.acquire().await?;
        let count: i64 = sqlx::query_scalar("select count(*) from saga where next_at is not null and phase = 'stuck'")
            .fetch_one(&mut *connection)
            .await?;
        Ok(count.unsigned_abs())
    }
}

impl PgOrders {
    /// Applies `event` to a loaded order. `None` if the order or the deduplication key was written concurrently: the caller
    /// loads the order again.
    async fn change(
        &self,
        connection: &mut PgConnection,
        found: LoadedSaga,
        event: &SagaEvent,
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Option<SagaSnapshot>, ApplyError> {
        let LoadedSaga { state: before, now, leased, revision } = found;
        let Decision { state, entry } = match domain::decide(&before, event, now) {
            Ok(decision) => decision,
            Err(refused) => return refuse(connection, dedup_key, refused).await,
        };
        let mut account = Account::new();
        if let Some(change) = &entry {
            self.append_event(&mut account, &state.order, change, dedup_key.causation())?;
        }
        // The response is stored in the transaction that completes the request.
        if let (None, Some(answer)) = ((self.answer)(&before), (self.answer)(&state)) {
            account.complete(state.order.id.uuid(), &answer).map_err(StoreError::from)?;
        }
        let order = matches!(dedup_key, DedupKey::Request { .. }).then(|| Box::new(state.order.clone()));
        account.store_result(dedup_key, &StoredResult::Done(order)).map_err(StoreError::from)?;
        let (lease, leased) = lease(&state, now, leased, runner);
        let saga = SagaRow { state: &state, now, lease };
        let written = write::change(connection, &saga, (revision, entry.as_ref()), &account).await?;
        Ok(written.map(|(now, revision)| SagaSnapshot { state, now, leased, revision }))
    }

    /// Appends the event of a change, if any.
    fn append_event(
        &self,
        account: &mut Account,
        order: &Order,
        change: &HistoryEntry,
        causation: Option<Uuid>,
    ) -> Result<(), StoreError> {
        let Some((seq, event)) = &change.event else { return Ok(()) };
        let aggregate = order.id.uuid();
        let new_event = NewEvent { event, aggregate, seq: *seq, correlation: Some(aggregate), causation };
        Ok(account.append(self.ids.as_ref(), self.epoch, new_event)?)
    }
}

/// The time and an order number, if the idempotency lease exists.
async fn draw(connection: &mut PgConnection, order: OrderId) -> Result<(OffsetDateTime, i64), CreateError> {
    const DRAW: &str = "select now(), nextval('order_number') from idempotency where point = $1 and state = 'started'";
    let sequence_value = sqlx::query_as(DRAW).bind(order.uuid()).fetch_optional(connection).await;
    sequence_value.map_err(StoreError::from)?.ok_or(CreateError::LeaseLost)
}

/// The response to a duplicate: the order as it was `then` if that was stored, otherwise the current order, with
/// the lease of its saga if a runner asks for it.
async fn repeat(
    connection: &mut PgConnection,
    found: LoadedSaga,
    then: Option<Box<Order>>,
    runner: Option<RunnerId>,
) -> Result<Option<SagaSnapshot>, StoreError> {
    match (then, runner) {
        (None, Some(runner)) => take_lease(connection, found, runner).await,
        (None, None) => Ok(Some(found.into_snapshot(false))),
        (Some(order), _) => {
            let SagaSnapshot { state, now, leased, revision } = found.into_snapshot(false);
            Ok(Some(SagaSnapshot { state: State { order: *order, saga: state.saga }, now, leased, revision }))
        }
    }
}

/// Acquires the lease of an unchanged order for `runner` if possible; `None` after a concurrent change.
async fn take_lease(
    connection: &mut PgConnection,
    found: LoadedSaga,
    runner: RunnerId,
) -> Result<Option<SagaSnapshot>, StoreError> {
    let (lease, ours) = lease(&found.state, found.now, found.leased, Some(runner));
    if lease == found.leased {
        return Ok(Some(found.into_snapshot(ours)));
    }
    let saga = SagaRow { state: &found.state, now: found.now, lease };
    let written = write::change(connection, &saga, (found.revision, None), &Account::new()).await?;
    Ok(written.map(|(now, revision)| SagaSnapshot { state: found.state, now, leased: ours, revision }))
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
