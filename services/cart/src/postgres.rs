//! The `Carts` port in PostgreSQL: each method is one transaction that also writes its event and its stored result.
//! Independent of HTTP and Kafka.
//!
//! Adding a line, beginning and cancelling a checkout are optimistic: they read the cart without a lock and write with one
//! statement if the cart still has that version; otherwise they read again. The other methods lock the cart. Each change of
//! a cart's lines increments its version under the row lock.
//!
//! To prevent deadlocks, every transaction locks rows in the same order: the product copy, the checkout, carts by id. A
//! transaction of several statements claims its inbox or idempotency key first, a single statement writes it last: only a
//! concurrent duplicate, which runs the same method, waits for that row.

mod checkouts;
mod lines;
mod rows;

use std::sync::Arc;

use agora_events::cart::CartEvent;
use agora_outbox::{Account, DedupKey, NewEvent, Outcome, claim_key, emit, find_result, store_result};
use agora_postgres::{Db, Tx};
use agora_vocab::{CartId, Epoch, Ids, LineId, OrderId, ProductId, Quantity, UserId};
use async_trait::async_trait;
use serde::Serialize;
use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query};
use uuid::Uuid;

use self::checkouts::StoredCheckout;
use crate::{
    domain::{Cart, Checkout, CheckoutState, Contents, ProductCopy, QuoteResult, QuotedLine, Refused, View},
    ports::{CartError, Carts, CheckoutError, NewLine, StoreError},
};

/// Maximum carts that a deleted product is removed from in one transaction.
const CARTS_PER_DROP: i64 = 100;
/// Maximum attempts of an optimistic write. Ten concurrent adds to one cart need up to 16.
const ATTEMPTS_MAX: u32 = 100;

/// The [`Carts`] port in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgCarts {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
}

impl PgCarts {
    /// Creates the port; `ids` generates event ids, and every event carries `epoch`.
    pub fn new(db: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, ids, epoch }
    }
}

#[async_trait]
impl Carts for PgCarts {
    async fn find(&self, user: UserId) -> Result<Contents, StoreError> {
        let mut connection = self.db.acquire().await?;
        rows::contents(&mut connection, user).await
    }

    async fn stored_view(&self, dedup_key: &DedupKey) -> Result<Option<View>, StoreError> {
        if *dedup_key == DedupKey::None {
            return Ok(None);
        }
        let mut connection = self.db.acquire().await?;
        Ok(find_result(&mut connection, dedup_key).await?)
    }

    async fn add(
        &self,
        mut found: Contents,
        line: &NewLine,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        let user = found.cart.user;
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        for _ in 0..ATTEMPTS_MAX {
            let added = self.put(&mut connection, found, line, quote, dedup_key).await;
            if let Ok(Some(view)) = added {
                return Ok(Outcome::Applied(view));
            }
            // Nothing was written: the request may be a duplicate.
            if let Some(stored) = find_result(&mut connection, dedup_key).await.map_err(StoreError::from)? {
                return Ok(Outcome::Duplicate(stored));
            }
            added?;
            found = rows::contents(&mut connection, user).await?;
        }
        Err(StoreError::Running.into())
    }

    async fn change(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        const CHANGE: &str = "update cart_item set quantity = $2, seen_amount = $3, seen_currency = $4 where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let (cart, product, variant) = rows::lock_line(&mut tx, user, line).await?.ok_or(CartError::NotFound)?;
        let quoted = quote.of(product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
        increment_version(&mut tx, cart).await?;
        sqlx::query(CHANGE)
            .bind(line.uuid())
            .bind(rows::units(quantity))
            .bind(quoted.price.amount)
            .bind(quoted.price.currency.as_str())
            .execute(&mut *tx)
            .await
            .map_err(StoreError::from)?;
        self.finish(tx, user, (product, &variant, quoted), quote, dedup_key).await
    }

    async fn lower(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        const LOWER: &str = "update cart_item set quantity = least(quantity, $2) where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let (cart, _, _) = rows::lock_line(&mut tx, user, line).await?.ok_or(CartError::NotFound)?;
        increment_version(&mut tx, cart).await?;
        let lower = sqlx::query(LOWER).bind(line.uuid()).bind(rows::units(quantity));
        lower.execute(&mut *tx).await.map_err(StoreError::from)?;
        let view = self
            .append_event(&mut tx, user, dedup_key)
            .await?
            .view(&QuoteResult::default())
            .map_err(CartError::Refused)?;
        store_result(&mut tx, dedup_key, &view).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Outcome::Applied(view))
    }

