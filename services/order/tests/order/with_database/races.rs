//! Tests of concurrent requests.

use agora_vocab::Quantity;
use futures::{StreamExt as _, future::join_all, stream};
use serde_json::json;

use super::shop::{Shop, items};

const BUYERS: usize = 500;
const UNITS: usize = 10;
/// Five for each connection of the pool: a request waits for few others, far less long than the three seconds after which
/// it would get a 503.
const BUYERS_AT_ONCE: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_posts_with_one_key_make_one_order_and_hold_its_stock_once() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 100);
    let answers = join_all((0..100).map(|_| async { shop.order("k", items(lamp, 1)).await })).await;
    let (made, waiting): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert!(!made.is_empty(), "{:?}", waiting[0].body);
    assert!(made.iter().all(|answer| answer.body == made[0].body));
    assert!(waiting.iter().all(|answer| answer.status == 409 && answer.header("retry-after") == "1"));
    assert_eq!(shop.orders().await.len(), 1);
    assert_eq!(shop.fakes.catalog.available(lamp), 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_orders_of_one_cart_make_one_order() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 100);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let posts = (0..20).map(|n| {
        let shop = &shop;
        async move { shop.order(&format!("k{n}"), json!({})).await.status }
    });
    let made = join_all(posts).await.into_iter().filter(|status| *status == 201).count();
    assert_eq!((made, shop.orders().await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_hundred_buyers_of_ten_units_ten_get_one_and_the_others_are_refused_as_sold_out() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let post = |n: usize| {
        let request = shop.order(&format!("k{n}"), items(lamp, 1));
        async move { request.await }
    };
    let answers: Vec<_> = stream::iter(0..BUYERS).map(post).buffer_unordered(BUYERS_AT_ONCE).collect().await;
    let (sold, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    for answer in &refused {
        assert_eq!((answer.status, &answer.body["code"]), (409, &json!("INSUFFICIENT_QUANTITY")), "{}", answer.body);
    }
    assert_eq!((sold.len(), refused.len()), (UNITS, BUYERS - UNITS));
    assert!(sold.iter().all(|answer| answer.body["status"] == "pending"));
    assert_eq!(shop.fakes.catalog.available(lamp), 0);
    shop.assert_histories_agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deliveries_of_one_payment_result_apply_once() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let order = shop.pending("k", lamp, 1).await;
    shop.begin(order, 1).await.expect(200);
    let results = (0..20).map(|_| shop.result(order, 1, (2, "captured")).into_future());
    let reply = join_all(results).await;
    for answer in reply {
        assert_eq!(answer.body, json!({ "status": "paid", "paymentStatus": "paid" }));
    }
    let kinds: Vec<String> = shop.store.events(order).await.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["order.created", "order.placed", "order.paid"]);
}
