//! What orders took out of carts. Knows the table of takings and how lines move; what may be taken or returned is decided
//! by the caller and the domain.
//!
//! A taking is written after its cart is locked, against the order of all others: who else writes it anew (the tombstone of
//! a give-back) asks for no cart.

use std::collections::BTreeSet;

use agora_outbox::{Account, Cause, remembered, told};
use agora_postgres::Tx;
use agora_vocab::{CartId, OrderId, ProductId, UserId};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{PgCarts, rows, unless_late};
use crate::{
    domain::{Cart, Line, Taking, TakingState, with_given_back},
    ports::{StoreError, TakeError},
};

/// How long a taking that ended is kept, in days: longer than any command or fact about it may be late.
const KEPT_DAYS: i32 = 30;
const ROWS_PER_SWEEP: i64 = 1_000;

impl PgCarts {
    /// Moves every line of the user's cart to an order that has no taking; `None` if it has one by now, or the cart changed.
    pub(super) async fn move_lines(
        &self,
        connection: &mut PgConnection,
        order: OrderId,
        user: UserId,
        cause: &Cause,
    ) -> Result<Option<Taking>, TakeError> {
        const MOVE: &str = concat!(
            "with changed as (update cart set version = version + 1, updated_at = now() \
             where id = $2 and version = $3 and not exists (select from taking where order_id = $1) returning id), \
             emptied as (delete from cart_item where cart_id = $2 and exists (select from changed)), \
             filled as (insert into taking (order_id, state, cart_id, cart_version, lines) \
             select $1, 'taken', id, $3, $4 from changed), ",
            told!("$5", "changed"),
            ", ",
            remembered!("$5", "changed"),
            " select exists (select from changed)"
        );
        let cart = rows::contents(connection, user).await?.cart;
        if cart.lines.is_empty() {
            return Err(TakeError::Empty);
        }
        let emptied = Cart { version: cart.version + 1, lines: Vec::new(), ..cart };
        let taking = Taking { order, cart: cart.id, version: cart.version, lines: cart.lines };
        let account = self.account(&emptied, Some(order), cause, &taking)?;
        let moved = sqlx::query_scalar(MOVE)
            .bind(order.uuid())
            .bind(taking.cart.uuid())
            .bind(taking.version)
            .bind(Json(&taking.lines))
            .bind(account.parameter().map_err(StoreError::from)?)
            .fetch_one(connection)
            .await;
        let moved = unless_late(moved)?;
        if moved {
            account.written();
        }
        Ok(moved.then_some(taking))
    }
}

/// Writes the tombstone of a taking; false if there is one, or the taking itself.
pub(super) async fn bury(tx: &mut Tx, order: OrderId) -> Result<bool, StoreError> {
    const BURY: &str = "insert into taking (order_id, state) values ($1, 'returned') on conflict do nothing";
    let buried = sqlx::query(BURY).bind(order.uuid()).execute(&mut **tx).await?;
    Ok(buried.rows_affected() == 1)
}

/// What is known of a taking, locked while the caller's transaction lasts; without content if it is a tombstone.
pub(super) async fn find(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<Option<(TakingState, Option<Taking>)>, StoreError> {
    const FIND: &str = "select state, cart_id, cart_version, lines from taking where order_id = $1 for no key update";
    type Row = (String, Option<Uuid>, Option<i64>, Json<Vec<Line>>);
    let found: Option<Row> = sqlx::query_as(FIND).bind(order.uuid()).fetch_optional(connection).await?;
    let Some((state, cart, version, Json(lines))) = found else { return Ok(None) };
    let state = TakingState::named(&state).ok_or_else(|| StoreError::Broken("a taking's state is not known".into()))?;
    let taking = cart.zip(version).map(|(cart, version)| Taking { order, cart: CartId::new(cart), version, lines });
    Ok(Some((state, taking)))
}

/// Adds a taking's lines to its cart; whose cart that is, if anything was added.
pub(super) async fn refill_cart(tx: &mut Tx, taking: &Taking) -> Result<Option<UserId>, StoreError> {
    const OWNER: &str = "select user_id from cart where id = $1 for no key update";
    const GONE: &str = "select product_id from product_copy where deleted and product_id = any($1)";
    const RAISE: &str = "update cart set version = version + 1, updated_at = now() where id = $1";
    let owner: Option<Uuid> = sqlx::query_scalar(OWNER).bind(taking.cart.uuid()).fetch_optional(&mut **tx).await?;
    let Some(user) = owner.map(UserId::new) else { return Ok(None) };
    let products: Vec<Uuid> = taking.lines.iter().map(|line| line.product.uuid()).collect();
    let gone: Vec<Uuid> = sqlx::query_scalar(GONE).bind(products).fetch_all(&mut **tx).await?;
    let gone: BTreeSet<ProductId> = gone.into_iter().map(ProductId::new).collect();

    let there = rows::contents(tx, user).await?.cart.lines;
    let lines = with_given_back(there.clone(), taking.lines.clone(), &gone);
    if lines == there {
        return Ok(None);
    }
    write(tx, taking.cart, &lines).await?;
    sqlx::query(RAISE).bind(taking.cart.uuid()).execute(&mut **tx).await?;
    Ok(Some(user))
}

/// Writes lines into a cart that is locked; those that are there get the quantity given here.
async fn write(tx: &mut Tx, cart: CartId, lines: &[Line]) -> Result<(), StoreError> {
    const WRITE: &str = "insert into cart_item (id, cart_id, product_id, variant, quantity, seen_amount, seen_currency) \
        select l.id, $1, l.product_id, l.variant, l.quantity, l.amount, l.currency \
        from unnest($2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::bigint[], $7::text[]) \
            as l (id, product_id, variant, quantity, amount, currency) \
        on conflict on constraint cart_item_unique do update set quantity = excluded.quantity";
    sqlx::query(WRITE)
        .bind(cart.uuid())
        .bind(lines.iter().map(|line| line.id.uuid()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.product.uuid()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.variant.as_str()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| rows::units(line.quantity)).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.seen.amount).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.seen.currency.as_str().to_owned()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that a taking whose lines the cart has again is returned.
pub(super) async fn mark_returned(tx: &mut Tx, order: OrderId) -> Result<(), StoreError> {
    const MARK: &str = "update taking set state = 'returned', updated_at = now() where order_id = $1";
    sqlx::query(MARK).bind(order.uuid()).execute(&mut **tx).await?;
    Ok(())
}

/// Notes that the order of a taking under way stands; whether there was one.
pub(super) async fn settle(connection: &mut PgConnection, order: OrderId, cause: &Cause) -> Result<bool, StoreError> {
    const SETTLE: &str = concat!(
        "with changed as (update taking set state = 'done', updated_at = now() \
         where order_id = $1 and state = 'taken' returning order_id), ",
        remembered!("$2", "changed"),
        " select exists (select from changed)"
    );
    let mut account = Account::new();
    account.remember(cause, &())?;
    let settled = sqlx::query_scalar(SETTLE).bind(order.uuid()).bind(account.parameter()?).fetch_one(connection).await;
    unless_late(settled)
}

/// Forgets some takings that ended long ago; how many.
pub(super) async fn sweep(connection: &mut PgConnection) -> Result<u64, StoreError> {
    const SWEEP: &str = "delete from taking where order_id in (select order_id from taking \
        where state <> 'taken' and updated_at < now() - make_interval(days => $1) limit $2 for update skip locked)";
    let swept = sqlx::query(SWEEP).bind(KEPT_DAYS).bind(ROWS_PER_SWEEP).execute(connection).await?;
    Ok(swept.rows_affected())
}
