//! The store in PostgreSQL: each method that changes data is one statement that also appends its event and stores its
//! result; only the reports of removed and repriced lines are transactions of several, and an erasure a sequence of
//! statements that may be repeated. Independent of HTTP and Kafka.
//!
//! A change of a cart is optimistic: it reads the cart without a lock and writes if the cart still has that version;
//! otherwise it reads again. Each change increments the version under the row lock.
//!
//! No deadlock is possible: beginning a checkout locks the cart and then inserts the checkout; cancelling locks a checkout
//! that exists and then the cart; merging locks the guest's cart and then the user's; completing locks checkouts in the order
//! of their place in the table; storing copies locks them by id; reporting removed or repriced lines locks copies of
//! their products, unless they are locked, and then carts by id; every other statement locks one row.

mod carts;
mod checkouts;
mod copies;
mod erasures;
mod guests;
mod pages;
mod removals;
mod repricings;

use std::sync::Arc;

use agora_outbox::{DedupKey, NewEvent, NewEvents, Outcome, find_result};
use agora_postgres::Db;
use agora_vocab::{Epoch, Ids, LineId, OrderId, Quantity, UserId};
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

use self::{carts::Change, checkouts::StoredCheckout};
use crate::{
    domain::{Cart, Checkout, CheckoutState, Contents, Owner, ProductCopy, QuoteResult, Refused, View},
    ports::{CartError, Carts, CheckoutError, Checkouts, NewLine, ProductCopies, RepricedProducts, StoreError},
};

/// Maximum attempts of an optimistic write. Ten concurrent adds to one cart need up to 16.
const ATTEMPTS_MAX: u32 = 100;

/// Carts, checkouts and product copies in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgCarts {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
}

impl PgCarts {
    /// Creates the store; `ids` generates event ids, and every event carries `epoch`.
    pub fn new(db: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, ids, epoch }
    }
}

#[async_trait]
impl Carts for PgCarts {
    async fn find(&self, owner: Owner) -> Result<Contents, CartError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        carts::find_of(&mut connection, owner).await
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
        found: Contents,
        line: &NewLine,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        let quoted = quote.of(line.product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
        let add = |mut contents: Contents| {
            contents.cart.add(line.at(quoted.price_of(&line.variant)))?;
            contents.check(line.product, &line.variant, quoted)?;
            Ok(changed(contents, quote, Some(&quoted.copy)))
        };
        self.update(found.cart.owner, Some(found), dedup_key, add).await
    }

    async fn change(
        &self,
        owner: Owner,
        line: LineId,
        quantity: Quantity,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        let change = |mut contents: Contents| {
            let there = contents.cart.line(line).ok_or(CartError::NotFound)?;
            let quoted = quote.of(there.product).ok_or(Refused::UnknownProduct)?;
            let price = quoted.price_of(&there.variant);
            let line = contents.cart.change(line, quantity, Some(price)).ok_or(CartError::NotFound)?;
            contents.check(line.product, &line.variant, quoted)?;
            Ok(changed(contents, quote, Some(&quoted.copy)))
        };
        self.update(owner, None, dedup_key, change).await
    }

    async fn lower(
        &self,
        owner: Owner,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        let lower = |mut contents: Contents| {
            let there = contents.cart.line(line).ok_or(CartError::NotFound)?;
            let quantity = quantity.min(there.quantity);
            contents.cart.change(line, quantity, None);
            Ok(changed(contents, &QuoteResult::default(), None))
        };
        self.update(owner, None, dedup_key, lower).await
    }

