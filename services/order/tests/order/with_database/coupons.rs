//! Tests of coupons: their management, the discount of an order, and limited guessing.

use agora_testkit::Request;
use agora_vocab::{ProductId, Quantity, UserId};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::shop::{Shop, id, items, two};

impl Shop {
    pub fn add_coupon(&self, body: Value) -> Request {
        self.app().post("/api/v1/admin/coupons", body).with(&self.admin())
    }

    /// Creates a coupon of a share of the items' sum, with other members of `terms`.
    pub async fn percent(&self, code: &str, basis_points: u32, mut terms: Value) {
        let mut body = json!({ "code": code, "kind": "percent", "basisPoints": basis_points });
        body.as_object_mut().unwrap().append(terms.as_object_mut().unwrap());
        self.add_coupon(body).await.expect(201);
    }

    pub fn change_coupon(&self, code: &str, body: Value) -> Request {
        self.app().patch(&format!("/api/v1/admin/coupons/{code}"), body).with(&self.admin())
    }

    /// Uses of a coupon, as counted and as recorded by order.
    pub async fn uses(&self, code: &str) -> (i64, i64) {
        const RECORDED: &str = "select count(*) from coupon_use where code = $1";
        let coupon = self.app().get(&format!("/api/v1/admin/coupons/{code}")).with(&self.admin()).await.expect(200);
        let mut connection = self.store.db.acquire().await.unwrap();
        let recorded = sqlx::query_scalar(RECORDED).bind(code).fetch_one(&mut *connection).await.unwrap();
        (coupon.body["uses"].as_i64().unwrap(), recorded)
    }
}

/// An order of units of a product with a coupon.
pub fn with_coupon(product: ProductId, units: u32, code: &str) -> Value {
    let mut body = items(product, units);
    body["couponCode"] = json!(code);
    body
}

fn eur(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

/// Field and message of the first invalid field.
fn wrong(body: &Value) -> (&str, &str) {
    let detail = &body["details"][0];
    (detail["field"].as_str().unwrap(), detail["message"].as_str().unwrap())
}

#[tokio::test]
async fn a_coupon_lowers_the_total_and_each_line_bears_its_part() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(1999, 50), shop.fakes.catalog.offer(500, 50));
    shop.percent("SUMMER-26", 1000, json!({})).await;
    let body = json!({
        "items": [{ "productId": lamp, "quantity": 2 }, { "productId": chair, "quantity": 1 }],
        "couponCode": "summer-26",
        "payment": { "method": "card", "token": "tok_ok" },
    });
    let order = shop.order("k", body).await.expect(201).body;
    assert_eq!((&order["discount"], &order["couponCode"]), (&eur(449), &json!("SUMMER-26")));
    assert_eq!((&order["total"], &order["status"]), (&eur(4498 - 449), &json!("paid")));
    let parts: Vec<_> = order["items"].as_array().unwrap().iter().map(|item| item["discount"].clone()).collect();
    assert_eq!(parts, [eur(399), eur(50)]);
    assert_eq!(order["items"][0]["total"], eur(3998), "the price of a line is its own");
    assert_eq!(shop.read(id(&order)).await, order);
    assert_eq!(shop.uses("SUMMER-26").await, (1, 1));
    let event = "select data -> 'charges' -> 'discount' ->> 'amount' from outbox where kind = 'order.paid'";
    let mut connection = shop.store.db.acquire().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, String>(event).fetch_one(&mut *connection).await.unwrap(), "449");
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn an_order_without_a_coupon_has_no_member_of_one() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.percent("SUMMER", 1000, json!({})).await;
    let order = shop.order("k", items(lamp, 1)).await.expect(201).body;
    assert!(order.get("discount").is_none() && order.get("couponCode").is_none(), "{order}");
    assert!(order["items"][0].get("discount").is_none(), "{order}");
    let stored = "select charges is null and not (data -> 'created') ? 'charges' \
        from orders join order_event on order_id = id and seq = 1";
    let mut connection = shop.store.db.acquire().await.unwrap();
    assert!(sqlx::query_scalar::<_, bool>(stored).fetch_one(&mut *connection).await.unwrap());
    let events = "select count(*) from outbox where data -> 'charges' is not null";
    assert_eq!(sqlx::query_scalar::<_, i64>(events).fetch_one(&mut *connection).await.unwrap(), 0);
}

