//! Lines of carts whose product has another price: what the cart shows, and their events.

use agora_cart::{
    consumer::handle,
    domain::ProductCopy,
    ports::{Carts as _, NewLine, ProductCopies as _},
};
use agora_events::catalog::{Product, ProductDeleted, ProductEvent, VariantPrice};
use agora_outbox::DedupKey;
use agora_vocab::{Epoch, Money, ProductId, Role};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    fixture::{Database, add, copy, eur, line, order, product, put, quote, red, user},
    shop::{Shop, envelope, line_at, product_event},
};

/// Cart, number and data of each event, in the order of the numbers.
async fn events(database: &Database) -> Vec<(Uuid, i64, Value)> {
    const EVENTS: &str = "select aggregate, seq, data::jsonb from outbox \
        where topic = 'cart-events' and kind = 'cart.line_repriced' order by aggregate, seq";
    let mut connection = database.db.acquire().await.unwrap();
    sqlx::query_as(EVENTS).fetch_all(&mut *connection).await.unwrap()
}

/// Previous and new price of each event, in the order of the numbers.
async fn changes(database: &Database) -> Vec<(i64, i64)> {
    let amount = |price: &Value| price["amount"].as_i64().unwrap();
    let found = events(database).await;
    found.iter().map(|(_, _, data)| (amount(&data["previousPrice"]), amount(&data["price"]))).collect()
}

impl Shop {
    /// Changes the price of a product in the catalog, whose event arrives twice.
    async fn reprice(&self, product: ProductId, version: i64, price: Money) {
        self.catalog.list_product(product, version, price, 99);
        self.deliver(&ProductEvent::Updated(product_event(product, version, price))).await;
    }

    /// Changes the own price of the variant red in the catalog, which gives the product a version; its event arrives twice.
    async fn reprice_red(&self, product: ProductId, version: i64, own: Option<Money>) {
        let price = self.catalog.price_of(product);
        self.catalog.list_product(product, version, price, 99);
        self.catalog.list_variant(product, "red", 9, own);
        let variant_prices = own.map(|price| VariantPrice { variant: "red".into(), price }).into_iter().collect();
        let event = Product { variant_prices, ..product_event(product, version, price) };
        self.deliver(&ProductEvent::Updated(event)).await;
    }

    /// Adds a unit of the variant red, whose own price is 30.00 EUR, and one of the product's default variant.
    async fn add_red_and_default(&self, product: ProductId) {
        self.catalog.list_variant(product, "red", 2, Some(eur(3000)));
        for variant in ["red", ""] {
            let body = json!({"productId": product, "quantity": 1, "variant": variant});
            self.public.post("/api/v1/cart/items", body).with(&self.token).await.expect(201);
        }
    }

    /// Reports until nothing is left, as the worker does. Returns how many pages there were.
    async fn report(&self) -> usize {
        const PAGES_MAX: usize = 1_000;
        for pages in 0..PAGES_MAX {
            if !self.service.report_repriced_lines().await.unwrap() {
                return pages;
            }
        }
        panic!("more than {PAGES_MAX} pages");
    }

    /// Price, previous price, and whether they differ, of the first line of the cart.
    async fn shown(&self) -> (Money, Option<Money>, bool) {
        let cart = self.cart().await;
        let item = &cart.items[0];
        (item.price, item.previous_price, item.price_changed)
    }
}

