//! Carts in PostgreSQL: each port method is one transaction that also writes its fact and its answer.
//!
//! Rows are always locked in one order, so that no two transactions wait for each other: the inbox's or idempotency's
//! row, the product's copy, the taking, carts by id.

mod rows;
mod takings;

use std::sync::Arc;

use agora_outbox::{Cause, Done, Fact, emit, once, recall, remember};
use agora_postgres::{Db, Tx, constraint};
use agora_vocab::{CartId, Epoch, Ids, LineId, OrderId, ProductId, Quantity, UserId};
use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    domain::{Cart, Contents, Copy, Offer, Offers, Refused, Taking, TakingState, View},
    ports::{CartError, Carts, NewLine, StoreError, TakeError},
};

/// Carts that a product is dropped from in one transaction.
const CARTS_PER_DROP: i64 = 100;

/// Carts in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgCarts {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
}

impl PgCarts {
    /// In this database; facts get ids from `ids` and carry `epoch`.
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

    async fn answered(&self, cause: &Cause) -> Result<Option<View>, StoreError> {
        if *cause == Cause::Fresh {
            return Ok(None);
        }
        let mut connection = self.db.acquire().await?;
        Ok(recall(&mut connection, cause).await?)
    }

    async fn add(&self, user: UserId, line: &NewLine, offers: &Offers, cause: &Cause) -> Result<Done<View>, CartError> {
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = once(&mut tx, cause).await.map_err(StoreError::from)? {
            return Ok(Done::Repeated(stored));
        }
        let offer = offers.of(line.product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
        keep_alive(&mut tx, offer).await?;
        let cart = raise_or_make(&mut tx, user).await?;
        add_line(&mut tx, cart, line, offer).await?;
        self.finish(tx, user, (line.product, &line.variant, offer), offers, cause).await
    }

    async fn change(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        offers: &Offers,
        cause: &Cause,
    ) -> Result<Done<View>, CartError> {
        const CHANGE: &str = "update cart_item set quantity = $2, seen_amount = $3, seen_currency = $4 where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = once(&mut tx, cause).await.map_err(StoreError::from)? {
            return Ok(Done::Repeated(stored));
        }
        let (cart, product, variant) = rows::lock_line(&mut tx, user, line).await?.ok_or(CartError::NotFound)?;
        let offer = offers.of(product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
        raise(&mut tx, cart).await?;
        sqlx::query(CHANGE)
            .bind(line.uuid())
            .bind(rows::units(quantity))
            .bind(offer.price.amount)
            .bind(offer.price.currency.as_str())
            .execute(&mut *tx)
            .await
            .map_err(StoreError::from)?;
        self.finish(tx, user, (product, &variant, offer), offers, cause).await
    }

    async fn lower(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        cause: &Cause,
    ) -> Result<Done<View>, CartError> {
        const LOWER: &str = "update cart_item set quantity = least(quantity, $2) where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = once(&mut tx, cause).await.map_err(StoreError::from)? {
            return Ok(Done::Repeated(stored));
        }
        let (cart, _, _) = rows::lock_line(&mut tx, user, line).await?.ok_or(CartError::NotFound)?;
        raise(&mut tx, cart).await?;
        let lower = sqlx::query(LOWER).bind(line.uuid()).bind(rows::units(quantity));
        lower.execute(&mut *tx).await.map_err(StoreError::from)?;
        let view = self.tell(&mut tx, user, None, cause).await?.view(&Offers::default()).map_err(CartError::Refused)?;
        remember(&mut tx, cause, &view).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Done::First(view))
    }

    async fn remove(&self, user: UserId, line: LineId, cause: &Cause) -> Result<Done<()>, CartError> {
        const REMOVE: &str = "delete from cart_item where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(()) = once(&mut tx, cause).await.map_err(StoreError::from)? {
            return Ok(Done::Repeated(()));
        }
        let (cart, _, _) = rows::lock_line(&mut tx, user, line).await?.ok_or(CartError::NotFound)?;
        sqlx::query(REMOVE).bind(line.uuid()).execute(&mut *tx).await.map_err(StoreError::from)?;
        raise(&mut tx, cart).await?;
        self.tell(&mut tx, user, None, cause).await?;
        remember(&mut tx, cause, &()).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Done::First(()))
    }

    async fn take(&self, order: OrderId, user: UserId, cause: &Cause) -> Result<Done<Taking>, TakeError> {
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = once(&mut tx, cause).await.map_err(StoreError::from)? {
            return Ok(Done::Repeated(stored));
        }
        let taking = if takings::open(&mut tx, order, TakingState::Taken).await? {
            let taking = takings::empty_cart(&mut tx, order, user).await?.ok_or(TakeError::Empty)?;
            let emptied = Cart { id: taking.cart, version: taking.version + 1, ..Cart::of(user) };
            self.tell_of(&mut tx, &emptied, Some(order), cause).await?;
            taking
        } else {
            match takings::find(&mut tx, order).await? {
                (TakingState::Taken | TakingState::Done, Some(taking)) => taking,
                _ => return Err(TakeError::Cancelled),
            }
        };
        remember(&mut tx, cause, &taking).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Done::First(taking))
    }

    async fn give_back(&self, order: OrderId, cause: &Cause) -> Result<Done<TakingState>, StoreError> {
        let mut tx = self.db.begin().await?;
        if let Some(stored) = once(&mut tx, cause).await? {
            return Ok(Done::Repeated(stored));
        }
        let state = if takings::open(&mut tx, order, TakingState::Returned).await? {
            TakingState::Returned
        } else {
            match takings::find(&mut tx, order).await? {
                (TakingState::Taken, Some(taking)) => {
                    if let Some(user) = takings::refill_cart(&mut tx, &taking).await? {
                        self.tell(&mut tx, user, Some(order), cause).await?;
                    }
                    takings::mark(&mut tx, order, TakingState::Returned).await?;
                    TakingState::Returned
                }
                (state, _) => state,
            }
        };
        remember(&mut tx, cause, &state).await?;
        tx.commit().await?;
        Ok(Done::First(state))
    }

    async fn settle(&self, order: OrderId, cause: &Cause) -> Result<Done<()>, StoreError> {
        let mut tx = self.db.begin().await?;
        if let Some(()) = once(&mut tx, cause).await? {
            return Ok(Done::Repeated(()));
        }
        takings::mark(&mut tx, order, TakingState::Done).await?;
        remember(&mut tx, cause, &()).await?;
        tx.commit().await?;
        Ok(Done::First(()))
    }

    async fn learn(&self, copy: &Copy, cause: &Cause) -> Result<Done<()>, StoreError> {
        let mut tx = self.db.begin().await?;
        if let Some(()) = once(&mut tx, cause).await? {
            return Ok(Done::Repeated(()));
        }
        keep(&mut tx, copy).await?;
        remember(&mut tx, cause, &()).await?;
        tx.commit().await?;
        Ok(Done::First(()))
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
            self.tell(&mut tx, UserId::new(*user), None, &Cause::Fresh).await?;
        }
        tx.commit().await?;
        Ok(holders.len() as u64)
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        let mut connection = self.db.acquire().await?;
        takings::sweep(&mut connection).await
    }
}

