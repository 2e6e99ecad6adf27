//! Tests of shipping methods: their management, and what an order pays for its delivery.

use agora_testkit::Request;
use serde_json::{Value, json};

use super::{
    coupons::with_coupon,
    shop::{Shop, id, items},
};

impl Shop {
    pub fn add_shipping(&self, body: Value) -> Request {
        self.app().post("/api/v1/admin/shipping-methods", body).with(&self.admin())
    }

    /// Creates a shipping method of `cents`, with other members of `terms`.
    pub async fn shipping(&self, code: &str, cents: i64, mut terms: Value) {
        let mut body = json!({ "code": code, "name": format!("Parcel {code}"), "price": eur(cents) });
        body.as_object_mut().unwrap().append(terms.as_object_mut().unwrap());
        self.add_shipping(body).await.expect(201);
    }

    fn change_shipping(&self, code: &str, body: Value) -> Request {
        self.app().patch(&format!("/api/v1/admin/shipping-methods/{code}"), body).with(&self.admin())
    }
}

fn eur(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

/// The order with an address in a country.
pub fn to(mut body: Value, country: &str) -> Value {
    body["shippingAddress"] = json!({ "street": "Street 1", "city": "City", "country": country });
    body
}

#[tokio::test]
async fn an_order_pays_the_cheapest_method_that_delivers_or_the_one_it_names() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.shipping("standard", 490, json!({ "countries": ["de", "FR"] })).await;
    shop.shipping("express", 990, json!({})).await;
    let cheapest = shop.order("a", to(items(lamp, 1), "DE")).await.expect(201).body;
    assert_eq!((&cheapest["shippingMethod"], &cheapest["shippingPrice"]), (&json!("standard"), &eur(490)));
    assert_eq!(cheapest["total"], eur(1999 + 490));
    assert_eq!(shop.read(id(&cheapest)).await, cheapest);
    let abroad = shop.order("b", to(items(lamp, 1), "US")).await.expect(201).body;
    assert_eq!((&abroad["shippingMethod"], &abroad["total"]), (&json!("express"), &eur(1999 + 990)));
    let nowhere = shop.order("c", items(lamp, 1)).await.expect(201).body;
    assert_eq!(nowhere["shippingMethod"], "express");
    let mut named = to(items(lamp, 1), "DE");
    named["shippingMethod"] = json!("Express");
    named["expectedTotal"] = eur(1999 + 990);
    let named = shop.order("d", named).await.expect(201).body;
    assert_eq!(named["shippingMethod"], "express");
    let event =
        "select data -> 'charges' -> 'shippingPrice' ->> 'amount' from outbox where kind = 'order.placed' limit 1";
    let mut connection = shop.store.db.acquire().await.unwrap();
    assert!(sqlx::query_scalar::<_, Option<String>>(event).fetch_one(&mut *connection).await.unwrap().is_some());
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn without_shipping_methods_an_order_has_the_form_of_before() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    let order = shop.order("a", to(items(lamp, 1), "DE")).await.expect(201).body;
    assert!(order.get("shippingMethod").is_none() && order.get("shippingPrice").is_none(), "{order}");
    let mut named = to(items(lamp, 1), "DE");
    named["shippingMethod"] = json!("standard");
    let refused = shop.order("b", named).await.expect(422).body;
    assert_eq!(refused["details"][0]["field"], "shippingMethod");
    shop.shipping("standard", 490, json!({ "active": false })).await;
    let order = shop.order("c", to(items(lamp, 1), "DE")).await.expect(201).body;
    assert!(order.get("shippingMethod").is_none(), "{order}");
}

#[tokio::test]
async fn an_order_that_cannot_be_delivered_is_refused_with_the_reason() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.shipping("local", 300, json!({ "countries": ["DE"] })).await;
    let dollars = json!({ "amount": 300, "currency": "USD" });
    shop.add_shipping(json!({ "code": "usa", "name": "Mail", "price": dollars })).await.expect(201);
    let named = |code: &str| {
        let mut body = to(items(lamp, 1), "US");
        body["shippingMethod"] = json!(code);
        body
    };
    let none = "no shipping method delivers to the address of the order: order to another address";
    let cases = [
        (to(items(lamp, 1), "US"), none),
        (items(lamp, 1), none),
        (named("local"), "does not deliver to the address of the order"),
        (named("usa"), "is for orders in USD"),
        (named("drone"), "is not a shipping method of this shop"),
        (named("not a code"), "must be 1 to 32 letters, digits and hyphens"),
    ];
    for (body, reason) in cases {
        let refused = shop.order("k", body).await.expect(422).body;
        assert_eq!(refused["details"][0], json!({ "field": "shippingMethod", "message": reason }));
    }
    assert_eq!(shop.orders().await.len(), 0);
}

