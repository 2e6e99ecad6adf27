//! The internal routes: quotes and holds.

use agora_api::catalog as api;
use agora_testkit::{internal_token, refused};
use serde_json::{Value, json};

use crate::{
    fixture::fresh,
    shop::{SECRET, Shop, eur, order_id},
};

#[tokio::test]
async fn a_quote_separates_known_from_unknown_products() {
    let shop = Shop::open().await;
    let (known, unknown) = (shop.product("A", 3).await, fresh());
    let ask = shop.internal.post("/internal/v1/quote", json!({"productIds": [unknown, known.id]}));
    let quote: api::Quote = ask.internal(&shop.order_token).await.expect(200).parse();
    assert_eq!((&quote.items, quote.variants), (&vec![known], vec![]));
    assert_eq!(quote.unknown.iter().map(|id| id.uuid()).collect::<Vec<_>>(), [unknown]);
}

#[tokio::test]
async fn a_quote_lists_the_variants_of_a_product_with_their_stock() {
    let shop = Shop::open().await;
    let id = shop.product("A", 3).await.id;
    let path = format!("/api/v1/products/{id}/inventory");
    for (variant, quantity) in [("red", 5), ("blue", 0)] {
        let set = json!({"quantity": quantity, "variant": variant});
        shop.public.put(&path, set).with(&shop.admin).await.expect(200);
    }
    shop.reserve(order_id(), 1, json!([{"productId": id, "variant": "red", "quantity": 2}])).await.expect(200);
    let ask = shop.internal.post("/internal/v1/quote", json!({"productIds": [id]}));
    let quote: api::Quote = ask.internal(&shop.order_token).await.expect(200).parse();
    let mut stock: Vec<_> = quote.variants.into_iter().map(|stock| (stock.variant, stock.stock)).collect();
    stock.sort();
    assert_eq!((quote.items[0].stock, stock), (6, vec![("blue".to_owned(), 0), ("red".to_owned(), 3)]));
}

#[tokio::test]
async fn se1_the_export_has_each_product_once_with_its_stock_rows() {
    const LONG: usize = 10_000;
    let shop = Shop::open().await;
    let token = internal_token(SECRET, "search", "catalog", None);
    let mut sold = Vec::new();
    // More than one page has: descriptions of 10 kB, and others.
    for n in 0..260 {
        let description = "x".repeat(if n < 130 { LONG } else { 0 });
        let body = json!({"name": format!("P{n}"), "description": description, "price": eur(100), "stock": n});
        sold.push(shop.create(body).await.expect(201).parse::<api::Product>());
    }
    let red = json!({"quantity": 5, "variant": "red"});
    shop.public.put(&format!("/api/v1/products/{}/inventory", sold[3].id), red).with(&shop.admin).await.expect(200);
    shop.reserve(order_id(), 1, json!([{"productId": sold[3].id, "variant": "red", "quantity": 2}])).await.expect(200);
    shop.public.delete(&format!("/api/v1/products/{}", sold[4].id)).with(&shop.admin).await.expect(204);

    let (mut exported, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page =
            shop.internal.get(&format!("/internal/v1/products/export{after}")).internal(&token).await.expect(200);
        assert_eq!(page.header("content-type"), "application/x-ndjson");
        assert!(page.bytes.len() < 2 << 20, "{}", page.bytes.len());
        let lines = String::from_utf8(page.bytes.clone()).unwrap();
        let lines: Vec<api::ExportedProduct> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let Some(last) = lines.last() else { break };
        after = format!("?after={}", last.product.id);
        exported.extend(lines);
        pages += 1;
    }
    assert_eq!(pages, 2);
    sold.remove(4);
    sold[3].stock = 6;
    sold.sort_by_key(|product| product.id);
    assert_eq!(exported.iter().map(|line| &line.product).collect::<Vec<_>>(), sold.iter().collect::<Vec<_>>());
    let units = exported.iter().map(|line| line.stock_levels.iter().map(|level| level.units).sum::<i64>());
    assert!(units.eq(sold.iter().map(|product| product.stock)));
    let red = exported.iter().flat_map(|line| &line.stock_levels).find(|level| level.variant == "red").unwrap();
    assert_eq!((red.units, red.version), (3, 2));
    shop.internal.get("/internal/v1/products/export").internal(&shop.order_token).await.expect(403);
    assert_eq!(shop.internal.get("/internal/v1/products/export").await.status, 401);
}

#[tokio::test]
async fn gw10_internal_commands_require_the_token_of_an_allowed_service() {
    let shop = Shop::open().await;
    let id = shop.product("A", 3).await.id;
    let body = json!({"orderId": order_id(), "hold": 1, "lines": [{"productId": id, "quantity": 1}], "seconds": 60});
    let send = || shop.internal.post("/internal/v1/reserve", body.clone()).header("x-command-id", &fresh().to_string());
    assert_eq!(send().await.status, 401);
    assert_eq!(send().with(&shop.admin).await.status, 401);
    for token in [
        internal_token(SECRET, "gateway", "catalog", None),
        internal_token(SECRET, "order", "payment", None),
        internal_token("another", "order", "catalog", None),
    ] {
        assert_eq!(send().internal(&token).await.status, 401);
    }
    let without_id = shop.internal.post("/internal/v1/reserve", body.clone()).internal(&shop.order_token);
    refused(&without_id.await, 400, "INVALID_COMMAND_ID", &[]);
    assert_eq!(shop.public.post("/internal/v1/reserve", body).internal(&shop.order_token).await.status, 404);
    assert_eq!(shop.stock(id).await, 3);
}

