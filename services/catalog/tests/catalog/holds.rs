//! Contract of the port `Holds`.

use agora_catalog::{
    domain::{Adjustment, Expected, Hold, HoldState, Reservation, StockLocation},
    ports::{Holds as _, Products as _, Stock as _},
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::WarehouseId;
use sqlx::Row as _;
use uuid::Uuid;

use crate::fixture::{Database, command, fresh, held, hold, lines, main_location, reserve, seconds, stock_of, stocked};

#[tokio::test]
async fn ca18_a_hold_is_all_or_nothing_and_reports_every_shortage() {
    let database = &Database::create().await;
    let (plenty, few, none) = (stocked(database, 10).await, stocked(database, 1).await, stocked(database, 0).await);
    let refused = reserve(database, hold(1), &[(plenty, 1), (few, 1), (few, 1), (none, 7)]).await;
    let Reservation::Short(mut short) = refused else { panic!("{refused:?}") };
    short.sort_by_key(|shortage| shortage.requested);
    let seen: Vec<_> = short.iter().map(|s| (s.product, s.requested, s.available)).collect();
    assert_eq!(seen, [(few, 2, 1), (none, 7, 0)]);
    assert_eq!((stock_of(database, plenty).await, stock_of(database, few).await), (10, 1));

    assert!(held(&reserve(database, hold(1), &[(plenty, 10), (few, 1)]).await));
    assert_eq!((stock_of(database, plenty).await, stock_of(database, few).await), (0, 0));
    database.check_invariants().await;
}

#[tokio::test]
async fn a_duplicate_command_returns_the_first_result() {
    let database = &Database::create().await;
    let id = stocked(database, 2).await;
    let (mine, message, wanted) = (hold(1), command(), lines(&[(id, 2)]));
    let first = database.store.reserve(mine, &wanted, seconds(900), message).await.unwrap();
    let again = database.store.reserve(mine, &wanted, seconds(900), message).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(first.as_ref().into_inner().clone()));
    let under_another_id = database.store.reserve(mine, &wanted, seconds(1), command()).await.unwrap();
    assert_eq!(under_another_id.into_inner(), first.into_inner());
    assert_eq!(stock_of(database, id).await, 0);

    let (late, message) = (hold(1), command());
    let refused = database.store.reserve(late, &wanted, seconds(900), message).await.unwrap().into_inner();
    assert!(matches!(refused, Reservation::Short(_)));
    database.store.release(mine, command()).await.unwrap();
    let again = database.store.reserve(late, &wanted, seconds(900), message).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(refused.clone()));

    assert_eq!(database.store.commit(late, command()).await.unwrap().into_inner(), HoldState::Unknown);
    assert!(held(&reserve(database, late, &[(id, 2)]).await), "another command can reserve the hold");
    assert_eq!(stock_of(database, id).await, 0);
    database.check_invariants().await;
}

#[tokio::test]
async fn a_duplicate_after_the_end_of_a_hold_returns_the_first_result() {
    let database = &Database::create().await;
    let id = stocked(database, 2).await;
    let (mine, [first, sold, ended]) = (hold(1), [command(), command(), command()]);
    let stock = &database.store;
    let held = stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), first).await.unwrap().into_inner();
    stock.commit(mine, sold).await.unwrap();
    stock.release(mine, ended).await.unwrap();
    let again = stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), first).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(held));
    assert_eq!(stock.commit(mine, sold).await.unwrap(), Outcome::Duplicate(HoldState::Committed));
    assert_eq!(stock.release(mine, ended).await.unwrap(), Outcome::Duplicate(HoldState::Released));
    assert_eq!(stock_of(database, id).await, 2);
    database.check_invariants().await;
}

#[tokio::test]
async fn a_rejected_hold_that_is_released_cannot_be_reserved() {
    let database = &Database::create().await;
    let id = stocked(database, 1).await;
    let (mine, [first, ended]) = (hold(1), [command(), command()]);
    let stock = &database.store;
    let short = stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), first).await.unwrap().into_inner();
    assert!(matches!(short, Reservation::Short(_)), "{short:?}");
    assert_eq!(stock.release(mine, ended).await.unwrap(), Outcome::Applied(HoldState::Tombstone));
    assert_eq!(stock.release(mine, ended).await.unwrap(), Outcome::Duplicate(HoldState::Tombstone));
    let again = stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), first).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(short));
    assert_eq!(reserve(database, mine, &[(id, 1)]).await, Reservation::Cancelled);
    assert_eq!(stock_of(database, id).await, 1);
    database.check_invariants().await;
}

