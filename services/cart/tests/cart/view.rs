//! The cart that a shopper sees: current prices and stock, or stored copies while the catalog is unavailable.

use agora_events::catalog::ProductEvent;
use agora_testkit::refused;
use serde_json::json;

use crate::{
    fixture::eur,
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
async fn without_the_catalog_a_cart_is_shown_from_copies_and_adding_fails() {
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
