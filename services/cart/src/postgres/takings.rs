//! What orders took out of carts. Knows the table of takings and how lines move; what may be taken or returned is decided
//! by the caller and the domain.

use std::collections::BTreeSet;

use agora_postgres::Tx;
use agora_vocab::{CartId, OrderId, ProductId, UserId};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::rows;
use crate::{
    domain::{Cart, Line, Taking, TakingState, with_given_back},
    ports::StoreError,
};

/// How long a taking that ended is kept, in days: longer than any command or fact about it may be late.
const KEPT_DAYS: i32 = 30;
const ROWS_PER_SWEEP: i64 = 1_000;

/// Writes a taking, empty yet; false if there is one, or its tombstone.
pub(super) async fn open(tx: &mut Tx, order: OrderId, state: TakingState) -> Result<bool, StoreError> {
    const OPEN: &str = "insert into taking (order_id, state) values ($1, $2) on conflict do nothing";
    let opened = sqlx::query(OPEN).bind(order.uuid()).bind(state.as_str()).execute(&mut **tx).await?;
    Ok(opened.rows_affected() == 1)
}

/// A taking that exists, locked; without content if it is a tombstone.
pub(super) async fn find(tx: &mut Tx, order: OrderId) -> Result<(TakingState, Option<Taking>), StoreError> {
    const FIND: &str = "select state, cart_id, cart_version, lines from taking where order_id = $1 for no key update";
    type Row = (String, Option<Uuid>, Option<i64>, Json<Vec<Line>>);
    let found: Option<Row> = sqlx::query_as(FIND).bind(order.uuid()).fetch_optional(&mut **tx).await?;
    // It was there a moment ago: who had written it has taken it back.
    let (state, cart, version, Json(lines)) = found.ok_or(StoreError::Running)?;
    let state = TakingState::named(&state).ok_or_else(|| StoreError::Broken("a taking's state is not known".into()))?;
    let taking = cart.zip(version).map(|(cart, version)| Taking { order, cart: CartId::new(cart), version, lines });
    Ok((state, taking))
}

/// Moves every line of the user's cart into a taking that was opened; `None` if there is no line.
pub(super) async fn empty_cart(tx: &mut Tx, order: OrderId, user: UserId) -> Result<Option<Taking>, StoreError> {
    const LOCK: &str = "select version from cart where user_id = $1 for no key update";
    const MOVE: &str = "with emptied as (delete from cart_item where cart_id = $2), \
        filled as (update taking set cart_id = $2, cart_version = $3, lines = $4 where order_id = $1) \
        update cart set version = version + 1, updated_at = now() where id = $2";
    // Locked in a statement of its own, so that what is read next is what the last holder left.
    sqlx::query(LOCK).bind(user.uuid()).execute(&mut **tx).await?;
    let Cart { id, user: _, version, lines } = rows::contents(tx, user).await?.cart;
    if lines.is_empty() {
        return Ok(None);
    }
    sqlx::query(MOVE).bind(order.uuid()).bind(id.uuid()).bind(version).bind(Json(&lines)).execute(&mut **tx).await?;
    Ok(Some(Taking { order, cart: id, version, lines }))
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

/// Ends a taking that is under way; any other stays as it is.
pub(super) async fn mark(tx: &mut Tx, order: OrderId, state: TakingState) -> Result<(), StoreError> {
    const MARK: &str = "update taking set state = $2, updated_at = now() where order_id = $1 and state = 'taken'";
    sqlx::query(MARK).bind(order.uuid()).bind(state.as_str()).execute(&mut **tx).await?;
    Ok(())
}

/// Forgets some takings that ended long ago; how many.
pub(super) async fn sweep(connection: &mut PgConnection) -> Result<u64, StoreError> {
    const SWEEP: &str = "delete from taking where order_id in (select order_id from taking \
        where state <> 'taken' and updated_at < now() - make_interval(days => $1) limit $2 for update skip locked)";
    let swept = sqlx::query(SWEEP).bind(KEPT_DAYS).bind(ROWS_PER_SWEEP).execute(connection).await?;
    Ok(swept.rows_affected())
}
