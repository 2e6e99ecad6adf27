//! Orders in PostgreSQL: each method one transaction, all time the database's.
//!
//! Knows SQL, rows and constraints; what becomes of an order is the domain's to say. An order is read without a lock, and
//! what the domain decides is written by one statement if nobody has written since; else it is read again.

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
    domain::{self, Command, Decision, Draft, Order, Record, Refused, State},
    ports::{ApplyError, CreateError, Driver, Listing, Orders, Progress, StoreError},
    postgres::{
        read::{Found, find, find_with},
        write::SagaRow,
    },
    saga::{LEASE, Leased, lease},
};

/// The request that claimed a key has so long before a repetition may go on in its place.
const CLAIM_LEASE: Duration = Duration::from_secs(10);
/// A claim without an answer that is older is looked after by the worker.
const CLAIM_STALE: Duration = Duration::from_mins(1);

/// Of a saga that was just begun.
const FIRST_REVISION: i64 = 1;
/// How often an order is read again that others have changed meanwhile: each time, one of them was served.
const TRIES_MAX: u32 = 50;

/// Orders in a database.
#[derive(Clone, Debug)]
pub struct PgOrders {
    /// The database.
    pub db: Db,
    /// Where ids of facts come from.
    pub ids: Arc<dyn Ids>,
    /// Carried by every fact and every order's number.
    pub epoch: Epoch,
    /// How long an order can be paid.
    pub payment_window: time::Duration,
    /// What the request that made an order is answered, once it can be.
    pub answer: fn(&State) -> Option<StoredResponse>,
}

/// What a repetition of a change is answered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Remembered {
    /// The order as it was after the change; absent where whoever repeats wants to know how it is now.
    Done(Option<Box<Order>>),
    Refused(Refused),
}

#[async_trait]
impl Orders for PgOrders {
    async fn claim(&self, dedup_key: &DedupKey, fresh: OrderId) -> Result<Acquisition, StoreError> {
        // Nearly always it is new, and then one statement will do.
        if agora_outbox::IdempotencyLease::try_acquire(
            &mut *self.db.acquire().await?,
            dedup_key,
            fresh.uuid(),
            CLAIM_LEASE,
        )
        .await?
        {
            return Ok(Acquisition::Started { recovery_id: fresh.uuid() });
        }
        let mut tx = self.db.begin().await?;
        let claim = agora_outbox::IdempotencyLease::acquire(&mut tx, dedup_key, fresh.uuid(), CLAIM_LEASE).await?;
        tx.commit().await?;
        Ok(claim)
    }

