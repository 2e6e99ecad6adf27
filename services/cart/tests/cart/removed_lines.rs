//! Events of lines that left carts because their product was deleted.

use agora_cart::{
    domain::ProductCopy,
    ports::{Carts as _, NewLine, ProductCopies as _},
};
use agora_events::catalog::{ProductDeleted, ProductEvent};
use agora_outbox::DedupKey;
use agora_vocab::{Epoch, ProductId};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    fixture::{Database, add, copy, deleted, held, line, product, put, quote, red, user},
    shop::Shop,
};

/// Reports until nothing is left. Returns how many pages there were.
async fn report(database: &Database) -> usize {
    const PAGES_MAX: usize = 1_000;
    for pages in 0..PAGES_MAX {
        if !database.carts.report_removed_lines().await.unwrap() {
            return pages;
        }
    }
    panic!("more than {PAGES_MAX} pages");
}

/// Cart, number and data of each event, in the order of the numbers.
async fn events(database: &Database) -> Vec<(Uuid, i64, Value)> {
    const EVENTS: &str = "select aggregate, seq, data::jsonb from outbox \
        where topic = 'cart-events' and kind = 'cart.line_removed' order by aggregate, seq";
    let mut connection = database.db.acquire().await.unwrap();
    sqlx::query_as(EVENTS).fetch_all(&mut *connection).await.unwrap()
}

/// Products of the events.
fn products(events: &[(Uuid, i64, Value)]) -> Vec<ProductId> {
    events.iter().map(|(_, _, data)| serde_json::from_value(data["productId"].clone()).unwrap()).collect()
}