#[tokio::test]
async fn a_coupon_that_does_not_apply_names_the_reason_and_the_cart_has_its_lines_back() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.percent("LATER", 1000, json!({ "validFrom": "2999-01-01T00:00:00Z" })).await;
    shop.percent("OVER", 1000, json!({ "validUntil": "2001-01-01T00:00:00Z" })).await;
    shop.percent("LARGE", 1000, json!({ "minimumTotal": eur(2000) })).await;
    shop.percent("ENDED", 1000, json!({ "active": false })).await;
    shop.percent("TINY", 1, json!({})).await;
    let dollars = json!({ "amount": 100, "currency": "USD" });
    shop.add_coupon(json!({ "code": "DOLLARS", "kind": "fixed", "amount": dollars })).await.expect(201);
    let cases = [
        ("LATER", "is valid from 2999-01-01T00:00:00Z on"),
        ("OVER", "was valid until 2001-01-01T00:00:00Z"),
        ("LARGE", "needs products for at least 20.00 EUR"),
        ("ENDED", "is not the code of a coupon of this shop"),
        ("NEVER", "is not the code of a coupon of this shop"),
        ("DOLLARS", "is for orders in USD"),
        ("TINY", "gives no discount on this order"),
        ("no code", "must be 3 to 32 letters, digits and hyphens"),
    ];
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    for (code, reason) in cases {
        let refused = shop.order("k", json!({ "couponCode": code })).await.expect(422).body;
        assert_eq!(wrong(&refused), ("couponCode", reason), "{refused}");
        assert_eq!((shop.fakes.carts.lines(shop.ada), shop.orders().await.len()), (1, 0), "{code}");
    }
    shop.order("k", json!({})).await.expect(201);
}

#[tokio::test]
async fn the_expected_total_is_the_one_after_the_discount() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.percent("HALF", 5000, json!({})).await;
    let mut body = with_coupon(lamp, 1, "HALF");
    body["expectedTotal"] = eur(1999);
    let changed = shop.order("k", body.clone()).await.expect(409).body;
    assert_eq!((&changed["code"], &changed["total"]), (&json!("TOTAL_CHANGED"), &eur(1000)));
    assert_eq!(shop.uses("HALF").await, (0, 0));
    body["expectedTotal"] = eur(1000);
    shop.order("k", body).await.expect(201);
}