#[tokio::test]
async fn ct8_a_changed_price_is_shown_with_the_old_one_and_reported_once_for_each_line() {
    let shop = Shop::open().await;
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    let added = shop.add(chair, 1).await.expect(201).body;
    assert!(added["items"][0].get("previousPrice").is_none(), "{added}");
    shop.add(table, 1).await.expect(201);
    let other = user();
    let theirs = shop.public.post("/api/v1/cart/items", json!({"productId": chair, "quantity": 3}));
    theirs.with(&shop.keys.token(other, &[Role::Customer])).await.expect(201);
    assert_eq!(shop.report().await, 0);

    shop.reprice(chair, 2, eur(2500)).await;
    assert_eq!(shop.shown().await, (eur(2500), Some(eur(1999)), true));
    assert_eq!(shop.report().await, 1);
    let found = events(&shop.database).await;
    let owners: Vec<_> = found.iter().map(|(cart, seq, _)| (*cart, *seq)).collect();
    let mut expected = vec![(shop.me.uuid(), 3), (other.uuid(), 2)];
    expected.sort_unstable();
    assert_eq!(owners, expected);
    for (cart, seq, data) in &found {
        let expected = json!({
            "cartId": cart, "userId": cart, "version": seq, "productId": chair, "variant": "", "name": "Chair 2",
            "previousPrice": {"amount": 1999, "currency": "EUR"}, "price": {"amount": 2500, "currency": "EUR"},
        });
        assert_eq!(*data, expected);
    }
    // The event once more, an older one, one without another price, and a further run of the worker.
    shop.reprice(chair, 2, eur(2500)).await;
    shop.deliver(&ProductEvent::Updated(product_event(chair, 1, eur(1)))).await;
    assert_eq!(shop.report().await, 0);
    shop.reprice(chair, 3, eur(2500)).await;
    assert_eq!((shop.report().await, events(&shop.database).await), (0, found));
    assert_eq!(shop.shown().await, (eur(2500), Some(eur(1999)), true), "until the shopper changes the line");

    let line = line_at(&added["items"][0]["id"]);
    shop.public.patch(&line, json!({"quantity": 2})).with(&shop.token).await.expect(200);
    assert_eq!(shop.shown().await, (eur(2500), None, false));
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn ct8_a_price_that_goes_back_before_it_is_reported_is_no_change() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    shop.add(chair, 1).await.expect(201);
    shop.reprice(chair, 2, eur(2500)).await;
    shop.reprice(chair, 3, eur(1999)).await;
    assert_eq!(shop.shown().await, (eur(1999), None, false));
    assert_eq!(shop.report().await, 1, "the carts were searched");
    assert_eq!(changes(&shop.database).await, []);
    assert_eq!(shop.cart().await.version, 1);
}

#[tokio::test]
async fn ct8_a_price_that_goes_back_after_it_was_reported_is_reported_as_it_is_now() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    shop.add(chair, 1).await.expect(201);
    for (version, price, known) in [(2, 2500, 1999), (3, 2700, 2500), (4, 1999, 2700), (5, 1500, 1999)] {
        shop.reprice(chair, version, eur(price)).await;
        assert_eq!(shop.report().await, 1);
        assert_eq!(changes(&shop.database).await.last(), Some(&(known, price)));
    }
    assert_eq!(changes(&shop.database).await.len(), 4);
    assert_eq!(shop.shown().await, (eur(1500), Some(eur(1999)), true), "the shopper has seen the first price only");

    // The shopper looks before the worker does.
    shop.reprice(chair, 6, eur(1400)).await;
    shop.add(chair, 1).await.expect(201);
    assert_eq!(shop.report().await, 1);
    assert_eq!(changes(&shop.database).await.len(), 4, "the shopper has seen it");
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn ct8_the_events_of_one_batch_are_one_change_and_every_line_of_a_product_is_reported() {
    let shop = Shop::open().await;
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    shop.catalog.list_variant(chair, "red", 2, Some(eur(3000)));
    shop.catalog.list_variant(chair, "blue", 2, None);
    for variant in ["", "red", "blue"] {
        let body = json!({"productId": chair, "quantity": 1, "variant": variant});
        shop.public.post("/api/v1/cart/items", body).with(&shop.token).await.expect(201);
    }
    shop.add(table, 1).await.expect(201);
    shop.catalog.list_product(chair, 3, eur(2100), 99);
    shop.catalog.list_variant(chair, "red", 2, Some(eur(3000)));
    shop.catalog.list_variant(chair, "blue", 2, None);
    shop.catalog.list_product(table, 2, eur(50), 9);
    let batch = vec![
        envelope(&ProductEvent::Updated(product_event(chair, 2, eur(9000)))),
        envelope(&ProductEvent::Updated(product_event(table, 2, eur(50)))),
        envelope(&ProductEvent::Updated(product_event(chair, 3, eur(2100)))),
    ];
    handle(shop.service.clone(), batch).await.unwrap();
    assert_eq!(shop.report().await, 1, "products that changed together are searched for together");
    let found = events(&shop.database).await;
    let variants: Vec<_> = found.iter().map(|(_, _, data)| data["variant"].as_str().unwrap()).collect();
    assert_eq!(variants, ["", "blue", ""], "not the variant whose own price is the same");
    assert_eq!(changes(&shop.database).await, [(1999, 2100), (1999, 2100), (1999, 50)]);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn ct8_another_own_price_of_a_variant_is_shown_and_reported_once_for_its_line_alone() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    shop.add_red_and_default(chair).await;
    let changed = [(3000, Some(3500), 3500), (3500, None, 1999), (1999, Some(1500), 1500)];
    for (version, (known, own, price)) in (2..).zip(changed) {
        shop.reprice_red(chair, version, own.map(eur)).await;
        assert_eq!(shop.shown().await, (eur(price), Some(eur(3000)), true));
        assert_eq!((shop.report().await, shop.report().await), (1, 0));
        assert_eq!(changes(&shop.database).await.last(), Some(&(known, price)));
    }
    let found = events(&shop.database).await;
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|(_, _, data)| data["variant"] == "red"), "{found:?}");
    // A version without another price.
    shop.reprice_red(chair, 5, Some(eur(1500))).await;
    assert_eq!(shop.report().await, 0);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn ct8_the_own_price_of_a_variant_is_shown_by_the_copy_while_the_catalog_is_unavailable() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    shop.add_red_and_default(chair).await;
    shop.reprice_red(chair, 2, Some(eur(3500))).await;
    shop.catalog.stop();
    assert_eq!(shop.shown().await, (eur(3500), Some(eur(3000)), true));
}