    async fn remove(&self, user: UserId, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, CartError> {
        const REMOVE: &str = "delete from cart_item where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(()) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(()));
        }
        let (cart, _, _) = rows::lock_line(&mut tx, user, line).await?.ok_or(CartError::NotFound)?;
        sqlx::query(REMOVE).bind(line.uuid()).execute(&mut *tx).await.map_err(StoreError::from)?;
        increment_version(&mut tx, cart).await?;
        self.append_event(&mut tx, user, dedup_key).await?;
        store_result(&mut tx, dedup_key, &()).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Outcome::Applied(()))
    }

    async fn begin_checkout(
        &self,
        order: OrderId,
        user: UserId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Checkout>, CheckoutError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        for _ in 0..ATTEMPTS_MAX {
            let taken = self.move_lines(&mut connection, order, user, dedup_key).await;
            if let Ok(Some(checkout)) = taken {
                return Ok(Outcome::Applied(checkout));
            }
            if let Some(stored) = find_result(&mut connection, dedup_key).await.map_err(StoreError::from)? {
                return Ok(Outcome::Duplicate(stored));
            }
            match checkouts::find(&mut connection, order).await? {
                Some(StoredCheckout {
                    state: CheckoutState::Taken | CheckoutState::Done,
                    checkout: Some(checkout),
                    ..
                }) => {
                    return Ok(Outcome::Duplicate(checkout));
                }
                Some(_) => return Err(CheckoutError::Cancelled),
                None => {
                    taken?;
                }
            }
        }
        Err(StoreError::Running.into())
    }

    async fn cancel_checkout(
        &self,
        order: OrderId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<CheckoutState>, StoreError> {
        let mut connection = self.db.acquire().await?;
        for _ in 0..ATTEMPTS_MAX {
            let returned = match checkouts::find(&mut connection, order).await? {
                None => checkouts::write_tombstone(&mut connection, order).await?,
                Some(found) if found.state == CheckoutState::Taken => {
                    self.restore_lines(&mut connection, found, order, dedup_key).await?
                }
                // The final state of the checkout is the result of every duplicate.
                Some(ended) => return Ok(Outcome::Duplicate(ended.state)),
            };
            if returned {
                return Ok(Outcome::Applied(CheckoutState::Returned));
            }
        }
        Err(StoreError::Running)
    }

    async fn complete_checkout(&self, order: OrderId, dedup_key: &DedupKey) -> Result<Outcome<()>, StoreError> {
        let mut connection = self.db.acquire().await?;
        Ok(outcome(checkouts::complete_checkout(&mut connection, order, dedup_key).await?))
    }

    async fn store_copy(&self, copy: &ProductCopy, dedup_key: &DedupKey) -> Result<Outcome<()>, StoreError> {
        let mut connection = self.db.acquire().await?;
        Ok(outcome(lines::store_copy(&mut connection, copy, dedup_key).await?))
    }

    async fn drop_product(&self, product: ProductId) -> Result<u64, StoreError> {
        const HOLDERS: &str = "select c.id, c.user_id from cart c where c.id in \
            (select i.cart_id from cart_item i where i.product_id = $1 order by i.cart_id limit $2) \
            order by c.id for no key update of c";
        const DROP: &str = "with dropped as (delete from cart_item where product_id = $1 and cart_id = any($2) returning cart_id) \
            update cart set version = version + 1, updated_at = now() where id in (select cart_id from dropped) returning id";
        let mut tx = self.db.begin().await?;
        let holders: Vec<(Uuid, Uuid)> =
            sqlx::query_as(HOLDERS).bind(product.uuid()).bind(CARTS_PER_DROP).fetch_all(&mut *tx).await?;
        let carts: Vec<Uuid> = holders.iter().map(|(cart, _)| *cart).collect();
        let raised: Vec<Uuid> = sqlx::query_scalar(DROP).bind(product.uuid()).bind(&carts).fetch_all(&mut *tx).await?;
        for (_, user) in holders.iter().filter(|(cart, _)| raised.contains(cart)) {
            self.append_event(&mut tx, UserId::new(*user), &DedupKey::None).await?;
        }
        tx.commit().await?;
        Ok(holders.len() as u64)
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        let mut connection = self.db.acquire().await?;
        checkouts::sweep(&mut connection).await
    }
}