#[tokio::test]
async fn the_states_of_existing_holds_are_returned() {
    let database = &Database::create().await;
    let id = stocked(database, 9).await;
    let (live, sold, freed, unknown) = (hold(1), hold(1), hold(1), hold(1));
    for hold in [live, sold, freed] {
        assert!(held(&reserve(database, hold, &[(id, 1)]).await));
    }
    database.store.commit(sold, command()).await.unwrap();
    database.store.release(freed, command()).await.unwrap();
    let states = database.store.hold_states(&[live, sold, freed, unknown]).await.unwrap();
    let expected = [(live, HoldState::Held), (sold, HoldState::Committed), (freed, HoldState::Released)];
    assert_eq!(states, expected.into_iter().collect());
    database.check_invariants().await;
}

#[tokio::test]
async fn commit_changes_only_a_held_hold() {
    let database = &Database::create().await;
    let id = stocked(database, 3).await;
    let (mine, message) = (hold(1), command());
    let commit = |hold, message| async move { database.store.commit(hold, message).await.unwrap() };
    assert_eq!(commit(mine, command()).await, Outcome::Applied(HoldState::Unknown));
    assert!(held(&reserve(database, mine, &[(id, 2)]).await));
    assert_eq!(commit(mine, message).await, Outcome::Applied(HoldState::Committed));
    assert_eq!(commit(mine, message).await, Outcome::Duplicate(HoldState::Committed));
    assert_eq!(commit(mine, command()).await, Outcome::Applied(HoldState::Committed));
    assert_eq!(stock_of(database, id).await, 1);
    assert!(held(&reserve(database, mine, &[(id, 2)]).await), "the hold does not change");
    assert_eq!(stock_of(database, id).await, 1);

    let other = hold(1);
    assert!(held(&reserve(database, other, &[(id, 1)]).await));
    database.store.release(other, command()).await.unwrap();
    assert_eq!(commit(other, command()).await, Outcome::Applied(HoldState::Released));
    assert_eq!(stock_of(database, id).await, 1);
    database.check_invariants().await;
}

#[tokio::test]
async fn ca20_a_release_frees_or_returns_units_or_writes_a_tombstone() {
    let database = &Database::create().await;
    let id = stocked(database, 3).await;
    let release = |hold| async move { database.store.release(hold, command()).await.unwrap().into_inner() };
    let mine = hold(1);
    assert!(held(&reserve(database, mine, &[(id, 2)]).await));
    assert_eq!(release(mine).await, HoldState::Released);
    assert_eq!(release(mine).await, HoldState::Released);
    assert_eq!(reserve(database, mine, &[(id, 2)]).await, Reservation::Cancelled);
    assert_eq!(stock_of(database, id).await, 3);

    let sold = Hold { number: 2, ..mine };
    assert!(held(&reserve(database, sold, &[(id, 3)]).await), "each hold of an order has a life of its own");
    database.store.commit(sold, command()).await.unwrap();
    assert_eq!(stock_of(database, id).await, 0);
    assert_eq!(release(sold).await, HoldState::Released);
    assert_eq!(stock_of(database, id).await, 3);

    let never = hold(1);
    assert_eq!(release(never).await, HoldState::Tombstone);
    assert_eq!(release(never).await, HoldState::Tombstone);
    assert_eq!(reserve(database, never, &[(id, 1)]).await, Reservation::Cancelled);
    assert_eq!(database.store.commit(never, command()).await.unwrap().into_inner(), HoldState::Tombstone);
    assert_eq!(stock_of(database, id).await, 3);
    database.check_invariants().await;
}

#[tokio::test]
async fn an_expired_hold_frees_its_units_and_stays_expired() {
    let database = &Database::create().await;
    let id = stocked(database, 2).await;
    let (short, long) = (hold(1), hold(1));
    for (hold, lasts) in [(short, 60), (long, 600)] {
        let one = database.store.reserve(hold, &lines(&[(id, 1)]), seconds(lasts), command()).await.unwrap();
        assert!(held(one.as_ref().into_inner()));
    }
    database.pass(61).await;
    let mut ended = Vec::new();
    while let Some(hold) = database.store.expire_one().await.unwrap() {
        ended.push(hold);
    }
    assert!(ended.contains(&short) && !ended.contains(&long), "{ended:?}");
    assert_eq!(stock_of(database, id).await, 1);

    assert_eq!(database.store.commit(short, command()).await.unwrap().into_inner(), HoldState::Expired);
    assert_eq!(database.store.release(short, command()).await.unwrap().into_inner(), HoldState::Expired);
    assert_eq!(reserve(database, short, &[(id, 1)]).await, Reservation::Cancelled);
    assert!(held(&reserve(database, Hold { number: 2, ..short }, &[(id, 1)]).await));
    assert_eq!(stock_of(database, id).await, 0);
    database.check_invariants().await;
}

