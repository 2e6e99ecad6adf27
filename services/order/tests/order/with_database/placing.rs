//! Tests of `POST /orders`: lines and cart, address, payment on creation, idempotency.

use agora_order::domain::PaymentOutcome;
use agora_vocab::{AddressId, AddressText, OrderId, PaymentId, ProductId, Quantity, UserId};
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use super::shop::{Shop, id, items, two};

pub fn address() -> Value {
    json!({ "street": "Unter den Linden 1", "city": "Berlin", "postalCode": "10117", "country": "de" })
}

#[tokio::test]
async fn or2_an_order_from_a_list_holds_its_stock_and_is_pending() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let body = json!({ "items": [{ "productId": lamp, "quantity": 2 }], "shippingAddress": address() });

    let answer = shop.order("k", body).await.expect(201);

    let order = &answer.body;
    assert_eq!(answer.header("location"), format!("/api/v1/orders/{}", id(order)));
    assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("pending"), &json!("unpaid")));
    assert_eq!(order["number"], "A-1000001");
    assert_eq!(order["total"], json!({ "amount": 3998, "currency": "EUR" }));
    assert_eq!(order["items"][0]["name"], "Lamp 1");
    assert_eq!(order["items"][0]["category"], "Lighting");
    assert_eq!(order["shippingAddress"]["country"], "DE");
    assert_eq!(shop.fakes.catalog.available(lamp), 8);
    assert_eq!(shop.store.events(id(order)).await, [(1, "order.created".to_owned()), (2, "order.placed".to_owned())]);
}

#[tokio::test]
async fn or1_an_order_of_the_cart_empties_it() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let order = shop.order("k", json!({})).await.expect(201).body;
    assert_eq!(order["items"].as_array().unwrap().len(), 1);
    assert_eq!(shop.fakes.carts.lines(shop.ada), 0);
    let again = shop.order("k2", json!({})).await.expect(422);
    assert_eq!(again.body["code"], "EMPTY_CART");
}

#[tokio::test]
async fn or12_each_line_is_a_row_with_product_price_name_brand_category_and_supplier() {
    const LINES: &str = "select i.product_id, i.price_minor, i.name, i.brand, i.category, i.supplier
        from orders as o join order_item as i on i.order_id = o.id where o.id = $1 order by i.line";
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(1999, 10), shop.fakes.catalog.offer(4500, 10));
    let line = |product, quantity| json!({ "productId": product, "quantity": quantity });
    let body = json!({ "items": [line(lamp, 2), line(chair, 1)] });
    let order = id(&shop.order("k", body).await.expect(201).body);
    let mut connection = shop.store.db.acquire().await.unwrap();
    let rows: Vec<(Uuid, i64, String, String, String, String)> =
        sqlx::query_as(LINES).bind(order.uuid()).fetch_all(&mut *connection).await.unwrap();
    let row = |product: ProductId, price, name: &str| {
        let [name, brand, category, supplier] = [name, "Lumen", "Lighting", "Bright Ltd"].map(ToOwned::to_owned);
        (product.uuid(), price, name, brand, category, supplier)
    };
    assert_eq!(rows, [row(lamp, 1999, "Lamp 1"), row(chair, 4500, "Lamp 2")]);
}

#[tokio::test]
async fn or14_a_line_keeps_the_name_and_the_price_that_it_was_ordered_with() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let first = shop.pending("first", lamp, 2).await;
    shop.fakes.catalog.change(lamp, "Lantern", 2500);
    let second = shop.pending("second", lamp, 1).await;
    for (order, name, price, total) in [(first, "Lamp 1", 1999, 3998), (second, "Lantern", 2500, 2500)] {
        let order = shop.get(&format!("/api/v1/orders/{order}")).await.expect(200).body;
        let item = &order["items"][0];
        assert_eq!((&item["name"], &item["price"]["amount"]), (&json!(name), &json!(price)), "{order}");
        assert_eq!(order["total"]["amount"], total);
    }
}

