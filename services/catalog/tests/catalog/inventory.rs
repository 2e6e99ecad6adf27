//! The public routes for stock.

use agora_api::catalog as api;
use agora_testkit::refused;
use serde_json::{Value, json};

use crate::{
    fixture::fresh,
    shop::{Shop, order_id},
};

/// Defect of A (docs/DEFECTS.md): a change of the name read and wrote the whole row, stock included.
#[tokio::test]
async fn stock_and_name_do_not_overwrite_each_other() {
    let shop = Shop::open().await;
    let id = shop.product("Chair", 3).await.id;
    let inventory = |body| shop.public.put(&format!("/api/v1/products/{id}/inventory"), body).with(&shop.admin);
    inventory(json!({"delta": 4})).await.expect(200);
    let renamed: api::Product = shop.patch(id, json!({"name": "Stool", "version": 1})).await.expect(200).parse();
    assert_eq!((renamed.name.as_str(), renamed.stock), ("Stool", 7));
    let set: api::Product = inventory(json!({"quantity": 5})).await.expect(200).parse();
    assert_eq!((set.name.as_str(), set.stock, set.version), ("Stool", 5, 2));
}

#[tokio::test]
async fn ca5_inventory_is_set_or_adjusted_but_not_below_the_reserved_units() {
    let shop = Shop::open().await;
    let id = shop.product("Chair", 3).await.id;
    let inventory = |body| shop.public.put(&format!("/api/v1/products/{id}/inventory"), body).with(&shop.admin);
    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 2}])).await.expect(200);
    let answer = inventory(json!({"quantity": 1})).await;
    refused(&answer, 409, "BELOW_RESERVED", &[]);
    assert_eq!((&answer.body["requested"], &answer.body["reserved"]), (&json!(1), &json!(2)));
    refused(&inventory(json!({"delta": -2})).await, 409, "BELOW_RESERVED", &[]);
    for (body, field) in [
        (json!({}), "quantity"),
        (json!({"quantity": 1, "delta": 1}), "quantity"),
        (json!({"quantity": -1}), "quantity"),
        (json!({"delta": 1_000_000_000}), "delta"),
        (json!({"quantity": 1, "warehouseId": fresh()}), "warehouseId"),
        (json!({"quantity": 1, "variant": "x".repeat(65)}), "variant"),
        (json!({"quantity": 1.5}), "quantity"),
        (json!({"units": 1}), "units"),
    ] {
        refused(&inventory(body).await, 422, "VALIDATION_FAILED", &[field]);
    }
    assert_eq!(inventory(json!({"delta": -1})).key("once").await.expect(200).body["stock"], 0);
    assert_eq!(inventory(json!({"delta": -1})).key("once").await.expect(200).body["stock"], 0);
}

/// Defect of A (docs/DEFECTS.md): `POST /products/stock` was called but had no route.
#[tokio::test]
async fn ca7_the_stock_of_many_products_is_one_request() {
    let shop = Shop::open().await;
    let (a, b) = (shop.product("A", 3).await.id, shop.product("B", 0).await.id);
    let ask = |ids: Value| shop.public.post("/api/v1/products/stock", json!({"ids": ids}));
    let answer = ask(json!([b, fresh(), a, b])).await.expect(200);
    assert_eq!(answer.body["items"], json!([{"productId": b, "stock": 0}, {"productId": a, "stock": 3}]));
    refused(&ask(json!([])).await, 422, "VALIDATION_FAILED", &["ids"]);
    refused(&ask(json!(vec![a; 101])).await, 422, "VALIDATION_FAILED", &["ids"]);
    refused(&ask(json!(["x"])).await, 422, "VALIDATION_FAILED", &["ids[0]"]);
}
