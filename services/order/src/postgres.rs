//! Orders in PostgreSQL: each method one transaction, all time the database's.
//!
//! Knows SQL, rows and constraints; what becomes of an order is the domain's to say.

mod read;
mod row;
mod write;

use std::{sync::Arc, time::Duration};

use agora_outbox::{Answer, Cause, Claim, Done, Fact, emit};
use agora_postgres::{Db, Tx, constraint};
use agora_vocab::{Epoch, Ids, OrderId, Page};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{self, Command, Decision, Draft, Order, Record, Refused, State},
    ports::{ApplyError, CreateError, Driver, Listing, Orders, Progress, StoreError},
    postgres::{
        read::{Found, find, find_locked},
        write::{SagaRow, begin, insert, write_saga},
    },
    saga::{Leased, lease},
};

/// The request that claimed a key has so long before a repetition may go on in its place.
const CLAIM_LEASE: Duration = Duration::from_secs(10);
/// A claim without an answer that is older is looked after by the worker.
const CLAIM_STALE: Duration = Duration::from_mins(1);

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
    pub answer: fn(&State) -> Option<Answer>,
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
    async fn claim(&self, cause: &Cause, fresh: OrderId) -> Result<Claim, StoreError> {
        // Nearly always it is new, and then one statement will do.
        if agora_outbox::start(&mut *self.db.acquire().await?, cause, fresh.uuid(), CLAIM_LEASE).await? {
            return Ok(Claim::Started { point: fresh.uuid() });
        }
        let mut tx = self.db.begin().await?;
        let claim = agora_outbox::claim(&mut tx, cause, fresh.uuid(), CLAIM_LEASE).await?;
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
        agora_outbox::abandon(&mut tx, order.uuid()).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn stale_claims(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        const EXTEND: &str =
            "update idempotency set lease_until = now() + make_interval(secs => $2) where point = any ($1)";
        let mut tx = self.db.begin().await?;
        let stale = agora_outbox::stale(&mut tx, CLAIM_STALE, limit).await?;
        if !stale.is_empty() {
            sqlx::query(EXTEND).bind(&stale).bind(CLAIM_LEASE.as_secs_f64()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(stale.into_iter().map(OrderId::new).collect())
    }

    async fn create(&self, draft: Draft, driver: Driver) -> Result<Progress, CreateError> {
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        let (now, drawn) = draw(&mut tx, draft.id).await?;
        let number = domain::number(self.epoch, drawn);
        let state = draft.into_state(number, now, self.payment_window);
        let (lease, leased) = lease(&state, now, Leased::NOBODY, Some(driver));
        let first = Record::created(&state.order);
        insert(&mut tx, &state.order).await?;
        begin(&mut tx, &SagaRow { state: &state, now, lease }, &first).await?;
        self.tell(&mut tx, &state.order, &first, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Progress { state, now, leased })
    }

    async fn apply(
        &self,
        order: OrderId,
        command: &Command,
        cause: &Cause,
        driver: Option<Driver>,
    ) -> Result<Done<Progress>, ApplyError> {
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        let known: Option<Remembered> = agora_outbox::once(&mut tx, cause).await.map_err(StoreError::from)?;
        let found = find_locked(&mut tx, order).await?.ok_or(ApplyError::NotFound)?;
        match known {
            None => self.change(tx, found, command, cause, driver).await,
            Some(Remembered::Done(then)) => Ok(repeat(tx, found, then, driver).await?),
            Some(Remembered::Refused(refused)) => Err(refused.into()),
        }
    }

    async fn load(&self, order: OrderId, driver: Option<Driver>) -> Result<Option<Progress>, StoreError> {
        let Some(driver) = driver else {
            let mut connection = self.db.acquire().await?;
            let found = find(&mut connection, order).await?;
            return Ok(found.map(|found| Progress { state: found.state, now: found.now, leased: false }));
        };
        let mut tx = self.db.begin().await?;
        let Some(found) = find_locked(&mut tx, order).await? else { return Ok(None) };
        let progress = take_lease(&mut tx, found, driver).await?;
        tx.commit().await?;
        Ok(Some(progress))
    }

    async fn lease_due(&self, driver: Driver, limit: u32) -> Result<Vec<Progress>, StoreError> {
        read::lease_due(&self.db, driver, limit).await
    }

    async fn yield_lease(&self, order: OrderId, driver: Driver) -> Result<(), StoreError> {
        const YIELD: &str =
            "update saga set lease_owner = null, lease_until = null where order_id = $1 and lease_owner = $2";
        let mut connection = self.db.acquire().await?;
        sqlx::query(YIELD).bind(order.uuid()).bind(driver.0).execute(&mut *connection).await?;
        Ok(())
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
    /// What becomes of an order under its row's lock.
    async fn change(
        &self,
        mut tx: Tx,
        found: Found,
        command: &Command,
        cause: &Cause,
        driver: Option<Driver>,
    ) -> Result<Done<Progress>, ApplyError> {
        let Found { state: before, now, leased } = found;
        let Decision { state, record } = match domain::decide(&before, command, now) {
            Ok(decision) => decision,
            Err(refused) => return Err(refuse(tx, cause, refused).await?),
        };
        let (lease, leased) = lease(&state, now, leased, driver);
        let saga = SagaRow { state: &state, now, lease };
        if let Some(change) = &record {
            write::change(&mut tx, &saga, change).await?;
            self.tell(&mut tx, &state.order, change, causation(cause)).await?;
        } else {
            write_saga(&mut tx, &saga).await?;
        }
        self.settle_with(&mut tx, &before, &state).await?;
        let order = matches!(cause, Cause::Request { .. }).then(|| Box::new(state.order.clone()));
        agora_outbox::remember(&mut tx, cause, &Remembered::Done(order)).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Done::First(Progress { state, now, leased }))
    }

    /// Tells of a change that is a fact.
    async fn tell(
        &self,
        tx: &mut Tx,
        order: &Order,
        change: &Record,
        causation: Option<Uuid>,
    ) -> Result<(), StoreError> {
        let Some((seq, event)) = &change.fact else { return Ok(()) };
        let aggregate = order.id.uuid();
        let fact = Fact { event, aggregate, seq: *seq, correlation: Some(aggregate), causation };
        Ok(emit(tx, self.ids.as_ref(), self.epoch, fact).await?)
    }

    /// Stores the answer with the change that makes it possible.
    async fn settle_with(&self, tx: &mut Tx, before: &State, after: &State) -> Result<(), StoreError> {
        match ((self.answer)(before), (self.answer)(after)) {
            (None, Some(answer)) => Ok(agora_outbox::settle(tx, after.order.id.uuid(), &answer).await?),
            _ => Ok(()),
        }
    }
}

/// The time and a number, if the order's claim still stands; it cannot be given up before this transaction ends.
async fn draw(tx: &mut Tx, order: OrderId) -> Result<(OffsetDateTime, i64), CreateError> {
    const DRAW: &str =
        "select now(), nextval('order_number') from idempotency where point = $1 and state = 'started' for share";
    let drawn = sqlx::query_as(DRAW).bind(order.uuid()).fetch_optional(&mut **tx).await;
    drawn.map_err(StoreError::from)?.ok_or(CreateError::ClaimGone)
}

/// An order that heard some news before: as it was `then`, if whoever repeats wants to know that, else as it is now, with
/// the lease of its saga where a driver asks.
async fn repeat(
    mut tx: Tx,
    found: Found,
    then: Option<Box<Order>>,
    driver: Option<Driver>,
) -> Result<Done<Progress>, StoreError> {
    let progress = match (then, driver) {
        (None, Some(driver)) => take_lease(&mut tx, found, driver).await?,
        (then, _) => {
            let Found { state: State { order, saga }, now, leased: _ } = found;
            Progress { state: State { order: then.map_or(order, |then| *then), saga }, now, leased: false }
        }
    };
    tx.commit().await?;
    Ok(Done::Repeated(progress))
}

/// An order that is locked and stays as it is, with the lease of its saga if `driver` can have it.
async fn take_lease(tx: &mut Tx, found: Found, driver: Driver) -> Result<Progress, StoreError> {
    let Found { state, now, leased } = found;
    let (lease, leased) = lease(&state, now, leased, Some(driver));
    write_saga(tx, &SagaRow { state: &state, now, lease }).await?;
    Ok(Progress { state, now, leased })
}

/// The event or command that a fact comes from.
fn causation(cause: &Cause) -> Option<Uuid> {
    match cause {
        Cause::Event { id, .. } | Cause::Command { id } => Some(*id),
        Cause::Request { .. } | Cause::Fresh => None,
    }
}

/// Remembers a final refusal; one that says "try again" leaves nothing behind.
async fn refuse(mut tx: Tx, cause: &Cause, refused: Refused) -> Result<ApplyError, StoreError> {
    if matches!((cause, &refused), (Cause::Request { .. }, Refused::InvalidTransition { .. })) {
        agora_outbox::remember(&mut tx, cause, &Remembered::Refused(refused.clone())).await?;
        tx.commit().await?;
    }
    Ok(refused.into())
}

/// The refusals of a new order's rows.
fn on_create(error: sqlx::Error) -> CreateError {
    match constraint(&error) {
        Some("orders_pk") => CreateError::Exists,
        Some("orders_cart_version") => CreateError::CartTaken,
        _ => StoreError::from(error).into(),
    }
}
