//! Attempts to pay less, to pay nothing, to get money back twice, to buy what is not there, and to learn who has an account.

use agora_vocab::Role;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    family::Family,
    world::{self, UNKNOWN, World, text_of},
};

/// Units of the product for which many ask at once, and those who ask.
const UNITS: usize = 5;
const BUYERS: usize = 20;

pub async fn attack(world: &World) -> Family {
    let mut family = Family::new("purchases");
    quantities(world, &mut family).await;
    payments(world, &mut family).await;
    refunds(world, &mut family).await;
    keys(world, &mut family).await;
    guests(world, &mut family).await;
    accounts(world, &mut family).await;
    rush(world, &mut family).await;
    family
}

async fn quantities(world: &World, family: &mut Family) {
    let product = &world.victim.product;
    let quantities = [
        json!(0),
        json!(-1),
        json!(-5),
        json!(1.5),
        json!(10_000),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!("1"),
        json!("1 or 1=1"),
        json!([1]),
        json!(null),
        json!(true),
    ];
    for quantity in quantities {
        let line = json!({ "productId": product, "quantity": quantity });
        let cart = world.post("/cart/items", &line).await.0;
        family.expect(format!("{quantity} units in the cart"), 422, cart);
        let order = world.post("/orders", &json!({ "items": [line] })).await.0;
        family.expect(format!("an order of {quantity} units"), 422, order);
    }
    let unknown = json!({ "items": [{ "productId": UNKNOWN, "quantity": 1 }] });
    family.expect("an order of nothing known", 422, world.post("/orders", &unknown).await.0);
    family.expect("an order of no items", 422, world.post("/orders", &json!({ "items": [] })).await.0);
    family.expect("an order of an empty cart", 422, world.post("/orders", &json!({})).await.0);
    let one = json!([{ "productId": product, "quantity": 1 }]);
    let foreign = json!({ "items": one, "addressId": world.victim.address });
    family.expect("an order to another user's address", 422, world.post("/orders", &foreign).await.0);
    let coupon = json!({ "items": one, "couponCode": "FREE-FOR-ALL" });
    family.expect("an order with an invented coupon", 422, world.post("/orders", &coupon).await.0);
    let product = json!({ "name": "Cheap", "price": { "amount": 1, "currency": "EUR" }, "stock": 1 });
    family.expect("a product of a customer", 403, world.post("/products", &product).await.0);
}

/// Places an order of one unit as the attacker.
async fn ordered(world: &World) -> Value {
    let items = json!({ "items": [{ "productId": world.victim.product, "quantity": 1 }] });
    let (status, order) = world.post("/orders", &items).await;
    assert_eq!(status, 201, "{order}");
    order["id"].clone()
}