#[tokio::test]
async fn a_discounted_line_is_refunded_at_what_was_paid_for_it_whatever_is_sent_back_when() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(100, 50), shop.fakes.catalog.offer(50, 50));
    shop.add_coupon(json!({ "code": "TEN", "kind": "fixed", "amount": eur(100) })).await.expect(201);
    let body = json!({
        "items": [{ "productId": lamp, "quantity": 3 }, { "productId": chair, "quantity": 1 }],
        "couponCode": "TEN",
        "payment": { "method": "card", "token": "tok_ok" },
    });
    // 86 of the 100 are borne by the lamps: 214 is paid for three.
    let order = id(&shop.order("k", body).await.expect(201).body);
    let shipped = shop.ship(order, "s", &[(lamp, 3), (chair, 1)]).await.expect(201).body;
    shop.mark_delivered(order, &shipped["shipments"][0]).await.expect(200);
    shop.send_back(order, "a", &[(lamp, 1)]).await.expect(201);
    shop.send_back(order, "b", &[(lamp, 1)]).await.expect(201);
    shop.handle(order, 0, "reject").await.expect(200);
    shop.send_back(order, "c", &[(lamp, 1)]).await.expect(201);
    let last = shop.send_back(order, "d", &[(chair, 1), (lamp, 1)]).await.expect(201).body;
    let amounts: Vec<_> =
        last["returns"].as_array().unwrap().iter().map(|it| it["amount"]["amount"].as_i64().unwrap()).collect();
    assert_eq!(amounts[0], 71);
    assert_eq!(amounts[1..].iter().sum::<i64>(), 350 - 100, "{amounts:?}");
    for index in 1..4 {
        shop.handle(order, index, "accept").await.expect(200);
        shop.handle(order, index, "scrap").await.expect(200);
    }
    shop.settle().await;
    assert_eq!(shop.fakes.payments.parts(shop.payment_of(order).await).iter().sum::<i64>(), 250);
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn units_that_cost_nothing_are_returned_without_a_refund() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1, 50);
    shop.percent("FREE", 10_000, json!({})).await;
    let mut body = with_coupon(lamp, 3, "FREE");
    body["payment"] = json!({ "method": "card", "token": "tok_ok" });
    let order = shop.order("k", body).await.expect(201).body;
    assert_eq!(order["total"], eur(1), "a payment is at least one minor unit");
    let order = id(&order);
    let shipped = shop.ship(order, "s", &[(lamp, 3)]).await.expect(201).body;
    shop.mark_delivered(order, &shipped["shipments"][0]).await.expect(200);
    shop.send_back(order, "a", &[(lamp, 1)]).await.expect(201);
    shop.handle(order, 0, "accept").await.expect(200);
    shop.handle(order, 0, "scrap").await.expect(200);
    shop.settle().await;
    assert_eq!(shop.read(order).await["returns"][0]["status"], "refunded");
    assert_eq!(shop.fakes.payments.parts(shop.payment_of(order).await), Vec::<i64>::new());
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn administrators_manage_coupons_and_no_one_else() {
    let shop = Shop::open().await;
    let body = json!({ "code": "sale-1", "kind": "fixed", "amount": eur(500), "usesMax": 10, "usesPerUserMax": 2 });
    let made = shop.add_coupon(body.clone()).key("k").await.expect(201);
    assert_eq!(made.header("location"), "/api/v1/admin/coupons/SALE-1");
    assert_eq!(
        (&made.body["code"], &made.body["uses"], &made.body["active"]),
        (&json!("SALE-1"), &json!(0), &json!(true))
    );
    assert_eq!(shop.add_coupon(body.clone()).key("k").await.expect(201).body, made.body, "the same request again");
    assert_eq!(shop.add_coupon(body.clone()).await.expect(409).body["code"], "CODE_TAKEN");
    let read = |code: &str| shop.app().get(&format!("/api/v1/admin/coupons/{code}")).with(&shop.admin());
    assert_eq!(read("sale-1").await.expect(200).body, made.body);
    read("SALE-2").await.expect(404);
    read("!").await.expect(404);

    let change = json!({ "usesMax": null, "validUntil": "2999-01-01T00:00:00Z", "active": false });
    let changed = shop.change_coupon("sale-1", change).await.expect(200).body;
    assert_eq!((&changed["usesMax"], &changed["usesPerUserMax"]), (&Value::Null, &json!(2)));
    assert_eq!((&changed["validUntil"], &changed["active"]), (&json!("2999-01-01T00:00:00Z"), &json!(false)));
    let refused = shop.change_coupon("SALE-1", json!({ "validFrom": "2999-01-02T00:00:00Z" })).await.expect(422).body;
    assert_eq!(wrong(&refused).0, "validUntil");
    shop.change_coupon("SALE-2", json!({})).await.expect(404);
    shop.change_coupon("SALE-1", json!({ "basisPoints": 1 })).await.expect(422);
    let bad = json!({ "code": "X", "kind": "gift", "usesMax": 0 });
    let fields = shop.add_coupon(bad).await.expect(422).body;
    let fields: Vec<_> = fields["details"].as_array().unwrap().iter().map(|it| it["field"].clone()).collect();
    assert_eq!(fields, ["code", "kind", "usesMax"]);

    for n in 1..4 {
        shop.percent(&format!("SALE-{}", n + 1), 100, json!({})).await;
    }
    let list = |query: &str| shop.app().get(&format!("/api/v1/admin/coupons{query}")).with(&shop.admin());
    let first = list("?limit=3").await.expect(200).body;
    let codes = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&first), ["SALE-1", "SALE-2", "SALE-3"]);
    let rest = list(&format!("?cursor={}", first["nextCursor"].as_str().unwrap())).await.expect(200).body;
    assert_eq!((codes(&rest), rest.get("nextCursor")), (vec!["SALE-4".to_owned()], None));

    let ada = shop.token(shop.ada);
    shop.app().post("/api/v1/admin/coupons", body).with(&ada).await.expect(403);
    shop.app().patch("/api/v1/admin/coupons/SALE-1", json!({})).with(&ada).await.expect(403);
    for path in ["/api/v1/admin/coupons", "/api/v1/admin/coupons/SALE-1"] {
        shop.app().get(path).with(&ada).await.expect(403);
        shop.app().get(path).await.expect(401);
    }
}