#[tokio::test]
async fn commit_and_release_are_idempotent() {
    let shop = Shop::open().await;
    let (id, mine) = (shop.product("A", 3).await.id, order_id());
    let request = shop.reserve(mine, 1, json!([{"productId": id, "quantity": 1}, {"productId": id, "quantity": 1}]));
    let held: api::Reserved = request.clone().await.expect(200).parse();
    assert_eq!(request.await.expect(200).parse::<api::Reserved>(), held);
    assert_eq!(shop.stock(id).await, 1);

    let body = |n| json!({"orderId": mine, "hold": n});
    let state = async |path: &str, n| shop.command(path, body(n)).await.expect(200).body["state"].clone();
    assert_eq!(state("/internal/v1/commit", 1).await, "committed");
    assert_eq!(state("/internal/v1/commit", 2).await, "unknown");
    assert_eq!(shop.stock(id).await, 1);
    assert_eq!(state("/internal/v1/release", 1).await, "released");
    assert_eq!(shop.stock(id).await, 3);
    assert_eq!(state("/internal/v1/release", 2).await, "tombstone");
    refused(&shop.reserve(mine, 2, json!([{"productId": id, "quantity": 1}])).await, 409, "CANCELLED", &[]);
}

#[tokio::test]
async fn a_rejected_hold_reports_the_first_shortage_and_all_of_them() {
    let shop = Shop::open().await;
    let (a, b) = (shop.product("A", 3).await.id, shop.product("B", 1).await.id);
    let unknown = fresh();
    let lines = json!([{"productId": a, "quantity": 3}, {"productId": b, "quantity": 2}, {"productId": unknown, "quantity": 1}]);
    let answer = shop.reserve(order_id(), 1, lines).await;
    assert_eq!((answer.status, &answer.body["code"]), (409, &json!("INSUFFICIENT_QUANTITY")));
    let shortages = answer.body["shortages"].as_array().unwrap();
    assert_eq!(shortages.len(), 2);
    let first = &shortages[0];
    for member in ["productId", "requested", "available"] {
        assert_eq!(answer.body[member], first[member]);
    }
    let named = |id: Value| shortages.iter().find(|short| short["productId"] == id).cloned().unwrap();
    assert_eq!(named(json!(b)), json!({"productId": b, "variant": "", "requested": 2, "available": 1}));
    assert_eq!(named(json!(unknown))["available"], 0);
    assert_eq!((shop.stock(a).await, shop.stock(b).await), (3, 1));
}

/// Defect of B (docs/DEFECTS.md): an empty list of products and a quantity of 1.5 were accepted.
#[tokio::test]
async fn a_hold_without_lines_or_with_a_fractional_quantity_is_rejected() {
    let shop = Shop::open().await;
    let id = shop.product("A", 3).await.id;
    let good = json!({"orderId": order_id(), "hold": 1, "lines": [{"productId": id, "quantity": 1}], "seconds": 60});
    for (field, value, named) in [
        ("lines", json!([]), "lines"),
        ("lines", json!([{"productId": id, "quantity": 1.5}]), "lines[0].quantity"),
        ("lines", json!([{"productId": id, "quantity": 0}]), "lines[0].quantity"),
        ("lines", json!([{"productId": id, "quantity": 10_000}]), "lines[0].quantity"),
        ("lines", json!([{"productId": id, "quantity": -1}]), "lines[0].quantity"),
        ("lines", json!([{"productId": id, "quantity": 1, "variant": "a\nb"}]), "lines[0].variant"),
        ("lines", (0..101).map(|_| json!({"productId": fresh(), "quantity": 1})).collect(), "lines"),
        ("hold", json!(0), "hold"),
        ("seconds", json!(0), "seconds"),
        ("seconds", json!(86_401), "seconds"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        refused(&shop.command("/internal/v1/reserve", body).await, 422, "VALIDATION_FAILED", &[named]);
    }
    assert_eq!(shop.stock(id).await, 3);
}

#[tokio::test]
async fn a_hold_lasts_the_requested_seconds() {
    let shop = Shop::open().await;
    let id = shop.product("A", 3).await.id;
    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 1}])).await.expect(200);
    shop.database.pass(600).await;
    assert_eq!((shop.service.expire().await.unwrap(), shop.stock(id).await), (0, 2));
    shop.database.pass(300).await;
    assert_eq!((shop.service.expire().await.unwrap(), shop.stock(id).await), (1, 3));
}
