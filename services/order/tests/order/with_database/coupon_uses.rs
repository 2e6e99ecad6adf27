//! Tests of the uses of coupons: limits under concurrency, and uses that are given back once.

use agora_order::domain::PaymentOutcome;
use agora_vocab::{OrderId, UserId};
use futures::future::join_all;
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::{
    coupons::with_coupon,
    crashes::{crashing, recovered},
    shop::{Shop, id, items, two},
};
use crate::fakes::Failpoint;

/// Concurrent orders with one coupon, and its limit.
const ORDERS: u128 = 200;
const USES_MAX: usize = 10;

fn user(n: u128) -> UserId {
    UserId::new(Uuid::from_u128(0x1000 + n))
}

impl Shop {
    /// An order of Ada's that waits to be paid and uses a coupon.
    async fn discounted(&self, key: &str, code: &str) -> OrderId {
        let lamp = self.fakes.catalog.offer(1999, 5);
        id(&self.order(key, with_coupon(lamp, 1, code)).await.expect(201).body)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_users_at_once_exactly_ten_use_a_coupon_of_ten_uses() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 1000);
    shop.percent("RUSH", 1000, json!({ "usesMax": USES_MAX })).await;
    let orders = (0..ORDERS).map(|n| {
        let token = shop.token(user(n));
        shop.order("k", with_coupon(lamp, 1, "RUSH")).with(&token).into_future()
    });
    let answers = join_all(orders).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), USES_MAX);
    for answer in refused {
        assert_eq!((answer.status, &answer.body["code"]), (409, &json!("COUPON_EXHAUSTED")), "{}", answer.body);
    }
    assert_eq!(shop.uses("RUSH").await, (10, 10));
    assert_eq!(shop.store.order_ids().await.len(), USES_MAX, "nothing is left of the others");
    assert_eq!(shop.fakes.catalog.available(lamp), 990);
    let held = "select count(*) from idempotency where state = 'started'";
    let mut connection = shop.store.db.acquire().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(held).fetch_one(&mut *connection).await.unwrap(), 0);
    let over = sqlx::query("update coupon set uses = 11").execute(&mut *connection).await.unwrap_err();
    assert_eq!(agora_postgres::constraint(&over), Some("coupon_uses_within_limit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_uses_a_coupon_at_most_as_often_as_its_limit_also_at_once() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 1000);
    shop.percent("TWICE", 1000, json!({ "usesMax": 7, "usesPerUserMax": 2 })).await;
    let orders = (0..60_u128).map(|n| {
        let token = shop.token(user(n % 3));
        shop.order(&format!("k{n}"), with_coupon(lamp, 1, "TWICE")).with(&token).into_future()
    });
    let answers = join_all(orders).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)));
    assert_eq!((made, shop.uses("TWICE").await), (6, (6, 6)));
    shop.order("last", with_coupon(lamp, 1, "TWICE")).await.expect(201);
    let none = shop.order("more", with_coupon(lamp, 1, "TWICE")).await.expect(409).body;
    assert_eq!(none["code"], "COUPON_EXHAUSTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_that_are_claimed_and_given_back_at_once_never_exceed_the_limit() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 1000);
    shop.percent("SWAP", 1000, json!({ "usesMax": 3 })).await;
    let rounds = (0..40_u128).map(|n| {
        let (shop, token) = (&shop, shop.token(user(n)));
        async move {
            let answer = shop.order("k", with_coupon(lamp, 1, "SWAP")).with(&token).await;
            if answer.status == 201 {
                let path = format!("/api/v1/orders/{}", id(&answer.body));
                shop.app().delete(&path).with(&token).await.expect(200);
            }
            answer.status
        }
    });
    let statuses = join_all(rounds).await;
    assert!(statuses.iter().all(|status| matches!(status, 201 | 409)) && statuses.contains(&201), "{statuses:?}");
    assert_eq!(shop.uses("SWAP").await, (0, 0));
}