#[tokio::test]
async fn ct9_a_deleted_product_is_reported_as_removed_and_not_as_repriced() {
    let shop = Shop::open().await;
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    shop.add(chair, 1).await.expect(201);
    shop.add(table, 1).await.expect(201);
    shop.reprice(chair, 2, eur(2500)).await;
    shop.reprice(table, 2, eur(2500)).await;
    // The event of the deletion arrives before the search, or after it.
    shop.catalog.withdraw(chair);
    shop.catalog.withdraw(table);
    shop.deliver(&ProductEvent::Deleted(ProductDeleted { product_id: chair, version: 3 })).await;
    assert_eq!(shop.report().await, 1);
    shop.deliver(&ProductEvent::Deleted(ProductDeleted { product_id: table, version: 3 })).await;
    assert_eq!((shop.report().await, changes(&shop.database).await), (0, vec![]));
    while shop.service.report_removed_lines().await.unwrap() {}
    assert_eq!(shop.cart().await.removed.len(), 2);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn ct8_a_price_is_reported_once_the_catalog_answers_and_not_by_a_quote_from_before() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    shop.add(chair, 1).await.expect(201);
    shop.catalog.stop();
    shop.deliver(&ProductEvent::Updated(product_event(chair, 2, eur(2500)))).await;
    assert_eq!(shop.shown().await, (eur(2500), Some(eur(1999)), true), "by the copy");
    assert!(shop.service.report_repriced_lines().await.is_err());
    shop.catalog.resume();
    // It still answers with version 1.
    assert_eq!((shop.report().await, changes(&shop.database).await), (0, vec![]));
    shop.catalog.list_product(chair, 2, eur(2500), 9);
    assert_eq!((shop.report().await, changes(&shop.database).await), (1, vec![(1999, 2500)]));
}