#[tokio::test]
async fn a_deleted_product_cannot_be_reserved_and_keeps_its_holds() {
    let database = &Database::create().await;
    let id = stocked(database, 3).await;
    let mine = hold(1);
    assert!(held(&reserve(database, mine, &[(id, 1)]).await));
    database.store.remove(id, &Expected::ANY, &DedupKey::None).await.unwrap();
    let refused = reserve(database, hold(1), &[(id, 1)]).await;
    assert!(matches!(&refused, Reservation::Short(short) if short[0].available == 0), "{refused:?}");
    assert_eq!(database.store.commit(mine, command()).await.unwrap().into_inner(), HoldState::Committed);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_an_ended_hold_writes_nothing() {
    const WRITTEN: &str = "select (select count(*) from outbox) + (select sum(xmin::text::bigint) from hold)::bigint";
    let database = &Database::create().await;
    let id = stocked(database, 9).await;
    let (sold, freed, tombstone) = (hold(1), hold(1), hold(1));
    for hold in [sold, freed] {
        database.store.reserve(hold, &lines(&[(id, 2)]), seconds(900), command()).await.unwrap();
    }
    // The event does what the saga has not done, once.
    let (first, late) = (fresh(), fresh());
    for done in [Outcome::Applied(HoldState::Committed), Outcome::Duplicate(HoldState::Committed)] {
        assert_eq!(database.store.commit(sold, first).await.unwrap(), done);
    }
    for done in [Outcome::Applied(HoldState::Released), Outcome::Duplicate(HoldState::Released)] {
        assert_eq!(database.store.release(freed, late).await.unwrap(), done);
    }
    database.store.release(tombstone, command()).await.unwrap();

    let before = database.count(WRITTEN).await;
    assert_eq!(database.store.commit(sold, fresh()).await.unwrap().into_inner(), HoldState::Committed);
    assert_eq!(database.store.commit(freed, fresh()).await.unwrap().into_inner(), HoldState::Released);
    assert_eq!(database.store.release(freed, fresh()).await.unwrap().into_inner(), HoldState::Released);
    assert_eq!(database.store.release(tombstone, fresh()).await.unwrap().into_inner(), HoldState::Tombstone);
    assert_eq!(database.count(WRITTEN).await, before);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ca14_a_hold_is_filled_by_warehouse_priority_and_over_several_warehouses() {
    let database = &Database::create().await;
    let id = stocked(database, 5).await;
    let first = database.warehouse(-1).await;
    let location = StockLocation { warehouse: first, ..main_location(id) };
    database.store.adjust(&location, Adjustment::Set(2), "admin", &DedupKey::None).await.unwrap();
    let mine = hold(1);
    database.store.reserve(mine, &lines(&[(id, 3)]), seconds(900), command()).await.unwrap();

    let mut connection = database.db.acquire().await.unwrap();
    let rows = sqlx::query(
        "select l.warehouse_id, l.quantity::bigint from hold h cross join lateral unnest(h.lines) as l \
        where h.order_id = $1 order by l.quantity desc",
    )
    .bind(mine.order.uuid())
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let parts: Vec<(Uuid, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(parts, [(first.uuid(), 2), (WarehouseId::MAIN.uuid(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_deletes_old_unsold_holds_only() {
    let database = &Database::create().await;
    let product = stocked(database, 9).await;
    let (freed, sold, live, tombstone) = (hold(1), hold(1), hold(1), hold(1));
    for hold in [freed, sold, live] {
        database.store.reserve(hold, &lines(&[(product, 2)]), seconds(900), command()).await.unwrap();
    }
    database.store.release(freed, command()).await.unwrap();
    database.store.commit(sold, command()).await.unwrap();
    database.store.release(tombstone, command()).await.unwrap();
    assert_eq!(database.store.sweep().await.unwrap(), 0, "a late reserve is still refused");

    let age = "update hold set ended_at = ended_at - interval '31 days'";
    sqlx::query(age).execute(&mut *database.db.acquire().await.unwrap()).await.unwrap();
    assert_eq!(database.store.sweep().await.unwrap(), 2);
    assert_eq!(database.store.sweep().await.unwrap(), 0);

    assert_eq!(database.store.release(sold, command()).await.unwrap().into_inner(), HoldState::Released);
    assert_eq!(database.store.commit(live, command()).await.unwrap().into_inner(), HoldState::Committed);
    assert_eq!(stock_of(database, product).await, 7, "what was sold can come back whatever its age");
    database.check_invariants().await;
}