    async fn abandon(&self, order: OrderId) -> Result<bool, StoreError> {
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

    async fn stale_claims(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        const EXTEND: &str =
            "update idempotency set lease_until = now() + make_interval(secs => $2) where point = any ($1)";
        let mut tx = self.db.begin().await?;
        let stale = agora_outbox::IdempotencyLease::expired(&mut tx, CLAIM_STALE, limit).await?;
        if !stale.is_empty() {
            sqlx::query(EXTEND).bind(&stale).bind(CLAIM_LEASE.as_secs_f64()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(stale.into_iter().map(OrderId::new).collect())
    }

    async fn create(&self, draft: Draft, driver: Driver) -> Result<Progress, CreateError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        let (now, drawn) = draw(&mut connection, draft.id).await?;
        let number = domain::number(self.epoch, drawn);
        let state = draft.into_state(number, now, self.payment_window);
        let (lease, leased) = lease(&state, now, Leased::NOBODY, Some(driver));
        let (first, mut account) = (Record::created(&state.order), Account::new());
        self.tell(&mut account, &state.order, &first, None)?;
        let saga = SagaRow { state: &state, now, lease };
        if !write::create(&mut connection, &saga, &first, &account).await? {
            return Err(CreateError::ClaimGone);
        }
        Ok(Progress { state, now, leased, revision: FIRST_REVISION })
    }

    async fn apply(
        &self,
        order: OrderId,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Option<Driver>,
    ) -> Result<Outcome<Progress>, ApplyError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        for _ in 0..TRIES_MAX {
            let (found, known) = find_with(&mut connection, order, dedup_key).await?.ok_or(ApplyError::NotFound)?;
            let done = match known {
                None => self.change(&mut connection, found, command, dedup_key, driver).await?.map(Outcome::Applied),
                Some(Remembered::Done(then)) => {
                    repeat(&mut connection, found, then, driver).await?.map(Outcome::Duplicate)
                }
                Some(Remembered::Refused(refused)) => return Err(refused.into()),
            };
            if let Some(done) = done {
                return Ok(done);
            }
        }
        Err(StoreError::Running.into())
    }

    async fn advance(
        &self,
        known: Progress,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Driver,
    ) -> Result<Outcome<Progress>, ApplyError> {
        let Progress { state, now, leased: _, revision } = known;
        let order = state.order.id;
        let leased = Leased { owner: Some(driver.0), until: Some(now + LEASE) };
        let found = Found { state, leased, now, revision };
        let done = {
            let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
            self.change(&mut connection, found, command, dedup_key, Some(driver)).await
        };
        match done {
            Ok(Some(progress)) => Ok(Outcome::Applied(progress)),
            // What is known here may be old news: such a refusal means nothing yet.
            Ok(None) | Err(ApplyError::Refused(_)) => self.apply(order, command, dedup_key, Some(driver)).await,
            Err(error) => Err(error),
        }
    }

    async fn load(&self, order: OrderId, driver: Option<Driver>) -> Result<Option<Progress>, StoreError> {
        let mut connection = self.db.acquire().await?;
        for _ in 0..TRIES_MAX {
            let Some(found) = find(&mut connection, order).await? else { return Ok(None) };
            let progress = match driver {
                Some(driver) => take_lease(&mut connection, found, driver).await?,
                None => Some(found.into_progress(false)),
            };
            if progress.is_some() {
                return Ok(progress);
            }
        }
        Err(StoreError::Running)
    }

    async fn lease_due(&self, driver: Driver, limit: u32) -> Result<Vec<Progress>, StoreError> {
        read::lease_due(&self.db, driver, limit).await
    }

    async fn yield_lease(&self, order: OrderId, driver: Driver) -> Result<(), StoreError> {
        write::yield_lease(&mut *self.db.acquire().await?, order.uuid(), driver.0).await
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
    /// What becomes of an order that was found so; none if it has changed meanwhile, or its cause has come through another
    /// door: it is to be found again.
    async fn change(
        &self,
        connection: &mut PgConnection,
        found: Found,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Option<Driver>,
    ) -> Result<Option<Progress>, ApplyError> {
        let Found { state: before, now, leased, revision } = found;
        let Decision { state, record } = match domain::decide(&before, command, now) {
            Ok(decision) => decision,
            Err(refused) => return refuse(connection, dedup_key, refused).await,
        };
        let mut account = Account::new();
        if let Some(change) = &record {
            self.tell(&mut account, &state.order, change, dedup_key.causation())?;
        }
        // The answer is stored with the change that makes it possible.
        if let (None, Some(answer)) = ((self.answer)(&before), (self.answer)(&state)) {
            account.complete(state.order.id.uuid(), &answer).map_err(StoreError::from)?;
        }
        let order = matches!(dedup_key, DedupKey::Request { .. }).then(|| Box::new(state.order.clone()));
        account.store_result(dedup_key, &Remembered::Done(order)).map_err(StoreError::from)?;
        let (lease, leased) = lease(&state, now, leased, driver);
        let saga = SagaRow { state: &state, now, lease };
        let written = write::change(connection, &saga, (revision, record.as_ref()), &account).await?;
        Ok(written.map(|(now, revision)| Progress { state, now, leased, revision }))
    }

    /// Tells of a change that is a fact.
    fn tell(
        &self,
        account: &mut Account,
        order: &Order,
        change: &Record,
        causation: Option<Uuid>,
    ) -> Result<(), StoreError> {
        let Some((seq, event)) = &change.fact else { return Ok(()) };
        let aggregate = order.id.uuid();
        let fact = NewEvent { event, aggregate, seq: *seq, correlation: Some(aggregate), causation };
        Ok(account.append(self.ids.as_ref(), self.epoch, fact)?)
    }
}

/// The time and a number, if the order's claim stands.
async fn draw(connection: &mut PgConnection, order: OrderId) -> Result<(OffsetDateTime, i64), CreateError> {
    const DRAW: &str = "select now(), nextval('order_number') from idempotency where point = $1 and state = 'started'";
    let drawn = sqlx::query_as(DRAW).bind(order.uuid()).fetch_optional(connection).await;
    drawn.map_err(StoreError::from)?.ok_or(CreateError::ClaimGone)
}

/// An order that heard some news before: as it was `then`, if whoever repeats wants to know that, else as it is now, with
/// the lease of its saga where a driver asks.
async fn repeat(
    connection: &mut PgConnection,
    found: Found,
    then: Option<Box<Order>>,
    driver: Option<Driver>,
) -> Result<Option<Progress>, StoreError> {
    match (then, driver) {
        (None, Some(driver)) => take_lease(connection, found, driver).await,
        (None, None) => Ok(Some(found.into_progress(false))),
        (Some(order), _) => {
            let Progress { state, now, leased, revision } = found.into_progress(false);
            Ok(Some(Progress { state: State { order: *order, saga: state.saga }, now, leased, revision }))
        }
    }
}

/// An order that stays as it is, with the lease of its saga if `driver` can have it; none if it has changed meanwhile.
async fn take_lease(
    connection: &mut PgConnection,
    found: Found,
    driver: Driver,
) -> Result<Option<Progress>, StoreError> {
    let (lease, ours) = lease(&found.state, found.now, found.leased, Some(driver));
    if lease == found.leased {
        return Ok(Some(found.into_progress(ours)));
    }
    let saga = SagaRow { state: &found.state, now: found.now, lease };
    let written = write::change(connection, &saga, (found.revision, None), &Account::new()).await?;
    Ok(written.map(|(now, revision)| Progress { state: found.state, now, leased: ours, revision }))
}

/// Remembers a final refusal; one that says "try again" leaves nothing behind. `None` if the cause has come through another
/// door: what it was answered there is to be found.
async fn refuse(
    connection: &mut PgConnection,
    dedup_key: &DedupKey,
    refused: Refused,
) -> Result<Option<Progress>, ApplyError> {
    if matches!((dedup_key, &refused), (DedupKey::Request { .. }, Refused::InvalidTransition { .. })) {
        let remembered = Remembered::Refused(refused.clone());
        if !insert_result(connection, dedup_key, &remembered).await.map_err(StoreError::from)? {
            return Ok(None);
        }
    }
    Err(refused.into())
}

/// The refusals of a new order's rows.
fn on_create(error: sqlx::Error) -> CreateError {
    match constraint(&error) {
        Some("orders_pk") => CreateError::Exists,
        Some("orders_cart_version") => CreateError::CartTaken,
        _ => StoreError::from(error).into(),
    }
}
