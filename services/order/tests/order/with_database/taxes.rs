//! Tests of tax rules: their management, and the tax that an order's prices include.

use agora_testkit::Request;
use serde_json::{Value, json};

use super::{
    coupons::with_coupon,
    shipping::to,
    shop::{Shop, id, items},
};

impl Shop {
    pub fn add_tax(&self, body: Value) -> Request {
        self.app().post("/api/v1/admin/tax-rules", body).with(&self.admin())
    }

    fn change_tax(&self, country: &str, body: Value) -> Request {
        self.app().patch(&format!("/api/v1/admin/tax-rules/{country}"), body).with(&self.admin())
    }
}

fn eur(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

#[tokio::test]
async fn the_tax_of_an_order_is_the_sum_of_its_lines_taxes_and_changes_no_total() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(1999, 50), shop.fakes.catalog.offer(500, 50));
    shop.add_tax(json!({ "country": "de", "basisPoints": 1900 })).await.expect(201);
    let body = json!({ "items": [{ "productId": lamp, "quantity": 2 }, { "productId": chair, "quantity": 1 }] });
    let order = shop.order("a", to(body, "DE")).await.expect(201).body;
    let tax =
        json!({ "country": "DE", "basisPoints": 1900, "included": true, "rounding": "half_up", "amount": eur(718) });
    assert_eq!((&order["tax"], &order["total"]), (&tax, &eur(4498)));
    assert_eq!((&order["items"][0]["tax"], &order["items"][1]["tax"]), (&eur(638), &eur(80)));
    assert_eq!(shop.read(id(&order)).await, order);
    let event = "select data -> 'charges' -> 'tax' ->> 'amount' from outbox where kind = 'order.placed'";
    let mut connection = shop.store.db.acquire().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, String>(event).fetch_one(&mut *connection).await.unwrap(), "718");
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn an_order_to_a_country_without_a_rule_has_the_form_of_before() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.add_tax(json!({ "country": "DE", "basisPoints": 1900 })).await.expect(201);
    shop.add_tax(json!({ "country": "FR", "basisPoints": 2000, "active": false })).await.expect(201);
    for (key, body) in [("a", to(items(lamp, 1), "US")), ("b", items(lamp, 1)), ("c", to(items(lamp, 1), "FR"))] {
        let order = shop.order(key, body).await.expect(201).body;
        assert!(order.get("tax").is_none() && order["items"][0].get("tax").is_none(), "{order}");
    }
}

#[tokio::test]
async fn the_tax_is_of_what_is_paid_after_the_discount_and_not_of_shipping_without_a_rule_for_it() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1190, 50);
    shop.add_tax(json!({ "country": "DE", "basisPoints": 1900 })).await.expect(201);
    shop.shipping("standard", 500, json!({})).await;
    shop.percent("HALF", 5000, json!({})).await;
    let order = shop.order("a", to(with_coupon(lamp, 2, "HALF"), "DE")).await.expect(201).body;
    assert_eq!((&order["tax"]["amount"], &order["total"]), (&eur(190), &eur(1190 + 500)));
    assert_eq!((order.get("shippingTax"), &order["taxTotal"]), (None, &eur(190)));
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn a_delivery_is_taxed_by_the_rule_for_shipping_in_order_event_and_invoice() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1190, 50);
    shop.add_tax(json!({ "country": "DE", "basisPoints": 1900 })).await.expect(201);
    let rule = json!({ "country": "DE", "category": "shipping", "basisPoints": 700, "rounding": "half_even" });
    shop.add_tax(rule).await.expect(201);
    shop.shipping("standard", 535, json!({})).await;
    let mut body = to(items(lamp, 1), "DE");
    body["payment"] = json!({ "method": "card", "token": "tok_ok" });
    let order = shop.order("a", body).await.expect(201).body;
    let tax =
        json!({ "country": "DE", "basisPoints": 700, "included": true, "rounding": "half_even", "amount": eur(35) });
    assert_eq!((&order["shippingTax"], &order["tax"]["amount"]), (&tax, &eur(190)));
    assert_eq!((&order["taxTotal"], &order["total"]), (&eur(190 + 35), &eur(1190 + 535)));
    assert_eq!(shop.read(id(&order)).await, order);
    let event = "select data -> 'charges' -> 'shippingTax' ->> 'amount' from outbox where kind = 'order.placed'";
    let mut connection = shop.store.db.acquire().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, String>(event).fetch_one(&mut *connection).await.unwrap(), "35");
    let invoice = shop.get(&format!("/api/v1/orders/{}/invoice", id(&order))).await.expect(200);
    let invoice = String::from_utf8(invoice.bytes).unwrap();
    for part in ["Tax included in shipping, DE 7 %", "0.35 EUR", "Tax included in the total", "2.25 EUR"] {
        assert!(invoice.contains(part), "{part} is missing in {invoice}");
    }
    shop.change_tax("DE/shipping", json!({ "active": false })).await.expect(200);
    assert_eq!(shop.read(id(&order)).await, order, "an order keeps its tax");
    let next = shop.order("b", to(items(lamp, 1), "DE")).await.expect(201).body;
    assert_eq!((next.get("shippingTax"), &next["taxTotal"]), (None, &eur(190)));
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn a_country_has_a_rule_for_goods_and_one_for_shipping() {
    let shop = Shop::open().await;
    let goods = shop.add_tax(json!({ "country": "DE", "basisPoints": 1900 })).await.expect(201).body;
    assert_eq!(goods["category"], "goods");
    let body = json!({ "country": "DE", "category": "shipping", "basisPoints": 700 });
    let made = shop.add_tax(body.clone()).await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/admin/tax-rules/DE/shipping");
    assert_eq!(shop.add_tax(body).await.expect(409).body["code"], "CODE_TAKEN");
    let read = |path: &str| shop.app().get(&format!("/api/v1/admin/tax-rules{path}")).with(&shop.admin());
    assert_eq!(read("/DE").await.expect(200).body, goods);
    assert_eq!(read("/de/goods").await.expect(200).body, goods);
    assert_eq!(read("/DE/shipping").await.expect(200).body, made.body);
    for unknown in ["/FR/shipping", "/DE/gifts", "/XX/goods"] {
        read(unknown).await.expect(404);
        shop.change_tax(&unknown[1..], json!({})).await.expect(404);
    }
    let changed = shop.change_tax("DE/shipping", json!({ "basisPoints": 800 })).await.expect(200).body;
    assert_eq!((&changed["category"], &changed["basisPoints"]), (&json!("shipping"), &json!(800)));
    assert_eq!(read("/DE").await.expect(200).body, goods, "the other rule is as it was");
    let first = read("?limit=1").await.expect(200).body;
    let rest = read(&format!("?cursor={}", first["nextCursor"].as_str().unwrap())).await.expect(200).body;
    assert_eq!((&first["items"], &rest["items"]), (&json!([goods]), &json!([changed])));
    let wrong = shop.add_tax(json!({ "country": "AT", "category": "gifts", "basisPoints": 1 })).await.expect(422).body;
    assert_eq!(wrong["details"][0]["field"], "category");
    let ada = shop.token(shop.ada);
    shop.app().get("/api/v1/admin/tax-rules/DE/shipping").with(&ada).await.expect(403);
    shop.app().patch("/api/v1/admin/tax-rules/DE/shipping", json!({})).with(&ada).await.expect(403);
}

