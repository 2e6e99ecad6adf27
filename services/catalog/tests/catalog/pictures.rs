//! Drawn pictures of products.

use serde_json::json;

use crate::shop::{Shop, eur};

#[tokio::test]
async fn ca17_every_product_has_a_drawn_picture_that_is_the_same_each_time() {
    let shop = Shop::open().await;
    let create = async |name: &str| {
        let body = json!({"name": name, "category": "<script>", "price": eur(1)});
        shop.create(body).await.expect(201).body["id"].as_str().unwrap().to_owned()
    };
    let picture = |id: &str| shop.public.get(&format!("/api/v1/products/{id}/image.svg"));
    let (chair, other_chair, desk) = (create("Chair").await, create("Chair").await, create("Desk").await);
    let first = picture(&chair).await.expect(200);
    assert_eq!(first.header("content-type"), "image/svg+xml");
    assert!(first.header("cache-control").starts_with("public"));
    assert!(first.bytes.starts_with(b"<svg ") && first.bytes.ends_with(b"</svg>"));
    assert!(!String::from_utf8(first.bytes.clone()).unwrap().contains("script"));
    assert_eq!(picture(&other_chair).await.expect(200).bytes, first.bytes);
    assert_ne!(picture(&desk).await.expect(200).bytes, first.bytes);
    picture(&chair).header("if-none-match", first.header("etag")).await.expect(304);
    picture(&crate::fixture::fresh().to_string()).await.expect(404);
}
