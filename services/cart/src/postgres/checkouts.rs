//! Checkouts: the statements of the table `taking`, which move lines between carts and orders. The caller and the domain
//! decide which lines move.
//!
//! A new checkout is inserted after its cart is locked, contrary to the lock order of the other statements. No deadlock is
//! possible: the only other insert, a tombstone, locks no cart.

use std::collections::BTreeSet;

use agora_outbox::{Account, DedupKey, remembered, told};
use agora_vocab::{CartId, OrderId, ProductId, UserId};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{PgCarts, execute_guarded, rows};
use crate::{
    domain::{Cart, Checkout, CheckoutState, Line, merge_lines},
    ports::{CheckoutError, StoreError},
};

/// Retention of an ended checkout in days: longer than any command or event for it can be delayed.
const KEPT_DAYS: i32 = 30;
const ROWS_PER_SWEEP: i64 = 1_000;

/// A checkout as it was read.
pub(super) struct StoredCheckout {
    pub(super) state: CheckoutState,
    /// `None` for a tombstone.
    pub(super) checkout: Option<Checkout>,
    /// Owner of the cart.
    owner: Option<UserId>,
    /// Products of the checkout that are deleted.
    gone: BTreeSet<ProductId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    state: String,
    cart_id: Option<Uuid>,
    cart_version: Option<i64>,
    lines: Json<Vec<Line>>,
    user_id: Option<Uuid>,
    gone: Vec<Uuid>,
}

impl PgCarts {
    /// Moves every line of the user's cart to an order without checkout; `None` if the order has one or the cart has changed.
    pub(super) async fn move_lines(
        &self,
        connection: &mut PgConnection,
        order: OrderId,
        user: UserId,
        dedup_key: &DedupKey,
    ) -> Result<Option<Checkout>, CheckoutError> {
        const MOVE: &str = concat!(
            "with changed as (update cart set version = version + 1, updated_at = now() \
             where id = $2 and version = $3 and not exists (select from taking where order_id = $1) returning id), \
             emptied as (delete from cart_item where cart_id = $2 and exists (select from changed)), \
             filled as (insert into taking (order_id, state, cart_id, cart_version, lines) \
             select $1, 'taken', id, $3, $4 from changed), ",
            told!("$5", "changed"),
            ", ",
            remembered!("$5", "changed"),
            " select from changed"
        );
        let cart = rows::contents(connection, user).await?.cart;
        if cart.lines.is_empty() {
            return Err(CheckoutError::Empty);
        }
        let emptied = Cart { version: cart.version + 1, lines: Vec::new(), ..cart };
        let checkout = Checkout { order, cart: cart.id, version: cart.version, lines: cart.lines };
        let account = self.account(&emptied, Some(order), dedup_key, &checkout)?;
        let take = sqlx::query(MOVE)
            .bind(order.uuid())
            .bind(checkout.cart.uuid())
            .bind(checkout.version)
            .bind(Json(&checkout.lines))
            .bind(account.parameter());
        Ok(execute_guarded(connection, take, &account).await?.then_some(checkout))
    }

    /// Returns the lines of a checkout in progress to its cart. `false` if the checkout or the cart has changed concurrently,
    /// or if a product is being deleted: no line may be written after the product was removed from all carts.
    pub(super) async fn restore_lines(
        &self,
        connection: &mut PgConnection,
        StoredCheckout { checkout, owner, gone, .. }: StoredCheckout,
        order: OrderId,
        dedup_key: &DedupKey,
    ) -> Result<bool, StoreError> {
        const RESTORE_LINES: &str = concat!(
            "with kept as (select deleted from product_copy where product_id = any ($6) order by product_id for share), \
             asked as (select from taking where order_id = $1 and state = 'taken' for no key update), \
             changed as (update cart set version = $4, updated_at = now() where id = $2 and version = $3 \
             and exists (select from asked) and not exists (select from kept where deleted) returning id), \
             put as (insert into cart_item (id, cart_id, product_id, variant, quantity, seen_amount, seen_currency) \
             select l.id, changed.id, l.product_id, l.variant, l.quantity, l.amount, l.currency from changed cross join \
             unnest($5::uuid[], $6::uuid[], $7::text[], $8::int[], $9::bigint[], $10::text[]) \
             as l (id, product_id, variant, quantity, amount, currency) \
             on conflict on constraint cart_item_unique do update set quantity = excluded.quantity), \
             returned as (update taking set state = 'returned', updated_at = now() \
             where order_id = $1 and exists (select from changed)), ",
            told!("$11", "changed"),
            " select from changed"
        );
        let (Some(checkout), Some(owner)) = (checkout, owner) else { return close(connection, order).await };
        let before = rows::contents(connection, owner).await?.cart;
        let lines = merge_lines(before.lines.clone(), checkout.lines, &gone);
        let put: Vec<Line> = lines.iter().filter(|line| !before.lines.contains(line)).cloned().collect();
        let after = Cart { version: before.version + i64::from(!put.is_empty()), lines, ..before };
        let mut account = Account::new();
        if !put.is_empty() {
            self.append_updated(&mut account, &after, Some(order), dedup_key)?;
        }
        let restore_lines = sqlx::query(RESTORE_LINES)
            .bind(order.uuid())
            .bind(after.id.uuid())
            .bind(before.version)
            .bind(after.version)
            .bind(column(&put, |line| line.id.uuid()))
            .bind(column(&put, |line| line.product.uuid()))
            .bind(column(&put, |line| line.variant.as_str().to_owned()))
            .bind(column(&put, |line| rows::units(line.quantity)))
            .bind(column(&put, |line| line.seen.amount))
            .bind(column(&put, |line| line.seen.currency.as_str().to_owned()))
            .bind(account.parameter());
        execute_guarded(connection, restore_lines, &account).await
    }
}