#[tokio::test]
async fn an_order_keeps_its_tax_when_the_rule_changes() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1, 50);
    shop.add_tax(json!({ "country": "DE", "basisPoints": 10_000 })).await.expect(201);
    let order = shop.order("a", to(items(lamp, 1), "DE")).await.expect(201).body;
    assert_eq!(order["tax"]["amount"], eur(1), "half of a cent is rounded up");
    shop.change_tax("DE", json!({ "rounding": "half_even" })).await.expect(200);
    assert_eq!(shop.read(id(&order)).await, order);
    let next = shop.order("b", to(items(lamp, 1), "DE")).await.expect(201).body;
    assert_eq!((&next["tax"]["amount"], &next["tax"]["rounding"]), (&eur(0), &json!("half_even")));
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn administrators_manage_tax_rules_and_no_one_else() {
    let shop = Shop::open().await;
    let body = json!({ "country": "de", "basisPoints": 1900 });
    let made = shop.add_tax(body.clone()).key("k").await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/admin/tax-rules/DE");
    assert_eq!((&made.body["rounding"], &made.body["active"]), (&json!("half_up"), &json!(true)));
    assert_eq!(shop.add_tax(body.clone()).key("k").await.expect(201).body, made.body);
    assert_eq!(shop.add_tax(body.clone()).await.expect(409).body["code"], "CODE_TAKEN");
    let changed = shop.change_tax("de", json!({ "basisPoints": 700, "active": false })).await.expect(200).body;
    assert_eq!((&changed["basisPoints"], &changed["active"]), (&json!(700), &json!(false)));
    let fields = shop.add_tax(json!({ "country": "XX", "basisPoints": -1, "rounding": "up" })).await.expect(422).body;
    let fields: Vec<_> = fields["details"].as_array().unwrap().iter().map(|it| it["field"].clone()).collect();
    assert_eq!(fields, ["country", "basisPoints", "rounding"]);
    shop.change_tax("FR", json!({})).await.expect(404);
    shop.change_tax("XX", json!({})).await.expect(404);
    shop.add_tax(json!({ "country": "AT", "basisPoints": 2000 })).await.expect(201);
    let list = |query: &str| shop.app().get(&format!("/api/v1/admin/tax-rules{query}")).with(&shop.admin());
    let first = list("?limit=1").await.expect(200).body;
    assert_eq!(first["items"][0]["country"], "AT");
    let rest = list(&format!("?cursor={}", first["nextCursor"].as_str().unwrap())).await.expect(200).body;
    assert_eq!((&rest["items"], rest.get("nextCursor")), (&json!([changed]), None));

    let ada = shop.token(shop.ada);
    shop.app().post("/api/v1/admin/tax-rules", body).with(&ada).await.expect(403);
    shop.app().patch("/api/v1/admin/tax-rules/DE", json!({})).with(&ada).await.expect(403);
    shop.app().get("/api/v1/admin/tax-rules").with(&ada).await.expect(403);
    shop.app().get("/api/v1/admin/tax-rules/DE").with(&ada).await.expect(403);
}
