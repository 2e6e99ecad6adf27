//! Tests of lists of orders.

use agora_vocab::UserId;
use serde_json::Value;
use uuid::Uuid;

use super::shop::Shop;

#[tokio::test]
async fn gw3_the_orders_of_given_ids_are_read_with_one_request_and_only_the_callers() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 100);
    let (first, second) = (shop.pending("k1", lamp, 1).await, shop.pending("k2", lamp, 1).await);
    let path = format!("/api/v1/orders?ids={second},{},{first},{second}", shop.number(7));
    let ids = async |token: &str| -> Vec<String> {
        let list = shop.app().get(&path).with(token).await.expect(200).body;
        list["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    let both = [second.to_string(), first.to_string()];
    assert_eq!(ids(&shop.token(shop.ada)).await, both);
    assert_eq!(ids(&shop.admin()).await, both);
    assert_eq!(ids(&shop.token(UserId::new(Uuid::from_u128(9)))).await, [""; 0], "another user sees none");
    for query in ["ids=7".to_owned(), format!("ids={first}&limit=1"), "ids=".to_owned()] {
        let answer = shop.get(&format!("/api/v1/orders?{query}")).await.expect(400);
        assert_eq!(answer.body["details"][0]["field"], "ids", "{query}");
    }
    shop.app().get(&path).await.expect(401);
}

#[tokio::test]
async fn or3_orders_are_listed_newest_first_by_cursor_and_by_offset() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 100);
    let mut made = Vec::new();
    for n in 0..5 {
        made.insert(0, shop.pending(&format!("k{n}"), lamp, 1).await.to_string());
    }
    let ids = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = shop.get("/api/v1/orders?limit=2").await.expect(200).body;
    assert_eq!(ids(&first), made[..2]);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = shop.get(&format!("/api/v1/orders?limit=3&cursor={cursor}")).await.expect(200).body;
    assert_eq!(ids(&second), made[2..]);
    assert_eq!(second.get("nextCursor"), None);
    assert_eq!(ids(&shop.get("/api/v1/orders?offset=4").await.expect(200).body), made[4..]);
    let everything = shop.app().get("/api/v1/admin/orders").with(&shop.admin()).await.expect(200).body;
    assert_eq!(ids(&everything), made);
    let of_ada = format!("/api/v1/admin/orders?userId={}", shop.ada);
    assert_eq!(ids(&shop.app().get(&of_ada).with(&shop.admin()).await.expect(200).body), made);
    shop.get("/api/v1/admin/orders").await.expect(403);
}

#[tokio::test]
async fn de17_the_router_serves_every_operation_of_the_document() {
    Shop::open().await.public.assert_serves_its_document().await;
}