#[tokio::test]
async fn an_order_paid_at_once_is_paid_declined_or_still_pending() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let with = |token: &str| {
        let mut body = items(lamp, 1);
        body["payment"] = json!({ "method": "card", "token": token });
        body
    };

    let paid = shop.order("ok", with("tok_ok")).await.expect(201).body;
    assert_eq!((&paid["status"], &paid["paymentStatus"]), (&json!("paid"), &json!("paid")));

    let declined = shop.order("no", with("tok_declined")).await.expect(402);
    let order: OrderId = declined.body["orderId"].as_str().unwrap().parse().unwrap();
    assert_eq!(shop.status(order).await, two("pending", "failed"));
    let again = shop.order("no", with("tok_declined")).await.expect(402);
    assert_eq!(again.body["orderId"], declined.body["orderId"]);

    let slow = shop.order("slow", with("tok_slow")).await.expect(201).body;
    assert_eq!((&slow["status"], &slow["paymentStatus"]), (&json!("pending"), &json!("processing")));
    shop.order("slow", with("tok_slow")).await.expect(409);

    let failed = shop.order("error", with("tok_error")).await.expect(201).body;
    assert_eq!((&failed["status"], &failed["paymentStatus"]), (&json!("pending"), &json!("failed")));
}

#[tokio::test]
async fn a_slow_payment_is_polled_and_a_retry_returns_the_result() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let mut body = items(lamp, 1);
    body["payment"] = json!({ "method": "card", "token": "tok_slow" });
    let order = shop.order("k", body.clone()).await.expect(201).body;
    let own: PaymentId = order["paymentId"].as_str().unwrap().parse().unwrap();

    shop.fakes.payments.resolve(id(&order), own, PaymentOutcome::Captured);
    shop.store.pass(Duration::seconds(11)).await;
    shop.settle().await;

    assert_eq!(shop.status(id(&order)).await, two("paid", "paid"));
    let reply = shop.order("k", body).await.expect(201).body;
    assert_eq!((reply["id"].clone(), &reply["status"]), (order["id"].clone(), &json!("paid")));
    assert_eq!(shop.fakes.payments.captures(id(&order)), 1);
}

#[tokio::test]
async fn an_unknown_product_is_rejected_without_side_effects() {
    let shop = Shop::open().await;
    let unknown = ProductId::new(Uuid::from_u128(3));
    shop.fakes.carts.add(shop.ada, unknown, Quantity::ONE);
    let refused = shop.order("k", json!({})).await.expect(422);
    assert_eq!((&refused.body["code"], &refused.body["productIds"]), (&json!("UNKNOWN_PRODUCT"), &json!([unknown])));
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1, "the cart has its lines back");
    assert!(shop.store.order_ids().await.is_empty());
    shop.fakes.catalog.offer(100, 1);
    shop.order("k", items(shop.fakes.catalog.offer(100, 1), 1)).await.expect(201);
}

#[tokio::test]
async fn a_shortage_rejects_the_order_reports_the_available_units_and_cancels_the_checkout() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 3);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::parse(5).unwrap());

    let refused = shop.order("k", json!({})).await.expect(409);

    let body = &refused.body;
    assert_eq!(body["code"], "INSUFFICIENT_QUANTITY");
    assert_eq!((&body["productId"], &body["requested"], &body["available"]), (&json!(lamp), &json!(5), &json!(3)));
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1);
    let rejected = shop.store.order_ids().await[0];
    assert_eq!(shop.status(rejected).await, two("rejected", "unpaid"));
    assert_eq!(shop.store.events(rejected).await[1].1, "order.rejected");
    assert_eq!(shop.order("k", json!({})).await.expect(409).body, *body, "a final refusal is repeated");
    shop.order("k2", json!({})).await.expect(409);
}

