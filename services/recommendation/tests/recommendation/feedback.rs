//! Votes: one per user and product.

use agora_events::catalog::{ProductDeleted, ProductEvent};
use agora_testkit::{Request, refused};
use agora_vocab::ProductId;
use futures::future::join_all;
use serde_json::json;

use crate::shop::{Shop, fresh, numbered, stock, user};

fn vote(shop: &Shop, token: &str, product: ProductId, positive: bool) -> Request {
    let body = json!({"productId": product, "isPositive": positive});
    shop.public.post("/api/v1/recommendations/feedback", body).with(token)
}

#[tokio::test]
async fn re6_a_second_vote_of_a_user_replaces_the_first() {
    let shop = Shop::open().await;
    let lamp = shop.sell("Lamp", "Lighting").await;
    let other = shop.keys.token(user(), &[]);
    let mut stats = Vec::new();
    for (token, positive) in [(&shop.token, true), (&shop.token, true), (&other, true), (&shop.token, false)] {
        let answer = vote(&shop, token, lamp, positive).await.expect(200);
        assert_eq!((&answer.body["productId"], &answer.body["isPositive"]), (&json!(lamp), &json!(positive)));
        stats.push(answer.body["feedbackStats"].clone());
    }
    let expected = [(1, 0), (1, 0), (2, 0), (1, 1)];
    assert_eq!(stats, expected.map(|(up, down)| json!({"positiveCount": up, "negativeCount": down})));
    assert_eq!(shop.count("select count(*) from feedback").await, 2);
}

/// The older system let one user vote without end.
#[tokio::test(flavor = "multi_thread")]
async fn one_user_could_vote_without_end() {
    let shop = Shop::open().await;
    let lamp = shop.sell("Lamp", "Lighting").await;
    let all = (0..40).map(|n| vote(&shop, &shop.token, lamp, n % 2 == 0).into_future());
    for answer in join_all(all).await {
        answer.expect(200);
    }
    assert_eq!(shop.count("select positive_votes + negative_votes from product").await, 1);
    let differing = "select count(*) from feedback f join product p using (product_id) \
        where f.positive <> (p.positive_votes = 1)";
    assert_eq!(shop.count(differing).await, 0, "the count is that of the stored vote");
}

#[tokio::test]
async fn a_repetition_of_a_vote_returns_the_first_result_and_changes_nothing() {
    let shop = Shop::open().await;
    let lamp = shop.sell("Lamp", "Lighting").await;
    let first = vote(&shop, &shop.token, lamp, true).key("k").await.expect(200);
    vote(&shop, &shop.token, lamp, false).await.expect(200);
    let again = vote(&shop, &shop.token, lamp, true).key("k").await.expect(200);
    assert_eq!(again.body, first.body);
    assert_eq!(shop.count("select negative_votes from product").await, 1);
    let reused = vote(&shop, &shop.token, lamp, false).key("k").await;
    refused(&reused, 422, "IDEMPOTENCY_KEY_REUSED", &[]);
}

#[tokio::test]
async fn only_products_of_the_catalog_can_be_voted_on() {
    let shop = Shop::open().await;
    let unknown = vote(&shop, &shop.token, ProductId::new(fresh()), true).await;
    refused(&unknown, 422, "UNKNOWN_PRODUCT", &["productId"]);
    let only_stock = ProductId::new(fresh());
    shop.deliver(&[stock(only_stock, 1, 3)]).await;
    refused(&vote(&shop, &shop.token, only_stock, true).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
    let lamp = shop.sell("Lamp", "Lighting").await;
    let deleted = ProductEvent::Deleted(ProductDeleted { product_id: lamp, version: 2 });
    shop.deliver(&[numbered(lamp.uuid(), 2, &deleted)]).await;
    refused(&vote(&shop, &shop.token, lamp, true).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
}

/// The older system read another field than its neighbour sent, so that no vote reached a cached result.
#[tokio::test]
async fn a_vote_never_reached_the_cached_result() {
    let shop = Shop::open().await;
    let (_first, second) = (shop.sell("A", "Electronics").await, shop.sell("B", "Electronics").await);
    assert_eq!(shop.names().await, ["A", "B"]);
    vote(&shop, &shop.keys.token(user(), &[]), second, true).await.expect(200);
    assert_eq!(shop.names().await, ["B", "A"]);
}