    async fn remove(&self, owner: Owner, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, CartError> {
        let remove = |Contents { mut cart, .. }: Contents| {
            cart.remove(line).ok_or(CartError::NotFound)?;
            Ok(Change { cart, result: (), quoted: None })
        };
        self.update(owner, None, dedup_key, remove).await
    }
}

#[async_trait]
impl Checkouts for PgCarts {
    async fn begin_checkout(
        &self,
        order: OrderId,
        user: UserId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Checkout>, CheckoutError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        for _ in 0..ATTEMPTS_MAX {
            let begun = self.move_lines(&mut connection, order, user, dedup_key).await;
            if let Ok(Some(checkout)) = begun {
                return Ok(Outcome::Applied(checkout));
            }
            match checkouts::find(&mut connection, order).await? {
                Some(StoredCheckout {
                    state: CheckoutState::Taken | CheckoutState::Done,
                    checkout: Some(checkout),
                    ..
                }) => return Ok(Outcome::Duplicate(checkout)),
                Some(_) => return Err(CheckoutError::Cancelled),
                None => drop(begun?),
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
            let cancelled = match checkouts::find(&mut connection, order).await? {
                None => checkouts::write_tombstone(&mut connection, order).await?,
                Some(StoredCheckout { state: CheckoutState::Taken, checkout: Some(checkout), deleted }) => {
                    self.restore_lines(&mut connection, checkout, &deleted, dedup_key).await?
                }
                // The final state of the checkout is the result of every duplicate.
                Some(ended) => return Ok(Outcome::Duplicate(ended.state)),
            };
            if cancelled {
                return Ok(Outcome::Applied(CheckoutState::Returned));
            }
        }
        Err(StoreError::Running)
    }

    async fn complete_checkouts(&self, orders: &[OrderId]) -> Result<(), StoreError> {
        let mut connection = self.db.acquire().await?;
        checkouts::complete(&mut connection, orders).await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        let mut connection = self.db.acquire().await?;
        checkouts::sweep(&mut connection).await
    }
}

#[async_trait]
impl ProductCopies for PgCarts {
    async fn store_copies(&self, copies: &[ProductCopy]) -> Result<(), StoreError> {
        let mut connection = self.db.acquire().await?;
        copies::store(&mut connection, copies).await
    }

    async fn report_removed_lines(&self) -> Result<bool, StoreError> {
        self.report_page().await
    }

    async fn repriced_products(&self) -> Result<Option<RepricedProducts>, StoreError> {
        let mut connection = self.db.acquire().await?;
        repricings::find(&mut connection).await
    }

    async fn report_repriced_lines(
        &self,
        repriced: &RepricedProducts,
        quote: &QuoteResult,
    ) -> Result<bool, StoreError> {
        self.report_repriced_page(repriced, quote).await
    }
}

impl PgCarts {
    /// Changes the owner's cart: `found` as it was last read, or the stored one. Reads again while other changes are faster.
    async fn update<T: Serialize + DeserializeOwned>(
        &self,
        owner: Owner,
        found: Option<Contents>,
        dedup_key: &DedupKey,
        change: impl Fn(Contents) -> Result<Change<T>, CartError>,
    ) -> Result<Outcome<T>, CartError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        let mut contents = match found {
            Some(contents) => contents,
            None => carts::find_of(&mut connection, owner).await?,
        };
        for _ in 0..ATTEMPTS_MAX {
            let saved = match change(contents) {
                Ok(change) => self.save(&mut connection, change, dedup_key).await,
                Err(error) => Err(error),
            };
            if let Ok(Some(result)) = saved {
                return Ok(Outcome::Applied(result));
            }
            // Nothing was written: the request may be a duplicate.
            if let Some(stored) = find_result(&mut connection, dedup_key).await.map_err(StoreError::from)? {
                return Ok(Outcome::Duplicate(stored));
            }
            saved?;
            contents = carts::find_of(&mut connection, owner).await?;
        }
        Err(StoreError::Running.into())
    }

    /// The event of the current lines of a user's cart; the cart's version is the sequence number.
    fn updated(&self, cart: &Cart, order: Option<OrderId>, dedup_key: &DedupKey) -> Result<NewEvents, StoreError> {
        let mut events = NewEvents::new();
        if let Some(event) = cart.updated() {
            let event = NewEvent {
                event: &event,
                aggregate: cart.id.uuid(),
                seq: cart.version,
                correlation: order.map(OrderId::uuid),
                causation: dedup_key.causation(),
            };
            events.push(&*self.ids, self.epoch, event)?;
        }
        Ok(events)
    }
}

/// A changed cart whose result is its view.
fn changed(contents: Contents, quote: &QuoteResult, quoted: Option<&ProductCopy>) -> Change<View> {
    let result = contents.view(quote);
    Change { cart: contents.cart, result, quoted: quoted.cloned() }
}