fn column<T>(lines: &[Line], of: impl Fn(&Line) -> T) -> Vec<T> {
    lines.iter().map(of).collect()
}

/// Inserts the tombstone of a checkout; `false` if the order already has a row.
pub(super) async fn write_tombstone(connection: &mut PgConnection, order: OrderId) -> Result<bool, StoreError> {
    const WRITE_TOMBSTONE: &str = "insert into taking (order_id, state) values ($1, 'returned') on conflict do nothing";
    let inserted = sqlx::query(WRITE_TOMBSTONE).bind(order.uuid()).execute(connection).await?;
    Ok(inserted.rows_affected() == 1)
}

/// Reads the checkout of an order.
pub(super) async fn find(connection: &mut PgConnection, order: OrderId) -> Result<Option<StoredCheckout>, StoreError> {
    const FIND: &str = "select t.state, t.cart_id, t.cart_version, t.lines, c.user_id, \
        array(select p.product_id from jsonb_array_elements(t.lines) as line \
            join product_copy p on p.product_id = (line ->> 'product')::uuid where p.deleted) as gone \
        from taking t left join cart c on c.id = t.cart_id where t.order_id = $1";
    let found: Option<Row> = sqlx::query_as(FIND).bind(order.uuid()).fetch_optional(connection).await?;
    let Some(Row { state, cart_id, cart_version, lines: Json(lines), user_id, gone }) = found else { return Ok(None) };
    let state = CheckoutState::parse(&state).ok_or_else(|| StoreError::Broken("unknown state of a checkout".into()))?;
    let checkout = |(cart, version)| Checkout { order, cart: CartId::new(cart), version, lines };
    let checkout = cart_id.zip(cart_version).map(checkout);
    let gone = gone.into_iter().map(ProductId::new).collect();
    Ok(Some(StoredCheckout { state, checkout, owner: user_id.map(UserId::new), gone }))
}

/// Marks a checkout in progress as returned when its cart no longer exists; `false` if it is not in progress.
async fn close(connection: &mut PgConnection, order: OrderId) -> Result<bool, StoreError> {
    const CLOSE: &str =
        "update taking set state = 'returned', updated_at = now() where order_id = $1 and state = 'taken'";
    Ok(sqlx::query(CLOSE).bind(order.uuid()).execute(connection).await?.rows_affected() == 1)
}

/// Completes a checkout in progress; `false` if there is none.
pub(super) async fn complete_checkout(
    connection: &mut PgConnection,
    order: OrderId,
    dedup_key: &DedupKey,
) -> Result<bool, StoreError> {
    const COMPLETE: &str = concat!(
        "with changed as (update taking set state = 'done', updated_at = now() \
         where order_id = $1 and state = 'taken' returning order_id), ",
        remembered!("$2", "changed"),
        " select from changed"
    );
    let mut account = Account::new();
    account.store_result(dedup_key, &())?;
    let settle = sqlx::query(COMPLETE).bind(order.uuid()).bind(account.parameter());
    execute_guarded(connection, settle, &account).await
}

/// Deletes one batch of old checkouts. Returns how many were deleted.
pub(super) async fn sweep(connection: &mut PgConnection) -> Result<u64, StoreError> {
    const SWEEP: &str = "delete from taking where order_id in (select order_id from taking \
        where state <> 'taken' and updated_at < now() - make_interval(days => $1) limit $2 for update skip locked)";
    let swept = sqlx::query(SWEEP).bind(KEPT_DAYS).bind(ROWS_PER_SWEEP).execute(connection).await?;
    Ok(swept.rows_affected())
}