#[tokio::test]
async fn ct8_neither_the_carts_of_guests_nor_lines_that_left_a_cart_are_reported() {
    let shop = Shop::open().await;
    let (chair, token) = (shop.list_product(9), shop.guest().await);
    shop.add_as_guest(&token, chair, 1).await.expect(201);
    let added = shop.add(chair, 1).await.expect(201).body;
    shop.public.delete(&line_at(&added["items"][0]["id"])).with(&shop.token).await.expect(204);
    let mine = order();
    shop.add(chair, 1).await.expect(201);
    shop.begin_checkout(mine).await.expect(200);
    shop.reprice(chair, 2, eur(2500)).await;
    shop.report().await;
    assert_eq!(changes(&shop.database).await, []);
    let guests = shop.view_as_guest(&token).await.expect(200).body;
    assert_eq!(guests["items"][0]["previousPrice"], json!({"amount": 1999, "currency": "EUR"}), "a guest sees it");

    // The line comes back with the price that its shopper has seen, and the next change is reported.
    shop.cancel_checkout(mine).await.expect(200);
    assert_eq!(shop.shown().await, (eur(2500), Some(eur(1999)), true));
    shop.reprice(chair, 3, eur(2600)).await;
    shop.report().await;
    assert_eq!(changes(&shop.database).await, [(1999, 2600)]);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn ct8_carts_are_searched_for_repriced_lines_in_pages_and_each_once() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    shop.reprice(chair, 1, eur(1999)).await;
    let fill = "insert into cart (id, version, lines) select gen_random_uuid(), 1, jsonb_build_array(jsonb_build_object(\
        'id', gen_random_uuid(), 'product', $1::uuid, 'variant', '', 'quantity', 1, \
        'seen', jsonb_build_object('amount', 1999, 'currency', 'EUR'))) from generate_series(1, 1200)";
    let mut connection = shop.database.db.acquire().await.unwrap();
    sqlx::query(fill).bind(chair.uuid()).execute(&mut *connection).await.unwrap();
    drop(connection);
    shop.reprice(chair, 2, eur(2500)).await;
    assert_eq!(shop.report().await, 3);
    let found = events(&shop.database).await;
    assert_eq!(found.len(), 1_200);
    assert!(found.iter().all(|(_, seq, _)| *seq == 2));
    // A change between two pages begins again; carts of the first page get the price that came last.
    shop.reprice(chair, 3, eur(2600)).await;
    assert!(shop.service.report_repriced_lines().await.unwrap());
    shop.reprice(chair, 4, eur(2700)).await;
    assert_eq!(shop.report().await, 3);
    assert_eq!(shop.database.number("select count(*) from cart where version = 4").await, 500);
    assert_eq!(shop.database.number("select count(*) from cart where version = 3").await, 700);
    let known = "select count(*) from cart where lines -> 0 -> 'reported' ->> 'amount' = '2700'";
    assert_eq!(shop.database.number(known).await, 1_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ct8_concurrent_reports_and_changes_of_carts_report_no_price_twice_and_do_not_deadlock() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (chair, table, lamp) = (product(), product(), product());
    let shoppers: Vec<_> = (0..60).map(|_| user()).collect();
    for me in &shoppers {
        add(carts, *me, chair, 1).await;
        add(carts, *me, table, 1).await;
    }
    let (dearer, other) = (copy(chair, 2), copy(table, 2));
    let mut offered = quote(&[chair, table], 9);
    for quoted in offered.0.values_mut().flatten() {
        (quoted.price, quoted.copy) = (eur(200), copy(quoted.copy.product, 2));
    }
    carts.store_copies(std::slice::from_ref(&dearer)).await.unwrap();
    let report = async || {
        while let Some(repriced) = carts.repriced_products().await.unwrap() {
            if !carts.report_repriced_lines(&repriced, &offered).await.unwrap() {
                break;
            }
        }
    };
    let reporting = join_all((0..4).map(|_| report()));
    let changing = join_all(shoppers.iter().map(|me| add(carts, *me, lamp, 1)));
    let repricing = carts.store_copies(std::slice::from_ref(&other));
    let (_, _, stored) = futures::join!(reporting, changing, repricing);
    stored.unwrap();
    report().await;
    let mut found: Vec<_> =
        events(&database).await.into_iter().map(|(cart, _, data)| (cart, data["productId"].to_string())).collect();
    assert_eq!(found.len(), 120);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 120);
    for me in &shoppers {
        assert_eq!(carts.find((*me).into()).await.unwrap().cart.lines.len(), 3);
    }
    database.check_event_numbers().await;
}

#[tokio::test]
async fn ct8_a_restored_catalog_reprices_by_its_own_versions() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    add(carts, me, chair, 1).await;
    put(carts, me, &NewLine { variant: red(), ..line(chair, 1) }, &quote(&[chair], 9), &DedupKey::None).await.unwrap();
    carts.store_copies(&[copy(chair, 9)]).await.unwrap();
    let restored = ProductCopy { epoch: Epoch(1), ..copy(chair, 2) };
    carts.store_copies(std::slice::from_ref(&restored)).await.unwrap();
    let repriced = carts.repriced_products().await.unwrap().unwrap();
    let lost = quote(&[chair], 9);
    assert!(!carts.report_repriced_lines(&repriced, &lost).await.unwrap(), "a quote of the lost timeline");
    let mut current = lost.clone();
    for quoted in current.0.values_mut().flatten() {
        (quoted.price, quoted.copy) = (eur(200), restored.clone());
    }
    assert!(carts.report_repriced_lines(&repriced, &current).await.unwrap());
    assert_eq!(changes(&database).await, [(100, 200), (100, 200)]);
    assert_eq!(carts.repriced_products().await.unwrap(), None);
    database.check_event_numbers().await;
}