#[tokio::test]
async fn an_order_of_a_used_up_coupon_holds_nothing_and_leaves_its_key_free() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 50);
    shop.percent("ONCE", 1000, json!({ "usesMax": 1 })).await;
    shop.discounted("first", "ONCE").await;
    shop.fakes.carts.add(shop.ada, lamp, agora_vocab::Quantity::ONE);
    let refused = shop.order("k", json!({ "couponCode": "ONCE" })).await.expect(409).body;
    assert_eq!(refused["code"], "COUPON_EXHAUSTED");
    assert_eq!((shop.fakes.carts.lines(shop.ada), shop.fakes.catalog.available(lamp)), (1, 50));
    assert_eq!(shop.orders().await.len(), 1);
    shop.order("k", json!({})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_gives_its_use_back_once_however_often_it_is_cancelled() {
    let shop = Shop::open().await;
    shop.percent("TWO", 1000, json!({ "usesMax": 2 })).await;
    let (kept, order) = (shop.discounted("a", "TWO").await, shop.discounted("b", "TWO").await);
    let same = (0..20).map(|_| shop.cancel(order).key("c").into_future());
    let others = (0..20).map(|n| shop.cancel(order).key(&format!("c{n}")).into_future());
    let answers = join_all(same.chain(others)).await;
    assert!(answers.iter().any(|answer| answer.status == 200));
    shop.settle().await;
    assert_eq!(shop.uses("TWO").await, (1, 1));
    assert_eq!(shop.status(kept).await, two("pending", "unpaid"));
    shop.discounted("c", "TWO").await;
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn a_rejected_and_an_expired_order_give_their_uses_back() {
    let shop = Shop::open().await;
    shop.percent("MANY", 1000, json!({})).await;
    let rare = shop.fakes.catalog.offer(1999, 1);
    let short = shop.order("short", with_coupon(rare, 2, "MANY")).await.expect(409).body;
    assert_eq!((&short["code"], shop.uses("MANY").await), (&json!("INSUFFICIENT_QUANTITY"), (0, 0)));
    let order = shop.discounted("k", "MANY").await;
    assert_eq!(shop.uses("MANY").await, (1, 1));
    shop.store.pass(Duration::seconds(901)).await;
    shop.settle().await;
    assert_eq!((shop.status(order).await, shop.uses("MANY").await), (two("expired", "unpaid"), (0, 0)));
    shop.assert_histories_agree().await;
}

#[tokio::test]
async fn an_order_that_was_paid_keeps_its_use() {
    let shop = Shop::open().await;
    shop.percent("KEPT", 1000, json!({})).await;
    let lamp = shop.fakes.catalog.offer(1999, 5);
    let mut body = with_coupon(lamp, 1, "KEPT");
    body["payment"] = json!({ "method": "card", "token": "tok_ok" });
    let order = id(&shop.order("k", body).await.expect(201).body);
    shop.cancel(order).await.expect(200);
    shop.settle().await;
    assert_eq!((shop.status(order).await.0, shop.uses("KEPT").await), ("cancelled".to_owned(), (1, 1)));
}

#[tokio::test]
async fn a_late_payment_of_an_expired_order_with_a_coupon_is_refunded() {
    let shop = Shop::open().await;
    shop.percent("ONCE", 1000, json!({ "usesMax": 1 })).await;
    let order = shop.discounted("k", "ONCE").await;
    shop.begin(order, 1).await.expect(200);
    shop.result(order, 1, (7, "failed")).await.expect(200);
    shop.store.pass(Duration::seconds(901)).await;
    shop.settle().await;
    assert_eq!(shop.status(order).await, two("expired", "failed"));
    shop.discounted("other", "ONCE").await;
    let result = shop.fakes.payments.resolve(order, shop.payment(1), PaymentOutcome::Captured);
    shop.deliver(order, 1, (result, "captured")).await.expect(200);
    shop.settle().await;
    assert_eq!(shop.status(order).await, two("expired", "refunded"));
    assert_eq!(shop.uses("ONCE").await, (1, 1));
    shop.assert_histories_agree().await;
}

#[tokio::test]
async fn a_use_is_claimed_once_and_given_back_once_whatever_crashes() {
    crashing(async |shop: &Shop, pass: i64, failpoint: &Failpoint| {
        let code = format!("CRASH-{pass}");
        shop.percent(&code, 1000, json!({ "usesMax": 1 })).await;
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let dying = shop.crashing(failpoint);
        let body = with_coupon(lamp, 1, &code);
        let first = dying.order("k", body.clone()).await;
        if first.status == 201 {
            dying.cancel(id(&first.body)).key("c").await;
            dying.service.continue_sagas().await.ok();
        }
        recovered(shop).await;
        let order = id(&shop.order("k", body).await.expect(201).body);
        shop.cancel(order).key("c").await.expect(200);
        recovered(shop).await;
        assert_eq!(shop.status(order).await, two("cancelled", "unpaid"), "pass {pass}");
        assert_eq!(shop.uses(&code).await, (0, 0), "pass {pass}");
        assert_eq!(shop.fakes.catalog.available(lamp), 5, "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn a_shortage_gives_the_use_back_once_whatever_crashes() {
    crashing(async |shop: &Shop, pass: i64, failpoint: &Failpoint| {
        let code = format!("SHORT-{pass}");
        shop.percent(&code, 1000, json!({ "usesMax": 1 })).await;
        let rare = shop.fakes.catalog.offer(1999, 1);
        let dying = shop.crashing(failpoint);
        dying.order("k", with_coupon(rare, 2, &code)).await;
        recovered(shop).await;
        let reply = shop.order("k", with_coupon(rare, 2, &code)).await;
        assert_eq!((reply.status, &reply.body["code"]), (409, &json!("INSUFFICIENT_QUANTITY")), "pass {pass}");
        assert_eq!(shop.uses(&code).await, (0, 0), "pass {pass}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creations_and_ends_of_one_cart_with_one_coupon_do_not_block_each_other() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 1000);
    shop.percent("CART", 1000, json!({})).await;
    for round in 0..10 {
        shop.fakes.carts.add(shop.ada, lamp, agora_vocab::Quantity::ONE);
        let orders = (0..4).map(|n| {
            let (shop, key) = (&shop, format!("k{round}-{n}"));
            async move {
                let answer = shop.order(&key, json!({ "couponCode": "CART" })).await;
                if answer.status == 201 {
                    shop.cancel(id(&answer.body)).await.expect(200);
                }
                answer
            }
        });
        for answer in join_all(orders).await {
            assert!(matches!(answer.status, 201 | 409 | 422), "{}", answer.body);
        }
        shop.settle().await;
    }
    assert_eq!(shop.uses("CART").await, (0, 0));
    shop.order("plain", items(lamp, 1)).await.expect(201);
}