async fn payments(world: &World, family: &mut Family) {
    let order = ordered(world).await;
    let pay = |fields: Value| {
        let mut body = json!({ "orderId": order, "method": "card", "token": "tok_ok" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let amount = |amount: i64, currency: &str| json!({ "amount": { "amount": amount, "currency": currency } });
    for (attack, fields, status) in [
        ("a lower amount", amount(1, "EUR"), 422),
        ("a higher amount", amount(2_000, "EUR"), 422),
        ("no amount", amount(0, "EUR"), 422),
        ("a negative amount", amount(-1_999, "EUR"), 422),
        ("a weaker currency", amount(1_999, "JPY"), 422),
        ("an invented currency", amount(1_999, "XXZ"), 422),
        ("an amount with decimals", json!({ "amount": { "amount": 19.99, "currency": "EUR" } }), 422),
        ("an amount beyond exact numbers", amount(1 << 53, "EUR"), 422),
        ("another method", json!({ "method": "gift" }), 422),
        ("an empty token", json!({ "token": "" }), 422),
        ("a card number for a token", json!({ "token": "4242424242424242" }), 422),
        ("a card number in a token", json!({ "token": "tok_4242424242424242" }), 422),
        ("another user's order", json!({ "orderId": world.victim.order }), 404),
        ("an unknown order", json!({ "orderId": UNKNOWN }), 404),
        ("a declined card", json!({ "token": "tok_declined" }), 402),
    ] {
        family.expect(format!("a payment with {attack}"), status, world.post("/payments", &pay(fields)).await.0);
    }
    let (_, unpaid) = world.get(&format!("/orders/{}", text_of(&order)), &world.attacker).await;
    family.expect("the order after all that", "pending", text_of(&unpaid["status"]));
    assert_eq!(world.post("/payments", &pay(json!({}))).await.0, 201);
    family.expect("a second payment", 409, world.post("/payments", &pay(json!({}))).await.0);
    let captured = "select count(*) from payment where captured_minor > 0";
    family.expect("captured payments", 2, world.shop.number("payment", captured).await);
    for provider in ["Simulator", "simulator", "stripe", "Stripe", "none"] {
        let event = json!({ "type": "payment_intent.succeeded", "data": { "object": { "id": world.victim.payment } } });
        let event = world.request(Method::POST, &format!("/api/v1/payments/webhooks/{provider}")).json(&event);
        family.expect(format!("a forged message of {provider}"), 404, world::answer(event).await.0);
    }
}

async fn refunds(world: &World, family: &mut Family) {
    let finance = world.staff(Role::Finance);
    let refund = async |body: Value| {
        let request = world.request(Method::POST, "/api/v1/payments/refund").bearer_auth(&finance);
        world::answer(request.json(&body)).await.0
    };
    let payment = &world.victim.payment;
    let of = |amount: i64| json!({ "paymentId": payment, "amount": { "amount": amount, "currency": "EUR" } });
    family.expect("a refund by a customer", 403, world.post("/payments/refund", &of(1)).await.0);
    family.expect("a refund of more than was captured", 422, refund(of(2_000)).await);
    family.expect("a refund of a negative amount", 422, refund(of(-1)).await);
    family.expect("a refund of nothing", 422, refund(of(0)).await);
    family.expect("a refund of two things", 422, refund(json!({ "paymentId": payment, "orderId": UNKNOWN })).await);
    let other = json!({ "paymentId": payment, "amount": { "amount": 1, "currency": "JPY" } });
    family.expect("a refund in another currency", 422, refund(other).await);
    family.expect("a refund of an unknown payment", 404, refund(json!({ "paymentId": UNKNOWN })).await);
    let attempts = world.shop.number("payment", "select count(*) from refund_attempt").await;
    family.expect("attempts to refund", 0, attempts);
}

/// Idempotency keys: of others, with another body, absent, and malformed.
async fn keys(world: &World, family: &mut Family) {
    let items = |units: u32| json!({ "items": [{ "productId": world.victim.product, "quantity": units }] });
    let send = async |key: Option<&str>, token: &str, body: &Value| {
        let request = world.shop.http.post(format!("{}/api/v1/orders", world.shop.gateway)).bearer_auth(token);
        let request = if let Some(key) = key { request.header("idempotency-key", key) } else { request };
        world::answer(request.json(body)).await
    };
    family.expect("no key", 400, send(None, &world.attacker, &items(1)).await.0);
    family.expect("a key of two words", 400, send(Some("two words"), &world.attacker, &items(1)).await.0);
    family.expect("a long key", 400, send(Some(&"k".repeat(256)), &world.attacker, &items(1)).await.0);
    family.expect("a card number for a key", 422, send(Some("4242424242424242"), &world.attacker, &items(1)).await.0);
    // The victim has used this key.
    let (status, order) = send(Some("order"), &world.attacker, &items(2)).await;
    let own = order["userId"] == json!(world.attacker_id);
    family.expect("the key of another user", (201, true), (status, own));
    family.expect("the same key with another body", 422, send(Some("order"), &world.attacker, &items(1)).await.0);
    let (_, again) = send(Some("order"), &world.attacker, &items(2)).await;
    family.expect("the same key with the same body", &order["id"], &again["id"]);
}

/// The carts of guests, who are known by a token.
async fn guests(world: &World, family: &mut Family) {
    let cart = "/api/v1/guest-carts/current";
    let line = format!("{cart}/items/{}", world.victim.cart_line);
    let (status, created) =
        world::answer(world.shop.http.post(format!("{}/api/v1/guest-carts", world.shop.gateway))).await;
    assert_eq!(status, 201, "{created}");
    let own = text_of(&created["cartToken"]);
    for (attack, method, path, token, status) in [
        ("no token", Method::GET, cart, None, 400),
        ("a guessed token", Method::GET, cart, Some("0000000000000000000000"), 404),
        ("SQL for a token", Method::GET, cart, Some("' or '1'='1"), 404),
        ("the victim's line", Method::DELETE, line.as_str(), Some(own), 404),
        ("the victim's line without a token", Method::DELETE, line.as_str(), None, 400),
    ] {
        let request = world.request(method, path);
        let request = if let Some(token) = token { request.header("x-cart-token", token) } else { request };
        family.expect(format!("a guest's cart with {attack}"), status, world::answer(request).await.0);
    }
    let merge = world.post("/cart/merge", &json!({ "cartToken": "0000000000000000000000" })).await.0;
    family.expect("the merge of a guessed cart", 404, merge);
}

/// Answers that would tell whether an account exists.
async fn accounts(world: &World, family: &mut Family) {
    let (known, unknown) = ("shopper-0@example.com", "nobody@example.com");
    let post = async |path: &str, body: Value| {
        let (status, mut answer) =
            world::answer(world.request(Method::POST, &format!("/api/v1{path}")).json(&body)).await;
        if let Some(members) = answer.as_object_mut() {
            members.remove("requestId");
        }
        (status, answer)
    };
    let login = |email: &str| json!({ "email": email, "password": "wrong horse battery" });
    let (of_known, of_unknown) = (post("/auth/login", login(known)).await, post("/auth/login", login(unknown)).await);
    family.expect("a wrong login", 401, of_known.0);
    family.expect("a login without an account", of_known, of_unknown);
    let reset = |email: &str| json!({ "email": email });
    let of_known = post("/auth/password-reset", reset(known)).await;
    family.expect("a password reset", 202, of_known.0);
    family.expect("a reset without an account", of_known, post("/auth/password-reset", reset(unknown)).await);
    for token in ["", "x", "0192f0c100007000800000000000dead.AAAA", "' or '1'='1"] {
        let guess = json!({ "token": token, "newPassword": "a long enough guess" });
        family.expect(format!("a guessed reset {token}"), 422, post("/auth/password-reset/confirm", guess).await.0);
        let guess = post("/auth/email-confirmation", json!({ "token": token })).await;
        family.expect(format!("a guessed confirmation {token}"), 422, guess.0);
    }
    let change = json!({ "currentPassword": "a wrong password", "newPassword": "a long enough guess" });
    let wrong = world::answer(
        world.request(Method::POST, "/api/v1/users/me/password").bearer_auth(&world.attacker).json(&change),
    );
    family.expect("a new password without the present one", 422, wrong.await.0);
    for (attack, field, value) in [
        ("SQL for a login", "email", "admin@example.com' --"),
        ("SQL for a password", "password", "' or '1'='1"),
        ("an operator for a password", "password", "{\"$ne\":null}"),
    ] {
        let mut body = login("admin@example.com");
        body[field] = json!(value);
        family.expect(attack, 401, post("/auth/login", body).await.0);
    }
    let object = json!({ "email": "admin@example.com", "password": { "$ne": null } });
    family.expect("an object for a password", 422, post("/auth/login", object).await.0);
}

/// Many ask for the same few units at once.
async fn rush(world: &World, family: &mut Family) {
    let product = world.shop.product(i64::try_from(UNITS).unwrap()).await;
    let body = json!({ "items": [{ "productId": product, "quantity": 1 }] });
    let answers = join_all((0..BUYERS).map(|_| world.post("/orders", &body))).await;
    let count = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    family.expect("units that were sold", UNITS, count(201));
    family.expect("buyers who got none", BUYERS - UNITS, count(409));
    let oversold = "select count(*) from stock where reserved < 0 or reserved > on_hand";
    family.expect("stock that was sold twice", 0, world.shop.number("catalog", oversold).await);
}
