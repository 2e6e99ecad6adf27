//! How many unpaid orders and held units a user can have.

use agora_order::domain::UnpaidLimits;
use agora_vocab::{Quantity, UserId};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::{
    shop::{Shop, items},
    store::TestStore,
};

const LIMITS: UnpaidLimits = UnpaidLimits { orders: 3, units: 10 };

#[tokio::test]
async fn a_user_cannot_hold_all_stock_without_paying() {
    let shop = Shop::on(TestStore::with_limits(LIMITS).await);
    let lamp = shop.fakes.catalog.offer(100, 100);
    let first = shop.pending("a", lamp, 1).await;
    shop.pending("b", lamp, 1).await;
    let large = shop.order("units", items(lamp, 9)).await.expect(409).body;
    assert_eq!((&large["code"], &large["limit"]), (&json!("TOO_MANY_UNITS_HELD"), &json!(10)));
    shop.pending("c", lamp, 8).await;

    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let many = shop.order("d", json!({})).await.expect(409).body;
    assert_eq!((&many["code"], &many["limit"]), (&json!("TOO_MANY_UNPAID_ORDERS"), &json!(3)));
    assert_eq!((shop.fakes.carts.lines(shop.ada), shop.fakes.catalog.available(lamp)), (1, 90));
    assert_eq!(shop.orders().await.len(), 3);
    let eve = shop.token(UserId::new(Uuid::from_u128(66)));
    shop.order("e", items(lamp, 1)).with(&eve).await.expect(201);

    shop.cancel(first).await.expect(200);
    shop.order("d", json!({})).await.expect(201);
}

#[tokio::test]
async fn a_paid_order_does_not_count_as_unpaid() {
    let shop = Shop::on(TestStore::with_limits(UnpaidLimits { orders: 1, units: 1 }).await);
    let lamp = shop.fakes.catalog.offer(100, 100);
    for key in ["a", "b", "c"] {
        let mut body = items(lamp, 1);
        body["payment"] = json!({ "method": "card", "token": "tok_ok" });
        let paid = shop.order(key, body).await.expect(201).body;
        assert_eq!(paid["status"], "paid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_orders_do_not_exceed_the_limits() {
    let shop = Shop::on(TestStore::with_limits(LIMITS).await);
    let lamp = shop.fakes.catalog.offer(100, 100);
    let posts = (0..20).map(|n| shop.order(&format!("k{n}"), items(lamp, 1)).into_future());
    let answers = join_all(posts).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)));
    assert_eq!((made, shop.orders().await.len(), shop.fakes.catalog.available(lamp)), (3, 3, 97));
}