#[tokio::test]
async fn ct9_a_deleted_product_is_reported_once_for_each_cart_that_had_it() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, you, other, chair, table) = (user(), user(), user(), product(), product());
    add(carts, me, chair, 1).await;
    put(carts, me, &NewLine { variant: red(), ..line(chair, 1) }, &quote(&[chair], 9), &DedupKey::None).await.unwrap();
    add(carts, you, chair, 5).await;
    add(carts, other, table, 1).await;
    assert_eq!(report(&database).await, 0);
    carts.store_copies(&[deleted(chair, 2)]).await.unwrap();
    assert_eq!(report(&database).await, 1);

    let found = events(&database).await;
    let mut owners: Vec<_> = found.iter().map(|(cart, seq, _)| (*cart, *seq)).collect();
    owners.sort_unstable();
    let mut expected = vec![(me.uuid(), 3), (you.uuid(), 2)];
    expected.sort_unstable();
    assert_eq!(owners, expected, "once, also for a product of two lines");
    let (cart, seq, data) = &found[0];
    assert_eq!(
        *data,
        json!({
            "cartId": cart, "userId": cart, "version": seq, "productId": chair, "name": "Chair 1", "reason": "deleted",
        })
    );
    // A repeated event, and a second run.
    carts.store_copies(&[deleted(chair, 2)]).await.unwrap();
    assert_eq!((report(&database).await, events(&database).await), (0, found));
    assert_eq!((held(carts, me).await, held(carts, you).await), ((3, vec![]), (2, vec![])));
    let removed = carts.find(you.into()).await.unwrap().cart.removed;
    assert_eq!(removed.len(), 1, "the cart lists it until the next change");
    add(carts, you, table, 1).await;
    assert_eq!(held(carts, you).await, (3, vec![1]));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn products_that_are_deleted_together_are_reported_by_one_reading_of_the_carts() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair, table, lamp) = (user(), product(), product(), product());
    for id in [chair, table, lamp] {
        add(carts, me, id, 1).await;
    }
    carts.store_copies(&[deleted(chair, 2), deleted(table, 2), deleted(product(), 1)]).await.unwrap();
    assert_eq!(report(&database).await, 1);
    let found = events(&database).await;
    let (mut reported, mut expected) = (products(&found), vec![chair, table]);
    reported.sort_unstable();
    expected.sort_unstable();
    assert_eq!((reported, held(carts, me).await), (expected, (5, vec![1])));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn a_cart_that_no_longer_has_the_line_and_a_product_that_came_back_are_not_reported() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (changed, emptied, me, chair, table) = (user(), user(), user(), product(), product());
    add(carts, changed, chair, 1).await;
    let id = add(carts, emptied, chair, 1).await.items[0].line.id;
    carts.remove(emptied.into(), id, &DedupKey::None).await.unwrap();
    add(carts, me, table, 1).await;
    carts.store_copies(&[deleted(chair, 2), deleted(table, 2)]).await.unwrap();
    add(carts, changed, product(), 1).await;
    let restored = ProductCopy { epoch: Epoch(1), ..copy(table, 1) };
    carts.store_copies(&[restored]).await.unwrap();
    report(&database).await;
    assert_eq!(events(&database).await, []);
    assert_eq!(held(carts, me).await, (1, vec![1]));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn carts_are_searched_in_pages_and_each_once() {
    let database = Database::create().await;
    let carts = &database.carts;
    let chair = product();
    let fill = "insert into cart (id, version, lines) select gen_random_uuid(), 1, jsonb_build_array(jsonb_build_object(\
        'id', gen_random_uuid(), 'product', $1::uuid, 'variant', '', 'quantity', 1, \
        'seen', jsonb_build_object('amount', 100, 'currency', 'EUR'))) from generate_series(1, 1200)";
    let mut connection = database.db.acquire().await.unwrap();
    sqlx::query(fill).bind(chair.uuid()).execute(&mut *connection).await.unwrap();
    drop(connection);
    carts.store_copies(&[deleted(chair, 2)]).await.unwrap();
    assert_eq!(report(&database).await, 3);
    let found = events(&database).await;
    assert_eq!(found.len(), 1_200);
    assert!(found.iter().all(|(_, seq, _)| *seq == 2));
    assert_eq!(database.number("select count(*) from cart where version = 2").await, 1_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_reports_and_changes_of_carts_report_no_cart_twice_and_do_not_deadlock() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (chair, table, lamp) = (product(), product(), product());
    let shoppers: Vec<_> = (0..60).map(|_| user()).collect();
    for me in &shoppers {
        add(carts, *me, chair, 1).await;
        add(carts, *me, table, 1).await;
    }
    carts.store_copies(&[deleted(chair, 2)]).await.unwrap();
    let reporting = join_all((0..4).map(|_| report(&database)));
    let changing = join_all(shoppers.iter().map(|me| add(carts, *me, lamp, 1)));
    let gone = deleted(table, 2);
    let deleting = carts.store_copies(std::slice::from_ref(&gone));
    let (_, _, stored) = futures::join!(reporting, changing, deleting);
    stored.unwrap();
    report(&database).await;
    let mut found: Vec<_> =
        events(&database).await.into_iter().map(|(cart, _, data)| (cart, data["productId"].to_string())).collect();
    let all = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), all);
    for me in &shoppers {
        assert_eq!(carts.find((*me).into()).await.unwrap().cart.lines.len(), 1, "the lamp");
    }
    database.check_event_numbers().await;
}

#[tokio::test]
async fn the_carts_of_guests_are_not_reported() {
    let shop = Shop::open().await;
    let (chair, token) = (shop.list_product(9), shop.guest().await);
    shop.add_as_guest(&token, chair, 1).await.expect(201);
    shop.add(chair, 1).await.expect(201);
    shop.deliver(&ProductEvent::Deleted(ProductDeleted { product_id: chair, version: 2 })).await;
    while shop.service.report_removed_lines().await.unwrap() {}
    assert_eq!(products(&events(&shop.database).await), [chair], "the user's");
    let cart = shop.view_as_guest(&token).await.expect(200).body;
    assert_eq!((cart["items"].as_array().unwrap().len(), &cart["removed"][0]["reason"]), (0, &json!("deleted")));
    shop.database.check_event_numbers().await;
}
