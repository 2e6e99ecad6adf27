//! Prices of products in other currencies.

use agora_api::catalog as api;
use agora_testkit::refused;
use serde_json::{Value, json};

use crate::shop::{Shop, eur};

fn usd(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn yen(amount: i64) -> Value {
    json!({"amount": amount, "currency": "JPY"})
}

impl Shop {
    async fn priced(&self) -> api::Product {
        let body = json!({"name": "Chair", "price": eur(1999), "stock": 2, "prices": [usd(2199), yen(3300)]});
        self.create(body).await.expect(201).parse()
    }
}

#[tokio::test]
async fn a_client_chooses_the_currency_by_parameter_or_header_and_gets_the_products_own_without_a_price_in_it() {
    let shop = Shop::open().await;
    let path = format!("/api/v1/products/{}", shop.priced().await.id);
    for path in [path.as_str(), "/api/v1/products"] {
        let price = |answer: &Value| answer.get("items").map_or(answer, |items| &items[0])["price"].clone();
        let query = |currency: &str| shop.public.get(&format!("{path}?currency={currency}"));
        assert_eq!(price(&query("USD").await.expect(200).body), usd(2199));
        assert_eq!(price(&query("CHF").await.expect(200).body), eur(1999));
        let by_header = shop.public.get(path).header("x-currency", "JPY").await.expect(200);
        assert_eq!(price(&by_header.body), yen(3300));
        assert!(by_header.header("vary").contains("x-currency"));
        assert_eq!(price(&query("USD").header("x-currency", "JPY").await.expect(200).body), usd(2199));
        assert_eq!(price(&shop.public.get(path).await.expect(200).body), eur(1999));
        refused(&query("usd").await, 400, "INVALID_QUERY", &["currency"]);
    }
    let whole = shop.public.get(&path).await.expect(200);
    assert_eq!(whole.body["prices"], json!([yen(3300), usd(2199)]));
    let list = shop.public.get("/api/v1/products?currency=USD").await.expect(200);
    assert_eq!(list.body["items"][0].get("prices"), None);
    let in_dollars = shop.public.get(&format!("{path}?currency=USD")).await.expect(200);
    assert_ne!(whole.header("etag"), in_dollars.header("etag"));
}

#[tokio::test]
async fn a_change_replaces_all_prices_or_none() {
    let shop = Shop::open().await;
    let id = shop.priced().await.id;
    let change = |body: Value| shop.patch(id, body);
    let kept = change(json!({"version": 1, "name": "Seat"})).await.expect(200);
    assert_eq!(kept.body["prices"], json!([yen(3300), usd(2199)]));
    let fewer = change(json!({"version": 2, "prices": [usd(1)]})).await.expect(200);
    assert_eq!((&fewer.body["prices"], &fewer.body["version"]), (&json!([usd(1)]), &json!(3)));
    assert_eq!(change(json!({"version": 3, "prices": [usd(1)]})).await.expect(200).body["version"], 3);
    assert_eq!(change(json!({"version": 3, "prices": null})).await.expect(200).body.get("prices"), None);
    assert_eq!(shop.database.count("select count(*) from product_price").await, 0);
}

#[tokio::test]
async fn wrong_prices_are_422() {
    let shop = Shop::open().await;
    let many =
        Value::Array((b'A'..=b'U').map(|c| json!({"amount": 1, "currency": format!("A{}A", char::from(c))})).collect());
    let wrong = [json!([eur(1)]), json!([usd(1), usd(2)]), json!([usd(0)]), many];
    for prices in &wrong {
        let answer = shop.create(json!({"name": "Chair", "price": eur(1), "prices": prices})).await;
        refused(&answer, 422, "VALIDATION_FAILED", &["prices"]);
    }
    let id = shop.priced().await.id;
    for prices in &wrong {
        let answer = shop.patch(id, json!({"version": 1, "prices": prices})).await;
        refused(&answer, 422, "VALIDATION_FAILED", &["prices"]);
    }
}

#[tokio::test]
async fn quotes_for_orders_stay_in_the_currency_of_the_product() {
    let shop = Shop::open().await;
    let id = shop.priced().await.id;
    let body = json!({"productIds": [id]});
    let quote = shop.command("/internal/v1/quote", body).header("x-currency", "USD").await.expect(200);
    assert_eq!(quote.body["items"][0]["price"], eur(1999));
}

#[tokio::test]
async fn lines_of_json_carry_prices_and_those_without_keep_them() {
    let shop = Shop::open().await;
    shop.priced().await;
    let exported = shop.public.get("/api/v1/admin/products/export?format=ndjson").with(&shop.admin).await.expect(200);
    let import = async |line: &Value| {
        let path = format!("/api/v1/admin/products/import?format=ndjson&importId={}", crate::fixture::fresh());
        shop.public.post(&path, line.clone()).with(&shop.admin).await.expect(200).body
    };
    let mut line = exported.body.clone();
    assert_eq!(line["prices"], json!([yen(3300), usd(2199)]));
    assert_eq!(import(&line).await["unchanged"], 1);
    line["prices"] = json!([usd(5)]);
    assert_eq!(import(&line).await["updated"], 1);
    line.as_object_mut().unwrap().remove("prices");
    assert_eq!(import(&line).await["unchanged"], 1);
    assert_eq!(shop.database.count("select count(*) from product_price where amount = 5").await, 1);
}
