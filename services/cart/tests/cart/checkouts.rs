//! Contract of the port `Checkouts`.

use agora_cart::{
    domain::{Checkout, CheckoutState, LINES_MAX, Refused},
    ports::{CartError, Carts as _, CheckoutError, Checkouts as _},
    postgres::PgCarts,
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{OrderId, UserId};

use crate::fixture::{Database, add, command, eur, held, line, order, product, put, quote, units, user};

async fn begin_checkout(carts: &PgCarts, order: OrderId, user: UserId) -> Result<Checkout, CheckoutError> {
    carts.begin_checkout(order, user, &command()).await.map(Outcome::into_inner)
}

async fn cancel_checkout(carts: &PgCarts, order: OrderId) -> CheckoutState {
    carts.cancel_checkout(order, &command()).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_checkout_moves_every_line_once() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, first, dedup_key) = (user(), order(), command());
    add(carts, me, product(), 2).await;
    add(carts, me, product(), 3).await;
    let taken = carts.begin_checkout(first, me, &dedup_key).await.unwrap();
    let lines: Vec<_> = taken.as_ref().into_inner().lines.iter().map(|line| line.quantity.get()).collect();
    assert_eq!((taken.as_ref().into_inner().version, lines), (2, vec![2, 3]));
    add(carts, me, product(), 9).await;
    assert_eq!(
        carts.begin_checkout(first, me, &dedup_key).await.unwrap(),
        Outcome::Duplicate(taken.as_ref().into_inner().clone())
    );
    assert_eq!(begin_checkout(carts, first, me).await.unwrap(), taken.into_inner());
    assert_eq!(held(carts, me).await, (4, vec![9]));
    assert_eq!(begin_checkout(carts, order(), me).await.unwrap().version, 4);
    database.check_event_numbers().await;
}

#[tokio::test]
async fn an_empty_cart_cannot_be_checked_out() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, late) = (user(), order());
    assert!(matches!(begin_checkout(carts, late, me).await, Err(CheckoutError::Empty)));
    add(carts, me, product(), 1).await;
    assert_eq!(begin_checkout(carts, late, me).await.unwrap().lines.len(), 1, "the rejected call wrote nothing");
    assert!(matches!(begin_checkout(carts, order(), me).await, Err(CheckoutError::Empty)));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn a_cancelled_checkout_adds_its_lines_to_the_cart() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, mine, chair, table, lamp) = (user(), order(), product(), product(), product());
    add(carts, me, chair, 9_000).await;
    add(carts, me, table, 2).await;
    begin_checkout(carts, mine, me).await.unwrap();
    add(carts, me, lamp, 1).await;
    add(carts, me, chair, 1_500).await;
    assert_eq!(cancel_checkout(carts, mine).await, CheckoutState::Returned);
    let lines = carts.find(me.into()).await.unwrap().cart.lines;
    let of = |id| lines.iter().find(|line| line.product == id).map(|line| line.quantity.get());
    assert_eq!((lines.len(), of(chair), of(table), of(lamp)), (3, Some(9_999), Some(2), Some(1)));
    assert_eq!(lines.iter().find(|line| line.product == table).unwrap().seen, eur(100));

    let (version, _) = held(carts, me).await;
    assert_eq!(version, 6);
    assert_eq!(cancel_checkout(carts, mine).await, CheckoutState::Returned);
    assert_eq!(held(carts, me).await.0, version);
    assert!(matches!(begin_checkout(carts, mine, me).await, Err(CheckoutError::Cancelled)));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn a_cancel_takes_precedence_over_a_late_checkout() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, never) = (user(), order());
    add(carts, me, product(), 1).await;
    assert_eq!(cancel_checkout(carts, never).await, CheckoutState::Returned);
    assert!(matches!(begin_checkout(carts, never, me).await, Err(CheckoutError::Cancelled)));
    assert_eq!(held(carts, me).await, (1, vec![1]));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn a_completed_checkout_cannot_be_cancelled() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, mine) = (user(), order());
    add(carts, me, product(), 1).await;
    let taken = begin_checkout(carts, mine, me).await.unwrap();
    carts.complete_checkouts(&[mine]).await.unwrap();
    assert_eq!(cancel_checkout(carts, mine).await, CheckoutState::Done);
    assert_eq!(begin_checkout(carts, mine, me).await.unwrap(), taken);
    assert_eq!(held(carts, me).await, (2, vec![]));

    let (unknown, next) = (order(), order());
    add(carts, me, product(), 1).await;
    begin_checkout(carts, next, me).await.unwrap();
    carts.complete_checkouts(&[next, unknown, mine, next]).await.unwrap();
    assert_eq!(cancel_checkout(carts, next).await, CheckoutState::Done);
    assert!(matches!(begin_checkout(carts, unknown, me).await, Err(CheckoutError::Empty)), "no checkout was stored");
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_limit_also_applies_to_a_cancelled_checkout() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, mine) = (user(), order());
    for _ in 0..LINES_MAX {
        add(carts, me, product(), 1).await;
    }
    let one_more = product();
    let refused = put(carts, me, &line(one_more, 1), &quote(&[one_more], 9), &DedupKey::None).await;
    assert!(matches!(refused, Err(CartError::Refused(Refused::TooManyLines))), "{refused:?}");

    carts.begin_checkout(mine, me, &command()).await.unwrap();
    add(carts, me, one_more, 1).await;
    carts.cancel_checkout(mine, &command()).await.unwrap();
    assert_eq!(held(carts, me).await.1.len(), LINES_MAX);
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_deletes_old_ended_checkouts_only() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, ended, under_way) = (user(), order(), order());
    add(carts, me, product(), 1).await;
    carts.begin_checkout(under_way, me, &command()).await.unwrap();
    carts.cancel_checkout(ended, &command()).await.unwrap();
    assert_eq!(carts.sweep().await.unwrap(), 0);
    let mut connection = database.db.acquire().await.unwrap();
    let begun = "update cart_checkout set created_at = created_at - interval '31 days'";
    sqlx::query(begun).execute(&mut *connection).await.unwrap();
    assert_eq!(carts.sweep().await.unwrap(), 0, "ended just now");
    let age = "update cart_checkout set updated_at = updated_at - interval '31 days'";
    sqlx::query(age).execute(&mut *connection).await.unwrap();
    assert_eq!(carts.sweep().await.unwrap(), 1);
    assert_eq!(carts.begin_checkout(under_way, me, &command()).await.unwrap().into_inner().lines[0].quantity, units(1));
}
