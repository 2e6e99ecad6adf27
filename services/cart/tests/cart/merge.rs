//! The merge of a guest's cart into the cart of the user who logs in.

use agora_api::cart as api;
use agora_testkit::refused;
use agora_vocab::{Money, ProductId, Role};
use futures::future::{join, join_all};
use serde_json::{Value, json};

use crate::{
    fixture::{eur, order, product, user},
    shop::{GUEST_CART, Shop},
};

/// Products and units of a cart's lines.
fn held(cart: &api::Cart) -> Vec<(ProductId, u32)> {
    cart.items.iter().map(|item| (item.product_id, item.quantity)).collect()
}

/// Products, units and reasons of what is not part of a cart.
fn removed(cart: &api::Cart) -> Vec<(ProductId, u32, &str)> {
    cart.removed.iter().map(|line| (line.product_id, line.quantity, line.reason.as_str())).collect()
}

#[tokio::test]
async fn a_merge_adds_the_lines_of_the_guest_and_deletes_the_guests_cart() {
    let shop = Shop::open().await;
    let (chair, table, lamp, token) =
        (shop.list_product(9), shop.list_product(9), shop.list_product(9), shop.guest().await);
    shop.catalog.list_variant(chair, "red", 2, None);
    shop.add(chair, 1).await.expect(201);
    shop.add(lamp, 1).await.expect(201);
    shop.add_as_guest(&token, chair, 2).await.expect(201);
    shop.add_as_guest(&token, table, 3).await.expect(201);
    let red = json!({"productId": chair, "quantity": 1, "variant": "red"});
    shop.public.post(&format!("{GUEST_CART}/items"), red).header("x-cart-token", &token).await.expect(201);
    shop.catalog.list_product(table, 2, eur(2500), 9);

    let merged: api::Cart = shop.merge(&token).await.expect(200).parse();
    assert_eq!(held(&merged), [(chair, 3), (lamp, 1), (table, 3), (chair, 1)]);
    assert_eq!((merged.items[3].variant.as_str(), merged.version, removed(&merged)), ("red", 3, vec![]));
    assert_eq!(
        (merged.items[2].price, merged.items[2].price_changed),
        (eur(2500), true),
        "the guest saw another price"
    );
    assert_eq!(shop.cart().await, merged);
    refused(&shop.view_as_guest(&token).await, 404, "CART_NOT_FOUND", &[]);
    assert_eq!(shop.database.number("select count(*) from guest_cart").await, 0);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn a_merge_into_no_cart_and_of_an_empty_cart_succeed() {
    let shop = Shop::open().await;
    let (chair, token, empty) = (shop.list_product(9), shop.guest().await, shop.guest().await);
    shop.add_as_guest(&token, chair, 2).await.expect(201);
    let merged: api::Cart = shop.merge(&token).await.expect(200).parse();
    assert_eq!((held(&merged), merged.version), (vec![(chair, 2)], 1));
    let merged: api::Cart = shop.merge(&empty).await.expect(200).parse();
    assert_eq!((held(&merged), merged.version), (vec![(chair, 2)], 2));
    assert_eq!(shop.database.number("select count(*) from guest_cart").await, 0);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn sums_are_capped_at_the_stock_and_the_limit_of_a_line_and_never_lower_a_line_of_the_user() {
    let shop = Shop::open().await;
    let (few, many, sold_out, fewer, token) = (
        shop.list_product(9),
        shop.list_product(99_999),
        shop.list_product(9),
        shop.list_product(9),
        shop.guest().await,
    );
    for (id, units) in [(few, 3), (many, 9_000), (fewer, 5)] {
        shop.add(id, units).await.expect(201);
    }
    for (id, units) in [(few, 4), (many, 2_000), (sold_out, 2), (fewer, 2)] {
        shop.add_as_guest(&token, id, units).await.expect(201);
    }
    for (id, stock) in [(few, 5), (sold_out, 0), (fewer, 1)] {
        shop.catalog.list_product(id, 1, eur(1999), stock);
    }
    let merged: api::Cart = shop.merge(&token).await.expect(200).parse();
    assert_eq!(held(&merged), [(few, 5), (many, 9_999), (fewer, 5)]);
    let expected = [(few, 2, "stock"), (many, 1_001, "quantity"), (sold_out, 2, "stock"), (fewer, 2, "stock")];
    assert_eq!(removed(&merged), expected);
    assert_eq!((merged.removed[0].name.as_str(), merged.removed[0].price), ("Chair 1", eur(1999)));
    let available: Vec<_> = merged.items.iter().map(|item| item.available).collect();
    assert_eq!(available, [true, true, false]);
    assert_eq!(removed(&shop.cart().await), [], "units that did not fit are listed by the merge alone");
}

#[tokio::test]
async fn lines_of_another_currency_of_deleted_products_and_beyond_100_are_listed_as_removed() {
    let shop = Shop::open().await;
    let (tea, token) = (product(), shop.guest().await);
    shop.catalog.list_product(tea, 1, Money { amount: 500, currency: "JPY".parse().unwrap() }, 9);
    shop.add_as_guest(&token, tea, 2).await.expect(201);
    let chair = shop.list_product(9);
    shop.add(chair, 1).await.expect(201);
    let merged: api::Cart = shop.merge(&token).await.expect(200).parse();
    assert_eq!((held(&merged), removed(&merged)), (vec![(chair, 1)], vec![(tea, 2, "currency")]));
    assert_eq!(shop.cart().await, merged, "until the next change");

    let (token, gone, without_variant) = (shop.guest().await, shop.list_product(9), shop.list_product(9));
    shop.catalog.list_variant(without_variant, "red", 5, None);
    shop.add_as_guest(&token, gone, 1).await.expect(201);
    let red = json!({"productId": without_variant, "quantity": 1, "variant": "red"});
    shop.public.post(&format!("{GUEST_CART}/items"), red).header("x-cart-token", &token).await.expect(201);
    shop.catalog.withdraw(gone);
    shop.catalog.list_product(without_variant, 2, eur(1999), 9);
    let merged: api::Cart = shop.merge(&token).await.expect(200).parse();
    let expected = [(tea, 2, "currency"), (gone, 1, "deleted"), (without_variant, 1, "deleted")];
    assert_eq!(
        (held(&merged), removed(&merged)),
        (vec![(chair, 1)], expected.to_vec()),
        "with what was removed before"
    );
    assert_eq!(merged.removed[1].name, "Chair 1");

    for _ in 1..100 {
        shop.add(shop.list_product(1), 1).await.expect(201);
    }
    let (token, first, second) = (shop.guest().await, shop.list_product(9), shop.list_product(9));
    for id in [first, chair, second] {
        shop.add_as_guest(&token, id, 1).await.expect(201);
    }
    let merged: api::Cart = shop.merge(&token).await.expect(200).parse();
    assert_eq!((merged.items.len(), held(&merged)[0]), (100, (chair, 2)), "units of a line that is there fit");
    assert_eq!(removed(&merged), [(first, 1, "full"), (second, 1, "full")]);
    assert_eq!(shop.cart().await.removed, merged.removed);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn two_full_carts_are_quoted_in_pages() {
    let shop = Shop::open().await;
    let token = shop.guest().await;
    let first = shop.list_product(9);
    shop.add(first, 1).await.expect(201);
    for _ in 1..100 {
        shop.add(shop.list_product(9), 1).await.expect(201);
        shop.add_as_guest(&token, shop.list_product(9), 1).await.expect(201);
    }
    shop.add_as_guest(&token, first, 1).await.expect(201);
    let merged: api::Cart = shop.merge(&token).await.expect(200).parse();
    assert_eq!((merged.items.len(), held(&merged)[0], merged.removed.len()), (100, (first, 2), 99));
    assert!(merged.removed.iter().all(|line| line.reason == "full"));
}

#[tokio::test]
async fn a_merge_needs_a_login_and_the_token_of_a_cart() {
    let shop = Shop::open().await;
    let token = shop.guest().await;
    let post = |body: Value| shop.public.post("/api/v1/cart/merge", body);
    assert_eq!(post(json!({"cartToken": token})).await.expect(401).body["error"], "No token provided");
    for wrong in ["", "wrong", "ä", &token.to_lowercase()] {
        refused(&shop.merge(wrong).await, 404, "CART_NOT_FOUND", &[]);
    }
    refused(&post(json!({})).with(&shop.token).await, 422, "VALIDATION_FAILED", &["cartToken"]);
    refused(&post(json!({"cartToken": 7})).with(&shop.token).await, 422, "VALIDATION_FAILED", &["cartToken"]);
    shop.view_as_guest(&token).await.expect(200);
    assert_eq!(shop.cart().await.version, 0);
}

#[tokio::test]
async fn a_merge_without_the_catalog_changes_nothing_and_can_be_repeated() {
    let shop = Shop::open().await;
    let (chair, table, token) = (shop.list_product(9), shop.list_product(9), shop.guest().await);
    shop.add(chair, 1).await.expect(201);
    shop.add_as_guest(&token, table, 2).await.expect(201);
    shop.catalog.stop();
    let answer = shop.merge(&token).key("k").await;
    refused(&answer, 503, "UNAVAILABLE", &[]);
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!((shop.units().await, shop.cart().await.version), (vec![1], 1));
    shop.catalog.resume();
    let merged = shop.merge(&token).key("k").await.expect(200);
    shop.catalog.stop();
    assert_eq!(shop.merge(&token).key("k").await.expect(200).body, merged.body, "a repetition needs no catalog");
    assert_eq!(shop.units().await, [1, 2]);
}

#[tokio::test]
async fn a_repeated_merge_returns_the_first_answer_whatever_the_cart_is_now() {
    let shop = Shop::open().await;
    let (chair, token, other) = (shop.list_product(9), shop.guest().await, shop.guest().await);
    shop.add_as_guest(&token, chair, 2).await.expect(201);
    let merged = shop.merge(&token).key("k").await.expect(200);
    shop.add(chair, 1).await.expect(201);
    assert_eq!(shop.merge(&token).key("k").await.expect(200).body, merged.body);
    refused(&shop.merge(&other).key("k").await, 422, "IDEMPOTENCY_KEY_REUSED", &[]);
    for request in [shop.merge(&token), shop.merge(&token).key("another")] {
        refused(&request.await, 404, "CART_NOT_FOUND", &[]);
    }
    let stranger = shop.keys.token(user(), &[Role::Customer]);
    refused(&shop.merge(&token).key("k").with(&stranger).await, 404, "CART_NOT_FOUND", &[]);
    shop.view_as_guest(&other).await.expect(200);
    assert_eq!(shop.units().await, [3]);
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn the_token_of_a_merged_cart_allows_nothing() {
    let shop = Shop::open().await;
    let (chair, token) = (shop.list_product(9), shop.guest().await);
    let added = shop.add_as_guest(&token, chair, 2).key("k").await.expect(201);
    let merged: api::Cart = shop.merge(&token).await.expect(200).parse();
    let thief = shop.keys.token(user(), &[Role::Customer]);
    let ids = [added.body["items"][0]["id"].as_str().unwrap().to_owned(), merged.items[0].id.to_string()];
    let lines = ids.map(|id| format!("{GUEST_CART}/items/{id}"));
    for line in &lines {
        let change = shop.public.patch(line, json!({"quantity": 1})).header("x-cart-token", &token);
        let remove = shop.public.delete(line).header("x-cart-token", &token);
        for request in [change, remove] {
            refused(&request.with(&thief).await, 404, "CART_NOT_FOUND", &[]);
        }
    }
    for request in [
        shop.view_as_guest(&token),
        shop.add_as_guest(&token, chair, 1),
        shop.add_as_guest(&token, chair, 2).key("k"),
        shop.merge(&token).with(&thief),
    ] {
        refused(&request.await, 404, "CART_NOT_FOUND", &[]);
    }
    assert_eq!(shop.cart().await, merged);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_merges_of_one_cart_by_one_user_one_adds_its_units() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9_999);
    for round in 1..=10 {
        let token = shop.guest().await;
        shop.add_as_guest(&token, chair, 2).await.expect(201);
        let tabs = (0..6).map(|tab| {
            let request = shop.merge(&token);
            async move { if tab % 2 == 0 { request.await } else { request.key(&format!("{round}-{tab}")).await } }
        });
        let answers = join_all(tabs).await;
        let merged = answers.iter().filter(|answer| answer.status == 200).count();
        let missed = answers.iter().filter(|answer| answer.body["code"] == "CART_NOT_FOUND").count();
        assert_eq!((merged, missed), (1, 5));
        assert_eq!(shop.units().await, [2 * round]);
    }
    shop.database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_of_one_merge_return_the_same_answer() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9_999);
    for round in 1..=10 {
        let token = shop.guest().await;
        shop.add_as_guest(&token, chair, 2).await.expect(201);
        let key = format!("k{round}");
        let answers = join_all((0..6).map(|_| async { shop.merge(&token).key(&key).await.expect(200).body })).await;
        assert!(answers.iter().all(|body| *body == answers[0]), "{answers:?}");
        assert_eq!(shop.units().await, [2 * round]);
    }
    shop.database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_merges_of_one_cart_by_two_users_one_gets_all_of_its_units() {
    let shop = Shop::open().await;
    let (chair, table) = (shop.list_product(9_999), shop.list_product(9_999));
    for _ in 0..20 {
        let token = shop.guest().await;
        shop.add_as_guest(&token, chair, 2).await.expect(201);
        shop.add_as_guest(&token, table, 3).await.expect(201);
        let users = [user(), user()].map(|user| shop.keys.token(user, &[Role::Customer]));
        let (one, other) = join(async { shop.merge(&token).with(&users[0]).await }, async {
            shop.merge(&token).with(&users[1]).await
        })
        .await;
        let mut outcomes = [one.status, other.status];
        outcomes.sort_unstable();
        assert_eq!(outcomes, [200, 404]);
        for (user, answer) in users.iter().zip([one, other]) {
            let cart: api::Cart = shop.public.get("/api/v1/cart").with(user).await.expect(200).parse();
            let expected = if answer.status == 200 { vec![(chair, 2), (table, 3)] } else { vec![] };
            assert_eq!(held(&cart), expected);
        }
    }
    shop.database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_both_carts_during_a_merge_lose_and_double_no_unit() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9_999);
    let mut expected = 0;
    for _ in 0..10 {
        let token = shop.guest().await;
        shop.add_as_guest(&token, chair, 1).await.expect(201);
        let by_guest = join_all((0..6).map(|_| async { shop.add_as_guest(&token, chair, 1).await }));
        let by_user = join_all((0..6).map(|_| async { shop.add(chair, 1).await.expect(201) }));
        let (merged, (by_guest, by_user)) = join(async { shop.merge(&token).await }, join(by_guest, by_user)).await;
        let added = by_guest.iter().filter(|answer| answer.status == 201).count();
        let missed = by_guest.iter().filter(|answer| answer.body["code"] == "CART_NOT_FOUND").count();
        assert_eq!((merged.status, added + missed), (200, 6), "after the merge there is no cart to add to");
        expected += 1 + added + by_user.len();
        assert_eq!(shop.units().await, [u32::try_from(expected).unwrap()]);
        assert_eq!(shop.database.number("select count(*) from guest_cart").await, 0);
    }
    shop.database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_and_a_checkout_at_the_same_time_leave_every_unit_in_one_place() {
    let shop = Shop::open().await;
    let (chair, table) = (shop.list_product(9_999), shop.list_product(9_999));
    for _ in 0..10 {
        let token = shop.guest().await;
        shop.add(chair, 1).await.expect(201);
        shop.add_as_guest(&token, table, 2).await.expect(201);
        let id = order();
        let (merged, checkout) =
            join(async { shop.merge(&token).await }, async { shop.begin_checkout(id).await }).await;
        merged.expect(200);
        let checkout: api::Checkout = checkout.expect(200).parse();
        let left = held(&shop.cart().await);
        match checkout.lines.len() {
            1 => assert_eq!(left, [(table, 2)]),
            _ => assert_eq!((checkout.lines.len(), left), (2, vec![])),
        }
        if !shop.cart().await.items.is_empty() {
            shop.begin_checkout(order()).await.expect(200);
        }
    }
    shop.database.check_event_numbers().await;
}