#[tokio::test]
async fn after_twenty_wrong_codes_within_an_hour_no_code_is_looked_up() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.percent("RIGHT", 1000, json!({})).await;
    shop.percent("SECRET", 1000, json!({ "active": false })).await;
    for n in 0..19 {
        shop.order("k", with_coupon(lamp, 1, &format!("WRONG-{n}"))).await.expect(422);
    }
    shop.order("right", with_coupon(lamp, 1, "RIGHT")).await.expect(201);
    shop.order("k", with_coupon(lamp, 1, "SECRET")).await.expect(422);
    for code in ["WRONG", "RIGHT"] {
        let refused = shop.order("k", with_coupon(lamp, 1, code)).await.expect(429);
        assert_eq!(refused.body["code"], "TOO_MANY_ATTEMPTS");
        let seconds: u32 = refused.header("retry-after").parse().unwrap();
        assert!((3000..=3600).contains(&seconds), "{seconds}");
    }
    shop.order("without", items(lamp, 1)).await.expect(201);
    let eve = shop.token(UserId::new(Uuid::from_u128(66)));
    shop.order("e", with_coupon(lamp, 1, "RIGHT")).with(&eve).await.expect(201);
    let hour = "update coupon_guess set since = since - interval '1 hour'";
    sqlx::query(hour).execute(&mut *shop.store.db.acquire().await.unwrap()).await.unwrap();
    shop.order("k", with_coupon(lamp, 1, "WRONG")).await.expect(422);
    shop.order("k", with_coupon(lamp, 1, "RIGHT")).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_wrong_codes_at_once_twenty_are_answered() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 500);
    let guesses = (0..100).map(|n| shop.order(&format!("k{n}"), with_coupon(lamp, 1, &format!("G-{n}"))).into_future());
    let answers = join_all(guesses).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(422), count(429)), (20, 80));
}

#[tokio::test]
async fn the_counts_of_guesses_do_not_stay() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    let old = "insert into coupon_guess (user_id, wrong, since) \
        select gen_random_uuid(), 1, now() - interval '2 hours' from generate_series(1, 15)";
    sqlx::query(old).execute(&mut *shop.store.db.acquire().await.unwrap()).await.unwrap();
    let mut left = Vec::new();
    for _ in 0..2 {
        shop.order("k", with_coupon(lamp, 1, "WRONG")).await.expect(422);
        let mut connection = shop.store.db.acquire().await.unwrap();
        let count = sqlx::query_scalar::<_, i64>("select count(*) from coupon_guess").fetch_one(&mut *connection);
        left.push(count.await.unwrap());
    }
    assert_eq!(left, [6, 1]);
}

#[tokio::test]
async fn a_discount_that_was_changed_by_hand_is_found() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.percent("HALF", 5000, json!({})).await;
    let order = id(&shop.order("k", with_coupon(lamp, 1, "HALF")).await.expect(201).body);
    assert_eq!(shop.status(order).await, two("pending", "unpaid"));
    let change = format!("update orders set charges = null where id = '{order}'");
    sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut *shop.store.db.acquire().await.unwrap()).await.unwrap();
    let found = agora_order::verification(shop.store.db.clone()).verify(|_| ()).await.unwrap();
    let difference = agora_order::domain::Difference::Fields(vec!["discount"]);
    assert_eq!(found.listed, [(order, difference)]);
}
