//! `GET /recommendations`: who may ask, how many products, and how often.

use agora_testkit::refused;
use serde_json::json;

use crate::shop::{Shop, user};

const LIST: &str = "/api/v1/recommendations";

#[tokio::test]
async fn re11_each_recommendation_has_its_product_and_its_reason() {
    let shop = Shop::open().await;
    let radio = shop.sell("Radio", "Electronics").await;
    let answer = shop.public.get(LIST).with(&shop.token).await.expect(200);
    let expected = json!({"items": [{
        "productId": radio,
        "name": "Radio",
        "price": {"amount": 1999, "currency": "EUR"},
        "category": "Electronics",
        "imageUrl": null,
        "feedbackStats": {"positiveCount": 0, "negativeCount": 0},
        "reason": {"type": "defaultCategory", "category": "Electronics", "text": "Popular in Electronics"},
    }]});
    assert_eq!(answer.body, expected);
}

#[tokio::test]
async fn the_number_of_recommendations_is_what_was_asked_for_within_bounds() {
    let shop = Shop::open().await;
    for n in 0..25 {
        shop.sell(&format!("Radio {n}"), "Electronics").await;
    }
    let found = async |limit: &str| {
        let answer = shop.public.get(&format!("{LIST}{limit}")).with(&shop.token).await.expect(200);
        answer.body["items"].as_array().unwrap().len()
    };
    assert_eq!([found("?limit=3").await, found("").await, found("?limit=100").await], [3, 20, 20]);
    let ask = |limit: &str| shop.public.get(&format!("{LIST}?limit={limit}")).with(&shop.token);
    refused(&ask("101").await, 422, "VALIDATION_FAILED", &["limit"]);
    refused(&ask("0").await, 422, "VALIDATION_FAILED", &["limit"]);
    refused(&ask("many").await, 400, "INVALID_QUERY", &["limit"]);
    refused(&ask("3&page=2").await, 400, "INVALID_QUERY", &["page"]);
}

#[tokio::test]
async fn a_token_is_required_and_the_recomputation_is_for_administrators() {
    let shop = Shop::open().await;
    refused(&shop.public.get(LIST).await, 401, "NO_TOKEN", &[]);
    let process = "/api/v1/admin/recommendations/recomputation";
    refused(&shop.public.post(process, json!({})).with(&shop.token).await, 403, "FORBIDDEN", &[]);
    refused(&shop.public.get(process).with(&shop.token).await, 403, "FORBIDDEN", &[]);
    let feedback = shop.public.post("/api/v1/recommendations/feedback", json!({"productId": user(), "isPositive": 1}));
    refused(&feedback.with(&shop.token).await, 422, "VALIDATION_FAILED", &["isPositive"]);
}

#[tokio::test]
async fn re10_a_user_has_a_hundred_requests_a_minute_with_and_without_redis() {
    let away = format!("redis://127.0.0.1:{}", agora_testkit::free_port());
    for shop in [Shop::open().await, Shop::open_on(&away).await] {
        for _ in 0..100 {
            shop.public.get(LIST).with(&shop.token).await.expect(200);
        }
        // A token comes back every 0.6 s, and a slow machine may have got some.
        let mut refusals = Vec::new();
        for _ in 0..100 {
            let answer = shop.public.get(LIST).with(&shop.token).await;
            refusals.extend((answer.status == 429).then_some(answer));
        }
        refused(&refusals[0], 429, "TOO_MANY_REQUESTS", &[]);
        assert_eq!(refusals[0].header("retry-after"), "1");
        let body = json!({"productId": user(), "isPositive": true});
        let vote = shop.public.post("/api/v1/recommendations/feedback", body).with(&shop.token);
        assert!([429, 422].contains(&vote.await.status));
        let another = shop.keys.token(user(), &[]);
        shop.public.get(LIST).with(&another).await.expect(200);
    }
}

/// The older system's limit covered `/metrics`, so that monitoring ended after a hundred requests.
#[tokio::test]
async fn requests_of_administrators_are_not_limited() {
    let shop = Shop::open().await;
    let admin = shop.admin();
    for _ in 0..150 {
        shop.public.get("/api/v1/admin/recommendations/recomputation").with(&admin).await.expect(200);
    }
}

#[tokio::test]
async fn de17_the_router_serves_every_operation_of_the_document() {
    Shop::open().await.public.assert_serves_its_document().await;
}
