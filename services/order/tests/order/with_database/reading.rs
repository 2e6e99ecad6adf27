//! Tests of lists of orders.

use serde_json::Value;

use super::shop::Shop;

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