impl PgCarts {
    /// Checks a cart whose line was changed, tells of it and stores the answer.
    async fn finish(
        &self,
        mut tx: Tx,
        user: UserId,
        (product, variant, offer): (ProductId, &crate::domain::Variant, &Offer),
        offers: &Offers,
        cause: &Cause,
    ) -> Result<Done<View>, CartError> {
        let contents = self.tell(&mut tx, user, None, cause).await?;
        contents.check(product, variant, offer).map_err(CartError::Refused)?;
        let view = contents.view(offers).map_err(CartError::Refused)?;
        remember(&mut tx, cause, &view).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Done::First(view))
    }

    /// Reads what the cart now holds and tells of it.
    async fn tell(
        &self,
        tx: &mut Tx,
        user: UserId,
        order: Option<OrderId>,
        cause: &Cause,
    ) -> Result<Contents, StoreError> {
        let contents = rows::contents(tx, user).await?;
        self.tell_of(tx, &contents.cart, order, cause).await?;
        Ok(contents)
    }

    /// Writes the fact of what the cart now holds; a cart's version is its fact's place.
    async fn tell_of(&self, tx: &mut Tx, cart: &Cart, order: Option<OrderId>, cause: &Cause) -> Result<(), StoreError> {
        let fact = Fact {
            event: &cart.updated(),
            aggregate: cart.id.uuid(),
            seq: cart.version,
            correlation: order.map(OrderId::uuid),
            causation: causation(cause),
        };
        Ok(emit(tx, &*self.ids, self.epoch, fact).await?)
    }
}

