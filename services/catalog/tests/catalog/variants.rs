//! Variants of products: options, own stock keeping units, prices and stock.

use agora_api::{List, catalog as api};
use agora_testkit::{Request, refused};
use serde_json::{Value, json};

use crate::{
    fixture::fresh,
    shop::{Shop, eur, order_id},
};

impl Shop {
    fn add_variant(&self, product: &api::Product, body: Value) -> Request {
        self.public.post(&format!("/api/v1/products/{}/variants", product.id), body).with(&self.admin)
    }

    async fn quoted(&self, product: &api::Product) -> Vec<(String, i64, Option<i64>)> {
        let ask = self.internal.post("/internal/v1/quote", json!({"productIds": [product.id]}));
        let quote: api::Quote = ask.internal(&self.order_token).await.expect(200).parse();
        let variant =
            |quoted: api::VariantStock| (quoted.variant, quoted.stock, quoted.price.map(|price| price.amount));
        quote.variants.into_iter().map(variant).collect()
    }

    async fn set_stock(&self, product: &api::Product, variant: &str, quantity: i64) {
        let path = format!("/api/v1/products/{}/inventory", product.id);
        let body = json!({"quantity": quantity, "variant": variant});
        self.public.put(&path, body).with(&self.admin).await.expect(200);
    }
}

#[tokio::test]
async fn ca16_a_variant_has_options_a_sku_a_price_and_stock_of_its_own() {
    let shop = Shop::open().await;
    let admin = &shop.admin;
    let shirt = shop.product("Shirt", 3).await;
    let body =
        json!({"name": " red L ", "sku": "S-RL", "ownPrice": eur(2499), "options": {"colour": "red", "size": "L"}});
    let created = shop.add_variant(&shirt, body.clone()).key("red").await.expect(201);
    assert_eq!(shop.add_variant(&shirt, body).key("red").await.expect(201).body, created.body);
    let red: api::Variant = created.parse();
    let one = format!("/api/v1/products/{}/variants/{}", shirt.id, red.id);
    assert_eq!((created.header("location"), created.header("etag")), (one.as_str(), "\"1\""));
    assert_eq!((red.name.as_str(), red.price.amount, red.options["size"].as_str(), red.stock), ("red L", 2499, "L", 0));
    let plain: api::Variant = shop.add_variant(&shirt, json!({"name": "blue"})).await.expect(201).parse();
    assert_eq!((plain.price, plain.own_price), (shirt.price, None));

    shop.set_stock(&shirt, "red L", 5).await;
    shop.reserve(order_id(), 1, json!([{"productId": shirt.id, "variant": "red L", "quantity": 2}])).await.expect(200);
    let seen: api::Variant = shop.public.get(&one).await.expect(200).parse();
    assert_eq!((seen.stock, shop.stock(shirt.id).await), (3, 6));
    assert_eq!(shop.quoted(&shirt).await, [("blue".to_owned(), 0, None), ("red L".to_owned(), 3, Some(2499))]);

    let change = |body| shop.public.patch(&one, body).with(admin);
    refused(&change(json!({"sku": "X"})).await, 428, "VERSION_REQUIRED", &[]);
    refused(&change(json!({"sku": "X", "version": 7})).await, 409, "STALE_VERSION", &["version"]);
    refused(&change(json!({"name": "X", "version": 1})).await, 422, "VALIDATION_FAILED", &["name"]);
    refused(&change(json!({"ownPrice": eur(0), "version": 1})).await, 422, "VALIDATION_FAILED", &["ownPrice.amount"]);
    assert_eq!(change(json!({"sku": "S-RL", "version": 1})).await.expect(200).body["version"], 1);
    let patch = json!({"ownPrice": null, "options": {"colour": "crimson"}, "version": 1});
    let changed: api::Variant = change(patch).await.expect(200).parse();
    assert_eq!((changed.version, changed.price, changed.sku.as_deref()), (2, shirt.price, Some("S-RL")));
    assert_eq!(changed.options.into_iter().collect::<Vec<_>>(), [("colour".to_owned(), "crimson".to_owned())]);

    let page: List<api::Variant> =
        shop.public.get(&format!("/api/v1/products/{}/variants?limit=1", shirt.id)).await.expect(200).parse();
    assert_eq!(page.items[0].name, "blue");
    let next = format!("/api/v1/products/{}/variants?cursor={}", shirt.id, page.next_cursor.unwrap());
    let page: List<api::Variant> = shop.public.get(&next).await.expect(200).parse();
    assert_eq!((page.items[0].id, page.items.len(), page.next_cursor), (red.id, 1, None));
}

