//! Checkouts, which move lines between carts and orders. The domain decides which lines return to a cart.
//!
//! The order's row in `cart_checkout` makes each change idempotent, so that no deduplication key is stored.

use agora_postgres::Connection;
use std::collections::BTreeSet;

use agora_outbox::{DedupKey, write_once};
use agora_vocab::{CartId, OrderId, ProductId, UserId};
use sqlx::types::Json;
use uuid::Uuid;

use super::{PgCarts, carts};
use crate::{
    domain::{Checkout, CheckoutState, Line},
    ports::{CheckoutError, StoreError},
};

/// Retention of an ended checkout in days: longer than any command or event for it can be delayed.
const KEPT_DAYS: i32 = 30;
const ROWS_PER_SWEEP: i64 = 1_000;
/// Violated if two commands begin or cancel the checkout of one order at the same time.
const ONE_PER_ORDER: &str = "cart_checkout_pkey";

/// A checkout as it was read.
pub(super) struct StoredCheckout {
    pub state: CheckoutState,
    /// `None` for a tombstone.
    pub checkout: Option<Checkout>,
    /// Products of the checkout that are deleted.
    pub deleted: BTreeSet<ProductId>,
}

#[derive(sqlx::FromRow)]
struct CheckoutRow {
    state: String,
    cart_id: Option<Uuid>,
    cart_version: Option<i64>,
    lines: Json<Vec<Line>>,
    deleted_products: Vec<Uuid>,
}

impl PgCarts {
    /// Moves every line of the user's cart to an order without checkout; `None` if the order has one or the cart has changed.
    pub(super) async fn move_lines(
        &self,
        connection: &mut Connection,
        order: OrderId,
        user: UserId,
        dedup_key: &DedupKey,
    ) -> Result<Option<Checkout>, CheckoutError> {
        let (emptied, checkout) =
            carts::find(connection, user).await?.cart.check_out(order).ok_or(CheckoutError::Empty)?;
        let events = self.updated(&emptied, Some(order), dedup_key)?;
        let begin = sqlx::query(include_str!("../../sql/begin_checkout.sql"))
            .bind(order.uuid())
            .bind(checkout.cart.uuid())
            .bind(checkout.version)
            .bind(Json(&checkout.lines))
            .bind(events.rows());
        let written = write_once(connection, begin, &events, &[ONE_PER_ORDER]).await.map_err(StoreError::from)?;
        Ok(written.map(|_| checkout))
    }

    /// Returns the lines of a checkout in progress to its cart, without those of `deleted` products. `false` if the checkout
    /// or the cart has changed concurrently.
    pub(super) async fn restore_lines(
        &self,
        connection: &mut Connection,
        checkout: Checkout,
        deleted: &BTreeSet<ProductId>,
        dedup_key: &DedupKey,
    ) -> Result<bool, StoreError> {
        let Checkout { order, cart, lines, .. } = checkout;
        let mut cart = carts::find(connection, UserId::new(cart.uuid())).await?.cart;
        cart.restore(lines, deleted);
        let events = self.updated(&cart, Some(order), dedup_key)?;
        let cancel = sqlx::query(include_str!("../../sql/cancel_checkout.sql"))
            .bind(order.uuid())
            .bind(cart.id.uuid())
            .bind(cart.version)
            .bind(Json(cart.stored_lines()))
            .bind(events.rows());
        Ok(write_once(connection, cancel, &events, &[]).await?.is_some())
    }
}

/// Inserts the tombstone of a checkout; `false` if the order already has a row.
pub(super) async fn write_tombstone(connection: &mut Connection, order: OrderId) -> Result<bool, StoreError> {
    const WRITE_TOMBSTONE: &str =
        "insert into cart_checkout (order_id, state) values ($1, 'returned') on conflict do nothing";
    let inserted = sqlx::query(WRITE_TOMBSTONE).bind(order.uuid()).execute(connection).await?;
    Ok(inserted.rows_affected() == 1)
}

/// Reads the checkout of an order.
pub(super) async fn find(connection: &mut Connection, order: OrderId) -> Result<Option<StoredCheckout>, StoreError> {
    const FIND_CHECKOUT: &str = include_str!("../../sql/find_checkout.sql");
    let found: Option<CheckoutRow> =
        sqlx::query_as(FIND_CHECKOUT).bind(order.uuid()).fetch_optional(connection).await?;
    let Some(CheckoutRow { state, cart_id, cart_version, lines: Json(lines), deleted_products }) = found else {
        return Ok(None);
    };
    let state = CheckoutState::parse(&state).ok_or_else(|| StoreError::Broken("unknown state of a checkout".into()))?;
    let checkout = |(cart, version)| Checkout { order, cart: CartId::new(cart), version, lines };
    let deleted = deleted_products.into_iter().map(ProductId::new).collect();
    Ok(Some(StoredCheckout { state, checkout: cart_id.zip(cart_version).map(checkout), deleted }))
}

/// Completes the checkouts of orders that are in progress.
pub(super) async fn complete(connection: &mut Connection, orders: &[OrderId]) -> Result<(), StoreError> {
    const COMPLETE_CHECKOUTS: &str = include_str!("../../sql/complete_checkouts.sql");
    let orders: Vec<_> = orders.iter().map(|order| order.uuid()).collect();
    sqlx::query(COMPLETE_CHECKOUTS).bind(orders).execute(connection).await?;
    Ok(())
}

/// Deletes one batch of old checkouts. Returns how many were deleted.
pub(super) async fn sweep(connection: &mut Connection) -> Result<u64, StoreError> {
    const DELETE_OLD: &str = include_str!("../../sql/delete_old_checkouts.sql");
    let swept = sqlx::query(DELETE_OLD).bind(KEPT_DAYS).bind(ROWS_PER_SWEEP).execute(connection).await?;
    Ok(swept.rows_affected())
}