/// Keeps what a quote said of a product, and holds off its deletion until the transaction ends: no line of a product may
/// come after the product was dropped from all carts.
async fn keep_alive(tx: &mut Tx, offer: &Offer) -> Result<(), CartError> {
    const ALIVE: &str = "select not deleted from product_copy where product_id = $1 and version >= $2 for share";
    let Copy { product, version, .. } = offer.copy;
    let alive = || sqlx::query_scalar(ALIVE).bind(product.uuid()).bind(version);
    let mut found: Option<bool> = alive().fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    // Written only where it is news, so that the many who add one product do not queue for its row.
    if found.is_none() {
        keep(tx, &offer.copy).await?;
        found = alive().fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    }
    if found == Some(true) { Ok(()) } else { Err(CartError::Refused(Refused::UnknownProduct)) }
}

/// Keeps a copy unless a newer one is there. A deleted product keeps the name and price that were known.
async fn keep(tx: &mut Tx, copy: &Copy) -> Result<(), StoreError> {
    const KEEP: &str = "insert into product_copy as kept \
        (product_id, version, name, image_url, price_amount, price_currency, deleted) values ($1, $2, $3, $4, $5, $6, $7) \
        on conflict (product_id) do update set version = excluded.version, deleted = excluded.deleted, \
            name = case when excluded.deleted then kept.name else excluded.name end, \
            image_url = case when excluded.deleted then kept.image_url else excluded.image_url end, \
            price_amount = coalesce(excluded.price_amount, kept.price_amount), \
            price_currency = coalesce(excluded.price_currency, kept.price_currency) \
        where kept.version < excluded.version";
    let Copy { product, version, name, image_url, price, deleted } = copy;
    sqlx::query(KEEP)
        .bind(product.uuid())
        .bind(version)
        .bind(name)
        .bind(image_url)
        .bind(price.map(|price| price.amount))
        .bind(price.as_ref().map(|price| price.currency.as_str()))
        .bind(deleted)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The user's cart, made if need be and locked, its version raised.
async fn raise_or_make(tx: &mut Tx, user: UserId) -> Result<CartId, StoreError> {
    const RAISE: &str = "insert into cart (id, user_id, version) values ($1, $2, 1) \
        on conflict on constraint cart_user_unique do update set version = cart.version + 1, updated_at = now() \
        returning id";
    let id = crate::domain::Cart::of(user).id;
    let id = sqlx::query_scalar(RAISE).bind(id.uuid()).bind(user.uuid()).fetch_one(&mut **tx).await?;
    Ok(CartId::new(id))
}

async fn raise(tx: &mut Tx, cart: CartId) -> Result<(), StoreError> {
    const RAISE: &str = "update cart set version = version + 1, updated_at = now() where id = $1";
    sqlx::query(RAISE).bind(cart.uuid()).execute(&mut **tx).await?;
    Ok(())
}

/// One line of a product and variant, whoever adds at the same time.
async fn add_line(tx: &mut Tx, cart: CartId, line: &NewLine, offer: &Offer) -> Result<(), CartError> {
    const ADD: &str = "insert into cart_item (id, cart_id, product_id, variant, quantity, seen_amount, seen_currency) \
        values ($1, $2, $3, $4, $5, $6, $7) \
        on conflict on constraint cart_item_unique do update set quantity = cart_item.quantity + excluded.quantity, \
            seen_amount = excluded.seen_amount, seen_currency = excluded.seen_currency";
    let NewLine { id, product, variant, quantity } = line;
    let added = sqlx::query(ADD)
        .bind(id.uuid())
        .bind(cart.uuid())
        .bind(product.uuid())
        .bind(variant.as_str())
        .bind(rows::units(*quantity))
        .bind(offer.price.amount)
        .bind(offer.price.currency.as_str())
        .execute(&mut **tx)
        .await;
    added.map(drop).map_err(|error| match constraint(&error) {
        Some("cart_item_quantity_range") => CartError::Refused(Refused::QuantityTooLarge),
        _ => CartError::Store(error.into()),
    })
}

/// The event or command behind a change.
fn causation(cause: &Cause) -> Option<Uuid> {
    match cause {
        Cause::Event { consumer: _, id } | Cause::Command { id } => Some(*id),
        Cause::Request { .. } | Cause::Fresh => None,
    }
}