/// Number of each event that the product was changed, and the own prices of variants in it, by the numbers.
async fn changes(shop: &Shop, product: &api::Product) -> Vec<(i64, Value)> {
    const CHANGES: &str = "select seq, coalesce(data::jsonb -> 'variantPrices', '[]') from outbox \
        where topic = 'product-events' and kind = 'product.updated' and aggregate = $1 order by seq";
    let mut connection = shop.database.db.acquire().await.unwrap();
    sqlx::query_as(CHANGES).bind(product.id.uuid()).fetch_all(&mut *connection).await.unwrap()
}

#[tokio::test]
async fn ca16_each_change_of_a_variants_own_price_is_an_event_and_a_version_of_its_product() {
    let shop = Shop::open().await;
    let shirt = shop.product("Shirt", 3).await;
    let red = json!({"name": "red", "ownPrice": eur(2499)});
    let red = shop.add_variant(&shirt, red).await.expect(201).body;
    shop.add_variant(&shirt, json!({"name": "blue", "sku": "BLUE"})).await.expect(201);
    let one = format!("/api/v1/products/{}/variants/{}", shirt.id, red["id"].as_str().unwrap());
    let change = async |body: Value| shop.public.patch(&one, body).with(&shop.admin).await.expect(200);
    change(json!({"options": {"size": "L"}, "version": 1})).await;
    change(json!({"ownPrice": eur(2999), "version": 2})).await;
    change(json!({"ownPrice": eur(2999), "version": 3})).await;
    change(json!({"ownPrice": null, "version": 3})).await;
    change(json!({"ownPrice": eur(999), "version": 4})).await;
    shop.public.delete(&one).with(&shop.admin).await.expect(204);

    let red = |amount| json!([{"variant": "red", "price": eur(amount)}]);
    let expected = [(2, red(2499)), (3, red(2999)), (4, json!([])), (5, red(999)), (6, json!([]))];
    assert_eq!(changes(&shop, &shirt).await, expected, "not of options, stock keeping units and the same price");
    let seen = shop.public.get(&format!("/api/v1/products/{}", shirt.id)).await.expect(200).body;
    assert_eq!(seen["version"], 6);
    shop.database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ca16_every_event_of_a_product_has_the_own_prices_of_its_variants() {
    let shop = Shop::open().await;
    let body = json!({"name": "Shirt", "price": eur(1999), "sku": "S", "category": "Clothes"});
    let shirt: api::Product = shop.create(body).await.expect(201).parse();
    for (name, amount) in [("red", 2499), ("gold", 9900)] {
        shop.add_variant(&shirt, json!({"name": name, "ownPrice": eur(amount)})).await.expect(201);
    }
    shop.patch(shirt.id, json!({"name": "T-shirt", "version": 3})).await.expect(200);
    let line = json!({"sku": "S", "name": "Shirt", "price": eur(1599), "category": "Clothes"}).to_string();
    let import = format!("/api/v1/admin/products/import?format=ndjson&importId={}", fresh());
    let import = shop.public.post(&import, Value::Null).with(&shop.admin).header("content-type", "text/plain");
    import.raw(line).await.expect(200);
    let clothes = shop.public.get("/api/v1/categories").await.expect(200).body["items"][0].clone();
    let category = format!("/api/v1/categories/{}", clothes["id"].as_str().unwrap());
    shop.public.patch(&category, json!({"name": "Apparel", "version": 1})).with(&shop.admin).await.expect(200);
    assert_eq!(shop.service.rename_products().await.unwrap(), 1);

    let both = json!([{"variant": "gold", "price": eur(9900)}, {"variant": "red", "price": eur(2499)}]);
    let found = changes(&shop, &shirt).await;
    assert_eq!(found[1..], [3, 4, 5, 6].map(|seq| (seq, both.clone())), "change, import and rename");
    shop.database.check_invariants().await;
}

#[tokio::test]
async fn ca16_invalid_variants_are_rejected_and_need_an_admin() {
    let shop = Shop::open().await;
    let shirt = shop.product("Shirt", 0).await;
    let other = shop.create(json!({"name": "Hat", "price": eur(1), "sku": "HAT"})).await.expect(201).parse();
    shop.add_variant(&shirt, json!({"name": "red", "sku": "RED"})).await.expect(201);
    let eleven: Value = (0..11).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    for (body, fields) in [
        (json!({"name": " "}), vec!["name"]),
        (json!({"name": "x".repeat(65)}), vec!["name"]),
        (json!({"name": "x", "sku": "a b"}), vec!["sku"]),
        (json!({"name": "x", "ownPrice": eur(0)}), vec!["ownPrice.amount"]),
        (json!({"name": "x", "ownPrice": {"amount": 5, "currency": "USD"}}), vec!["ownPrice.currency"]),
        (json!({"name": "x", "options": {"": "red"}}), vec!["options"]),
        (json!({"name": "x", "options": eleven}), vec!["options"]),
        (json!({"name": "", "sku": "a b"}), vec!["name", "sku"]),
        (json!({"name": "x", "stock": 1}), vec!["stock"]),
    ] {
        refused(&shop.add_variant(&shirt, body).await, 422, "VALIDATION_FAILED", &fields);
    }
    refused(&shop.add_variant(&shirt, json!({"name": "red"})).await, 409, "NAME_TAKEN", &["name"]);
    shop.add_variant(&other, json!({"name": "red"})).await.expect(201);
    for sku in ["RED", "HAT"] {
        refused(&shop.add_variant(&shirt, json!({"name": "x", "sku": sku})).await, 409, "SKU_TAKEN", &["sku"]);
    }
    refused(&shop.create(json!({"name": "Cap", "price": eur(1), "sku": "RED"})).await, 409, "SKU_TAKEN", &["sku"]);
    refused(&shop.patch(shirt.id, json!({"sku": "RED", "version": 1})).await, 409, "SKU_TAKEN", &["sku"]);

    let path = format!("/api/v1/products/{}/variants", shirt.id);
    let listed = shop.public.get(&path).await.expect(200);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    let one = format!("{path}/{}", listed.body["items"][0]["id"].as_str().unwrap());
    for write in [
        shop.public.post(&path, json!({"name": "x"})),
        shop.public.patch(&one, json!({"sku": null, "version": 1})),
        shop.public.delete(&one),
    ] {
        assert_eq!([write.clone().await.status, write.with(&shop.customer).await.status], [401, 403]);
    }
    let elsewhere = one.replace(&shirt.id.to_string(), &other.id.to_string());
    let nowhere = format!("/api/v1/products/{}/variants", fresh());
    assert_eq!(shop.public.get(&elsewhere).await.status, 404);
    assert_eq!(shop.public.get(&nowhere).await.status, 404);
    assert_eq!(shop.public.post(&nowhere, json!({"name": "x"})).with(&shop.admin).await.status, 404);
    assert_eq!(shop.public.get(&format!("{path}/7")).await.status, 400);
}

#[tokio::test]
async fn ca16_a_variant_is_deleted_without_units_and_exists_again_when_units_come_back() {
    let shop = Shop::open().await;
    let shirt = shop.product("Shirt", 1).await;
    // Units of an unknown variant create it.
    shop.set_stock(&shirt, "green", 2).await;
    let path = format!("/api/v1/products/{}/variants", shirt.id);
    let green = shop.public.get(&path).await.expect(200).body["items"][0].clone();
    assert_eq!((&green["name"], &green["stock"]), (&json!("green"), &json!(2)));
    let one = format!("{path}/{}", green["id"].as_str().unwrap());
    let order = order_id();
    shop.reserve(order, 1, json!([{"productId": shirt.id, "variant": "green", "quantity": 2}])).await.expect(200);
    refused(&shop.public.delete(&one).with(&shop.admin).await, 409, "IN_USE", &[]);
    shop.command("/internal/v1/commit", json!({"orderId": order, "hold": 1})).await.expect(200);
    assert_eq!(shop.public.delete(&one).with(&shop.admin).header("if-match", "\"2\"").await.status, 412);
    shop.public.delete(&one).with(&shop.admin).await.expect(204);
    assert_eq!(shop.public.get(&one).await.status, 404);
    assert_eq!(shop.quoted(&shirt).await, []);

    // The cancelled order returns them.
    shop.command("/internal/v1/release", json!({"orderId": order, "hold": 1})).await.expect(200);
    assert_eq!(shop.quoted(&shirt).await, [("green".to_owned(), 2, None)]);
    shop.database.check_invariants().await;
}

#[tokio::test]
async fn a_product_has_at_most_a_hundred_variants_and_none_when_it_is_deleted() {
    let shop = Shop::open().await;
    let shirt = shop.product("Shirt", 0).await;
    for n in 0..100 {
        shop.add_variant(&shirt, json!({"name": n.to_string(), "sku": format!("S{n}")})).await.expect(201);
    }
    refused(&shop.add_variant(&shirt, json!({"name": "x"})).await, 409, "TOO_MANY_VARIANTS", &[]);
    shop.public.delete(&format!("/api/v1/products/{}", shirt.id)).with(&shop.admin).await.expect(204);
    assert_eq!(shop.public.get(&format!("/api/v1/products/{}/variants", shirt.id)).await.status, 404);
    let hat = shop.product("Hat", 0).await;
    shop.add_variant(&hat, json!({"name": "x", "sku": "S7"})).await.expect(201);
}