#[tokio::test]
async fn shipping_is_free_from_a_sum_after_the_discount_and_is_not_discounted() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1000, 50);
    shop.shipping("standard", 500, json!({ "freeFrom": eur(2000) })).await;
    shop.percent("TENTH", 1000, json!({})).await;
    let free = shop.order("a", items(lamp, 2)).await.expect(201).body;
    assert_eq!((&free["shippingPrice"], &free["total"]), (&eur(0), &eur(2000)));
    let discounted = shop.order("b", with_coupon(lamp, 2, "TENTH")).await.expect(201).body;
    assert_eq!((&discounted["discount"], &discounted["shippingPrice"]), (&eur(200), &eur(500)));
    assert_eq!(discounted["total"], eur(2000 - 200 + 500));
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn a_return_does_not_refund_shipping() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1000, 50);
    shop.shipping("standard", 500, json!({})).await;
    let order = shop.delivered("k", &[(lamp, 1)]).await;
    assert_eq!(shop.read(order).await["total"], eur(1500));
    let returned = shop.send_back(order, "r", &[(lamp, 1)]).await.expect(201).body;
    assert_eq!(returned["returns"][0]["amount"], eur(1000));
    shop.handle(order, 0, "accept").await.expect(200);
    shop.handle(order, 0, "resell").await.expect(200);
    shop.settle().await;
    assert_eq!(shop.fakes.payments.parts(shop.payment_of(order).await), [1000]);
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn an_order_keeps_its_price_when_the_method_changes() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1000, 50);
    shop.shipping("standard", 500, json!({})).await;
    let order = shop.order("a", items(lamp, 1)).await.expect(201).body;
    shop.change_shipping("standard", json!({ "price": eur(700) })).await.expect(200);
    assert_eq!(shop.read(id(&order)).await, order);
    assert_eq!(shop.order("b", items(lamp, 1)).await.expect(201).body["shippingPrice"], eur(700), "the next one");
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn administrators_manage_shipping_methods_and_no_one_else() {
    let shop = Shop::open().await;
    let body = json!({ "code": "Local", "name": "Local parcel", "price": eur(300), "countries": ["de", "AT", "DE"] });
    let made = shop.add_shipping(body.clone()).key("k").await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/admin/shipping-methods/local");
    assert_eq!((&made.body["countries"], &made.body["freeFrom"]), (&json!(["AT", "DE"]), &Value::Null));
    assert_eq!(shop.add_shipping(body.clone()).key("k").await.expect(201).body, made.body);
    assert_eq!(shop.add_shipping(body.clone()).await.expect(409).body["code"], "CODE_TAKEN");
    let changed =
        shop.change_shipping("LOCAL", json!({ "freeFrom": eur(5000), "countries": [] })).await.expect(200).body;
    assert_eq!((&changed["freeFrom"], &changed["countries"]), (&eur(5000), &json!([])));
    let changed = shop.change_shipping("local", json!({ "freeFrom": null })).await.expect(200).body;
    assert_eq!((&changed["freeFrom"], &changed["price"]), (&Value::Null, &eur(300)));
    let bad = json!({ "code": "", "name": "", "price": eur(-1), "countries": ["XX"] });
    let fields = shop.add_shipping(bad).await.expect(422).body;
    let fields: Vec<_> = fields["details"].as_array().unwrap().iter().map(|it| it["field"].clone()).collect();
    assert_eq!(fields, ["code", "name", "price.amount", "countries[0]"]);
    shop.change_shipping("other", json!({})).await.expect(404);
    shop.shipping("express", 900, json!({})).await;
    let list = |query: &str| shop.app().get(&format!("/api/v1/admin/shipping-methods{query}")).with(&shop.admin());
    let first = list("?limit=1").await.expect(200).body;
    assert_eq!(first["items"][0]["code"], "express");
    let rest = list(&format!("?cursor={}", first["nextCursor"].as_str().unwrap())).await.expect(200).body;
    assert_eq!((&rest["items"], rest.get("nextCursor")), (&json!([changed]), None));

    let ada = shop.token(shop.ada);
    shop.app().post("/api/v1/admin/shipping-methods", body).with(&ada).await.expect(403);
    shop.app().patch("/api/v1/admin/shipping-methods/local", json!({})).with(&ada).await.expect(403);
    shop.app().get("/api/v1/admin/shipping-methods").with(&ada).await.expect(403);
    shop.app().get("/api/v1/admin/shipping-methods/local").with(&ada).await.expect(403);
}

#[tokio::test]
async fn a_shop_has_at_most_a_hundred_shipping_methods() {
    let shop = Shop::open().await;
    let many = "insert into shipping_method (code, name, price_minor, currency, countries, active) \
        select 'm-' || n, 'Parcel', 1, 'EUR', '{}', true from generate_series(1, 99) as n";
    sqlx::query(many).execute(&mut *shop.store.db.acquire().await.unwrap()).await.unwrap();
    shop.shipping("last", 1, json!({})).await;
    let refused =
        shop.add_shipping(json!({ "code": "more", "name": "Parcel", "price": eur(1) })).await.expect(409).body;
    assert_eq!(refused["code"], "TOO_MANY_SETTINGS");
}
