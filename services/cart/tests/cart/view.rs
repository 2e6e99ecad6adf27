//! The cart that a shopper sees: current prices and stock, or stored copies while the catalog is unavailable.

use agora_events::catalog::ProductEvent;
use agora_testkit::refused;
use agora_vocab::Money;
use serde_json::json;

use crate::{
    fixture::{eur, order, product},
    shop::{Shop, line_at, product_event},
};

#[tokio::test]
async fn a_cart_shows_current_prices_and_stock() {
    let shop = Shop::open().await;
    let (dearer, sold_out, gone) = (shop.list_product(9), shop.list_product(9), shop.list_product(9));
    for id in [dearer, sold_out, gone] {
        shop.add(id, 2).await.expect(201);
    }
    shop.catalog.list_product(dearer, 2, eur(2500), 9);
    shop.catalog.list_product(sold_out, 1, eur(1999), 1);
    shop.catalog.withdraw(gone);
    let cart = shop.cart().await;
    let seen: Vec<_> = cart.items.iter().map(|i| (i.price.amount, i.available, i.price_changed)).collect();
    assert_eq!(seen, [(2500, true, true), (1999, false, false), (1999, false, false)]);
    assert_eq!(cart.total, eur(2 * (2500 + 1999 + 1999)));

    shop.add(dearer, 1).await.expect(201);
    assert!(!shop.cart().await.items[0].price_changed, "the shopper has seen it now");
}

/// Defect of A (docs/DEFECTS.md): the cart could not be viewed without the product service, and waited for it without a limit.
#[tokio::test]
async fn ct7_without_the_catalog_a_cart_is_shown_from_copies_and_adding_fails() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    let first = shop.add(chair, 2).key("k").await.expect(201).body;
    let line = first["items"][0]["id"].clone();
    shop.deliver(&ProductEvent::Updated(product_event(chair, 2, eur(2100)))).await;
    shop.deliver(&ProductEvent::Updated(product_event(chair, 1, eur(1)))).await;
    shop.catalog.stop();

    let cart = shop.cart().await;
    let item = &cart.items[0];
    assert_eq!((item.name.as_str(), item.price, item.price_changed), ("Chair 2", eur(2100), true));
    assert!(!item.available, "stock is unknown");
    let change = |units: u32| shop.public.patch(&line_at(&line), json!({"quantity": units})).with(&shop.token);
    for answer in [shop.add(chair, 1).await, change(3).await] {
        refused(&answer, 503, "UNAVAILABLE", &[]);
        assert!(!answer.header("retry-after").is_empty());
    }
    assert_eq!(shop.add(chair, 2).key("k").await.expect(201).body, first, "a repetition needs no catalog");
    assert_eq!(change(1).await.expect(200).body["items"][0]["quantity"], 1, "nor do fewer units");
    shop.public.delete(&line_at(&line)).with(&shop.token).await.expect(204);
}

#[tokio::test]
async fn returned_lines_of_another_currency_do_not_break_the_cart() {
    let shop = Shop::open().await;
    let (chair, tea, mine) = (shop.list_product(9), product(), order());
    let yen = |amount| Money { amount, currency: "JPY".parse().unwrap() };
    shop.catalog.list_product(tea, 1, yen(500), 9);
    shop.add(chair, 2).await.expect(201);
    shop.begin_checkout(mine).await.expect(200);
    shop.add(tea, 3).await.expect(201);
    shop.cancel_checkout(mine).await.expect(200);

    let cart = shop.cart().await;
    assert_eq!((cart.items.len(), cart.items[0].product_id, cart.total), (1, tea, yen(1500)));
    let removed = &cart.removed[0];
    assert_eq!((removed.product_id, removed.quantity, removed.price), (chair, 2, eur(1999)));
    assert_eq!((removed.name.as_str(), removed.reason.as_str()), ("Chair 1", "currency"));
    shop.catalog.stop();
    assert_eq!(shop.cart().await.removed, cart.removed, "also without the catalog");

    let line = line_at(&json!(cart.items[0].id));
    shop.public.patch(&line, json!({"quantity": 1})).with(&shop.token).await.expect(200);
    assert_eq!(shop.cart().await.removed, [], "the shopper has seen it");
    let checkout = shop.begin_checkout(order()).await.expect(200).body;
    assert_eq!(checkout["lines"].as_array().unwrap().len(), 1);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn a_cart_that_was_stored_with_two_currencies_can_be_read_and_ordered() {
    let shop = Shop::open().await;
    let (chair, tea) = (shop.list_product(9), product());
    shop.add(chair, 2).await.expect(201);
    let mut connection = shop.database.db.acquire().await.unwrap();
    let mix = "update cart set lines = lines || jsonb_build_array(jsonb_set(jsonb_set(lines -> 0, '{product}', \
        to_jsonb($1::text)), '{seen,currency}', '\"JPY\"'))";
    sqlx::query(mix).bind(tea.to_string()).execute(&mut *connection).await.unwrap();
    drop(connection);
    let cart = shop.cart().await;
    assert_eq!((cart.items.len(), cart.total, cart.removed[0].product_id), (1, eur(2 * 1999), tea));
    shop.begin_checkout(order()).await.expect(200);
}