#[tokio::test]
async fn a_reused_key_returns_the_same_response_and_rejects_another_body() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let first = shop.order("k", items(lamp, 1)).await.expect(201);
    let second = shop.order("k", items(lamp, 1)).await.expect(201);
    assert_eq!((first.body, first.headers["location"].clone()), (second.body, second.headers["location"].clone()));
    assert_eq!(shop.order("k", items(lamp, 2)).await.expect(422).body["code"], "IDEMPOTENCY_KEY_REUSED");
    let eve = UserId::new(Uuid::from_u128(66));
    shop.order("k", items(lamp, 1)).with(&shop.token(eve)).await.expect(201);
    assert_eq!(shop.store.order_ids().await.len(), 2, "a key means something for its user alone");
}

#[tokio::test]
async fn or11_an_entry_of_the_address_book_is_copied() {
    let shop = Shop::open().await;
    let (lamp, entry) = (shop.fakes.catalog.offer(1999, 10), AddressId::new(Uuid::from_u128(4)));
    let home: agora_api::user::PostalAddress = serde_json::from_value(address()).unwrap();
    shop.fakes.addresses.add(shop.ada, entry, AddressText::from(home).parse().unwrap());
    let mut body = items(lamp, 1);
    body["addressId"] = json!(entry);
    let order = shop.order("k", body).await.expect(201).body;
    assert_eq!(order["shippingAddress"]["street"], "Unter den Linden 1");
}

#[tokio::test]
async fn an_order_of_another_total_than_expected_is_not_made() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(5000, 10);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    for (key, amount, currency) in [("a", 1000, "EUR"), ("b", 5000, "USD")] {
        let body = json!({ "expectedTotal": { "amount": amount, "currency": currency } });
        let refused = shop.order(key, body).await.expect(409).body;
        assert_eq!((&refused["code"], &refused["total"]["amount"]), (&json!("TOTAL_CHANGED"), &json!(5000)));
        assert_eq!(refused["details"][0]["field"], "expectedTotal");
    }
    assert_eq!((shop.fakes.carts.lines(shop.ada), shop.fakes.catalog.available(lamp)), (1, 10));
    assert!(shop.store.order_ids().await.is_empty());
    let seen = json!({ "expectedTotal": { "amount": 5000, "currency": "EUR" } });
    assert_eq!(shop.order("a", seen).await.expect(201).body["total"]["amount"], 5000);
}

#[tokio::test]
async fn a_variant_that_the_product_does_not_have_is_refused_and_nothing_is_stored() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    for variant in ["purple".to_owned(), "x".repeat(65), "a\u{0}".to_owned()] {
        let body = json!({ "items": [{ "productId": lamp, "quantity": 1, "variant": variant }] });
        let refused = shop.order("k", body).await.expect(422).body;
        assert_eq!(
            (&refused["code"], &refused["details"][0]["field"]),
            (&json!("VALIDATION_FAILED"), &json!("items[0].variant"))
        );
    }
    shop.fakes.carts.add_variant(shop.ada, lamp, "purple");
    let refused = shop.order("k", json!({})).await.expect(422).body;
    assert_eq!(refused["details"][0]["field"], "items[0].variant");
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1);
    assert!(shop.store.order_ids().await.is_empty());
}

#[tokio::test]
async fn a_country_that_does_not_exist_is_refused_in_an_order_too() {
    let shop = Shop::open().await;
    let mut body = items(shop.fakes.catalog.offer(1999, 10), 1);
    body["shippingAddress"] = address();
    body["shippingAddress"]["country"] = json!("UK");
    let refused = shop.order("k", body).await.expect(422).body;
    assert_eq!(refused["details"][0]["field"], "shippingAddress.country");
    assert!(shop.store.order_ids().await.is_empty());
}

#[tokio::test]
async fn a_repetition_with_its_members_in_another_order_gets_the_same_order() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let first = format!(r#"{{"items":[{{"productId":"{lamp}","quantity":1}}],"addressId":null}}"#);
    let again = format!("{{ \"items\" : [ {{ \"quantity\":1,\n \"variant\":null, \"productId\":\"{lamp}\"}} ] }}");
    let first = shop.order("k", json!({})).raw(first).await.expect(201).body;
    assert_eq!(shop.order("k", json!({})).raw(again).await.expect(201).body, first);
}