impl PgCarts {
    /// Appends the event, validates the changed cart, stores the result and commits.
    async fn finish(
        &self,
        mut tx: Tx,
        user: UserId,
        (product, variant, quoted): (ProductId, &crate::domain::Variant, &QuotedLine),
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        let contents = self.append_event(&mut tx, user, dedup_key).await?;
        contents.check(product, variant, quoted).map_err(CartError::Refused)?;
        let view = contents.view(quote).map_err(CartError::Refused)?;
        store_result(&mut tx, dedup_key, &view).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Outcome::Applied(view))
    }

    /// Reads the cart and appends its event.
    async fn append_event(&self, tx: &mut Tx, user: UserId, dedup_key: &DedupKey) -> Result<Contents, StoreError> {
        let contents = rows::contents(tx, user).await?;
        emit(tx, &*self.ids, self.epoch, new_event(&contents.cart.updated(), &contents.cart, None, dedup_key)).await?;
        Ok(contents)
    }

    /// Adds the event of the cart's current lines to the account.
    fn append_updated(
        &self,
        account: &mut Account,
        cart: &Cart,
        order: Option<OrderId>,
        dedup_key: &DedupKey,
    ) -> Result<(), StoreError> {
        Ok(account.append(&*self.ids, self.epoch, new_event(&cart.updated(), cart, order, dedup_key))?)
    }

    /// Builds an account with the cart's event and the stored result.
    fn account<T: Serialize>(
        &self,
        cart: &Cart,
        order: Option<OrderId>,
        dedup_key: &DedupKey,
        answer: &T,
    ) -> Result<Account, StoreError> {
        let mut account = Account::new();
        self.append_updated(&mut account, cart, order, dedup_key)?;
        account.store_result(dedup_key, answer)?;
        Ok(account)
    }
}

/// Builds an event of the cart; the cart's version is the sequence number.
fn new_event<'a>(
    event: &'a CartEvent,
    cart: &Cart,
    order: Option<OrderId>,
    dedup_key: &DedupKey,
) -> NewEvent<'a, CartEvent> {
    NewEvent {
        event,
        aggregate: cart.id.uuid(),
        seq: cart.version,
        correlation: order.map(OrderId::uuid),
        causation: dedup_key.causation(),
    }
}

/// Runs a statement that returns a row if it wrote; `false` if a concurrent statement wrote the same deduplication key, cart
/// or checkout first, in which case nothing is written.
async fn execute_guarded(
    connection: &mut PgConnection,
    statement: Query<'_, Postgres, PgArguments>,
    account: &Account,
) -> Result<bool, StoreError> {
    Ok(account.write(connection, statement, &["cart_pkey", "taking_pkey"]).await?.is_some())
}

/// The outcome of a change that is idempotent by itself: a change without effect is a duplicate.
fn outcome(changed: bool) -> Outcome<()> {
    if changed { Outcome::Applied(()) } else { Outcome::Duplicate(()) }
}

async fn increment_version(tx: &mut Tx, cart: CartId) -> Result<(), StoreError> {
    const INCREMENT_VERSION: &str = "update cart set version = version + 1, updated_at = now() where id = $1";
    sqlx::query(INCREMENT_VERSION).bind(cart.uuid()).execute(&mut **tx).await?;
    Ok(())
}
