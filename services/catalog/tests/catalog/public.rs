//! The public routes for products: lists, reads and changes, and their rejections.

use agora_api::{List, catalog as api};
use agora_testkit::refused;
use serde_json::{Value, json};

use crate::{
    fixture::fresh,
    shop::{Shop, eur, order_id},
};

#[tokio::test]
async fn ca3_a_product_created_by_an_admin_is_public() {
    let shop = Shop::open().await;
    let body = json!({
        "name": " Oak chair ", "description": "Solid.\nHeavy.", "sku": "OAK-1", "price": eur(1999), "stock": 7,
        "category": "Furniture", "brand": "Eiche", "supplier": "Wald", "imageUrl": "https://example.com/oak.png",
    });
    let created = shop.create(body).await.expect(201);
    let product: api::Product = created.parse();
    assert_eq!(created.header("location"), format!("/api/v1/products/{}", product.id));
    assert_eq!((product.name.as_str(), product.stock, product.version), ("Oak chair", 7, 1));

    let seen = shop.public.get(created.header("location")).await.expect(200);
    assert_eq!(seen.parse::<api::Product>(), product);
    assert_eq!(seen.header("etag"), created.header("etag"));
    let listed: List<api::Product> = shop.public.get("/api/v1/products").await.expect(200).parse();
    assert_eq!(listed.items, [product]);
}

#[tokio::test]
async fn an_invalid_product_is_rejected_with_every_field_and_not_stored() {
    let shop = Shop::open().await;
    let good = || json!({"name": "Chair", "price": eur(1)});
    let cases: &[(&str, Value, &[&str])] = &[
        ("name", json!(""), &["name"]),
        ("name", json!("x".repeat(201)), &["name"]),
        ("name", json!("a\u{0}b"), &["name"]),
        ("name", json!(7), &["name"]),
        ("name", json!("4242 4242 4242 4242"), &["name"]),
        ("description", json!("x".repeat(10_001)), &["description"]),
        ("sku", json!("has space"), &["sku"]),
        ("sku", json!("x".repeat(65)), &["sku"]),
        ("price", eur(0), &["price.amount"]),
        ("price", eur(-1), &["price.amount"]),
        ("price", eur(9_000_000_001), &["price.amount"]),
        ("price", json!({"amount": 1.5, "currency": "EUR"}), &["price.amount"]),
        ("stock", json!(-1), &["stock"]),
        ("stock", json!(1_000_000_001), &["stock"]),
        ("stock", json!("7"), &["stock"]),
        ("category", json!(""), &["category"]),
        ("brand", json!("x".repeat(101)), &["brand"]),
        ("supplier", json!("a\nb"), &["supplier"]),
        ("imageUrl", json!("ftp://x"), &["imageUrl"]),
        ("colour", json!("red"), &["colour"]),
    ];
    for (field, value, named) in cases {
        let mut body = good();
        body[field] = value.clone();
        let answer = shop.create(body).await;
        assert_eq!(answer.status, 422, "{field} {value}: {}", answer.body);
        let problem: agora_api::Problem = answer.parse();
        let fields: Vec<&str> = problem.details.iter().map(|detail| detail.field.as_str()).collect();
        assert_eq!(&fields, named, "{field} {value}: {}", answer.body);
    }
    let several = json!({"name": "", "price": eur(0), "stock": -1, "imageUrl": "x"});
    let answer = shop.create(several).await;
    refused(&answer, 422, "VALIDATION_FAILED", &["name", "price.amount", "stock", "imageUrl"]);
    assert_eq!(shop.create(json!({"price": eur(1)})).await.status, 422);
    assert_eq!(shop.create(good()).raw("{").await.status, 400);
    assert_eq!(shop.create(good()).header("content-type", "text/plain").await.status, 415);
    assert_eq!(shop.create(good()).raw(vec![b' '; 2 << 20]).await.status, 413);
    assert_eq!(shop.public.get("/api/v1/products").await.body["items"], json!([]));

    let sku = || json!({"name": "Chair", "price": eur(1), "sku": "S"});
    shop.create(sku()).await.expect(201);
    refused(&shop.create(sku()).await, 409, "SKU_TAKEN", &["sku"]);
}

/// Defect of A (docs/DEFECTS.md): product writes required no authentication.
#[tokio::test]
async fn product_writes_need_an_admin() {
    let shop = Shop::open().await;
    let id = shop.product("Chair", 5).await.id;
    let one = format!("/api/v1/products/{id}");
    let writes = [
        shop.public.post("/api/v1/products", json!({"name": "x", "price": eur(1)})),
        shop.public.patch(&one, json!({"version": 1, "name": "x"})),
        shop.public.put(&format!("{one}/inventory"), json!({"quantity": 99})),
        shop.public.delete(&one),
    ];
    for write in writes {
        assert_eq!(write.clone().await.status, 401);
        assert_eq!(write.clone().with("nonsense").await.status, 401);
        assert_eq!(write.with(&shop.customer).await.status, 403);
    }
    let unchanged: api::Product = shop.public.get(&one).await.expect(200).parse();
    assert_eq!((unchanged.name.as_str(), unchanged.stock, unchanged.version), ("Chair", 5, 1));
}

#[tokio::test]
async fn a_repeated_key_creates_one_product_and_rejects_another_body() {
    let shop = Shop::open().await;
    let body = json!({"name": "Chair", "price": eur(1)});
    let first = shop.create(body.clone()).key("k").await.expect(201);
    let again = shop.create(body.clone()).key("k").await.expect(201);
    assert_eq!((again.body, again.headers["location"].clone()), (first.body, first.headers["location"].clone()));
    refused(&shop.create(json!({"name": "Sofa", "price": eur(1)})).key("k").await, 422, "IDEMPOTENCY_KEY_REUSED", &[]);
    assert_eq!(shop.create(body).key("has space").await.status, 400);
    assert_eq!(shop.public.get("/api/v1/products").await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn gw3_the_products_of_given_ids_are_read_with_one_request() {
    let shop = Shop::open().await;
    let (first, second, deleted) =
        (shop.product("a", 1).await.id, shop.product("b", 2).await.id, shop.product("c", 3).await.id);
    let delete = shop.public.delete(&format!("/api/v1/products/{deleted}")).with(&shop.admin);
    delete.header("if-match", "*").await.expect(204);
    let read = async |ids: &str| shop.public.get(&format!("/api/v1/products?ids={ids}")).await;
    let unknown = fresh();
    let page: List<api::Product> =
        read(&format!("{second},{unknown},{first},{deleted},{second}")).await.expect(200).parse();
    let found: Vec<_> = page.items.iter().map(|product| (product.id, product.stock)).collect();
    assert_eq!(found, [(second, 2), (first, 1)]);
    assert_eq!((page.total, page.next_cursor), (None, None));

    let too_many = vec![first.to_string(); 101].join(",");
    for (query, status) in
        [(too_many, 422), ("7".to_owned(), 400), (String::new(), 400), (format!("{first}&limit=1"), 400)]
    {
        let answer = read(&query).await;
        let problem: agora_api::Problem = answer.parse();
        assert_eq!((answer.status, problem.details[0].field.as_str()), (status, "ids"), "{query}: {}", answer.body);
    }
}

/// Defect of A (docs/DEFECTS.md): lists had no defined order and no maximum page size.
#[tokio::test]
async fn ca1_lists_are_sorted_and_limited() {
    let shop = Shop::open().await;
    for name in ["c", "a", "b"] {
        shop.product(name, 0).await;
    }
    let names = async |path: &str| -> Vec<String> {
        let page: List<api::Product> = shop.public.get(path).await.expect(200).parse();
        page.items.into_iter().map(|product| product.name).collect()
    };
    assert_eq!(names("/api/v1/products").await, ["b", "a", "c"]);
    assert_eq!(names("/api/v1/products?sort=createdAt").await, ["c", "a", "b"]);
    assert_eq!(names("/api/v1/products?sort=name&limit=2").await, ["a", "b"]);
    assert_eq!(names("/api/v1/products?sort=name&limit=2&offset=2").await, ["c"]);
    assert_eq!(names("/api/v1/products?q=B").await, ["b"]);
    assert_eq!(names("/api/v1/products?category=None").await, [""; 0]);

    let page = shop.public.get("/api/v1/products?sort=name&limit=2").await.expect(200);
    let cursor = page.body["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(names(&format!("/api/v1/products?sort=name&cursor={cursor}")).await, ["c"]);
    assert_eq!(shop.public.get("/api/v1/products?offset=0").await.body["total"], 3);

    for (query, status, field) in [
        ("limit=101", 422, "limit"),
        ("limit=0", 422, "limit"),
        ("limit=ten", 400, "limit"),
        ("offset=-1", 422, "offset"),
        ("offset=10001", 422, "offset"),
        ("cursor=nonsense", 400, "cursor"),
        (&format!("sort=price&cursor={cursor}"), 400, "cursor"),
        ("sort=banana", 400, "sort"),
        ("category=a%07b", 400, "category"),
        ("category=a%00b", 422, "category"),
        ("q=", 400, "q"),
        ("page=1", 400, "page"),
    ] {
        let answer = shop.public.get(&format!("/api/v1/products?{query}")).await;
        let problem: agora_api::Problem = answer.parse();
        assert_eq!((answer.status, problem.details[0].field.as_str()), (status, field), "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn ca8_products_of_a_category_are_listed_alone() {
    let shop = Shop::open().await;
    for (name, category) in [("a", "Chairs"), ("b", "Tables"), ("c", "Chairs"), ("d", "Chairs")] {
        shop.create(json!({"name": name, "price": eur(1), "category": category})).await.expect(201);
    }
    shop.product("e", 0).await;
    let list = async |query: &str| {
        let path = format!("/api/v1/products?category=Chairs&sort=name{query}");
        shop.public.get(&path).await.expect(200).parse::<List<api::Product>>()
    };
    let names = |page: &List<api::Product>| page.items.iter().map(|product| product.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&list("").await), ["a", "c", "d"]);
    let first = list("&limit=2").await;
    let rest = list(&format!("&limit=2&cursor={}", first.next_cursor.clone().unwrap())).await;
    assert_eq!((names(&first), names(&rest)), (vec!["a".to_owned(), "c".to_owned()], vec!["d".to_owned()]));
    let counted = list("&offset=1").await;
    assert_eq!((names(&counted), counted.total), (vec!["c".to_owned(), "d".to_owned()], Some(3)));
    assert_eq!(names(&list("&q=D").await), ["d"]);
}

#[tokio::test]
async fn ca2_if_none_match_returns_304_for_an_unchanged_product() {
    let shop = Shop::open().await;
    let id = shop.product("Chair", 2).await.id;
    let one = format!("/api/v1/products/{id}");
    let tag = shop.public.get(&one).await.header("etag").to_owned();
    let again = shop.public.get(&one).header("if-none-match", &format!("\"x\", W/{tag}")).await;
    assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, tag.as_str()));

    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 1}])).await.expect(200);
    let moved = shop.public.get(&one).header("if-none-match", &tag).await.expect(200);
    assert_eq!(moved.body["stock"], 1);
    assert_eq!(moved.body["version"], 1);
}

/// Defect of A (docs/DEFECTS.md): an unknown id returned 500.
#[tokio::test]
async fn unknown_and_malformed_ids_are_client_errors() {
    let shop = Shop::open().await;
    let (unknown, admin) = (fresh(), &shop.admin);
    let gone = shop.product("Chair", 1).await.id;
    shop.public.delete(&format!("/api/v1/products/{gone}")).with(admin).await.expect(204);
    for (id, status) in [(unknown.to_string(), 404), (gone.to_string(), 404), ("7".to_owned(), 400)] {
        let one = format!("/api/v1/products/{id}");
        assert_eq!(shop.public.get(&one).await.status, status);
        assert_eq!(shop.public.delete(&one).with(admin).await.status, status);
        assert_eq!(shop.patch(&id, json!({"version": 1, "name": "x"})).await.status, status);
        let inventory = shop.public.put(&format!("{one}/inventory"), json!({"quantity": 1})).with(admin);
        assert_eq!(inventory.await.status, status);
    }
    assert_eq!(shop.public.get("/api/v1/nothing").await.status, 404);
    assert_eq!(shop.public.put("/api/v1/products", json!({})).await.status, 405);
}

#[tokio::test]
async fn ca4_a_merge_patch_changes_named_fields_and_removes_null_fields() {
    let shop = Shop::open().await;
    let body =
        json!({"name": "Chair", "price": eur(1999), "sku": "C", "brand": "B", "category": "F", "description": "d"});
    let id = shop.create(body).await.expect(201).parse::<api::Product>().id;
    let patch = json!({"name": "Stool", "price": {"amount": 999}, "brand": null, "description": null, "version": 1});
    let answer = shop.patch(id, patch).header("content-type", "application/merge-patch+json").await.expect(200);
    let product: api::Product = answer.parse();
    assert_eq!((product.name.as_str(), product.price.amount, product.version), ("Stool", 999, 2));
    assert_eq!((product.brand, product.description.as_str()), (None, ""));
    assert_eq!((product.sku.as_deref(), product.category.as_deref()), (Some("C"), Some("F")));

    for (body, fields) in [
        (json!({"version": 2, "name": null}), vec!["name"]),
        (json!({"version": 2, "price": null}), vec!["price"]),
        (json!({"version": 2, "price": {"amount": null}}), vec!["price.amount"]),
        (json!({"version": 2, "price": {"amount": 0}}), vec!["price.amount"]),
        (json!({"version": 2, "price": {"currency": "USD"}}), vec!["price.currency"]),
        (json!({"version": 2, "stock": 9}), vec!["stock"]),
        (json!({"version": 2, "name": "", "imageUrl": "x"}), vec!["name", "imageUrl"]),
    ] {
        refused(&shop.patch(id, body).await, 422, "VALIDATION_FAILED", &fields);
    }
    assert_eq!(shop.public.get(&format!("/api/v1/products/{id}")).await.body["version"], 2);
}

#[tokio::test]
async fn ca4_a_change_requires_the_version_that_was_read() {
    let shop = Shop::open().await;
    let product = shop.product("Chair", 3).await;
    let id = product.id;
    let tag = shop.public.get(&format!("/api/v1/products/{id}")).await.header("etag").to_owned();
    refused(&shop.patch(id, json!({"name": "x"})).await, 428, "VERSION_REQUIRED", &[]);
    refused(&shop.patch(id, json!({"name": "x", "version": 9})).await, 409, "STALE_VERSION", &["version"]);
    refused(&shop.patch(id, json!({"name": "x"})).header("if-match", "\"9\"").await, 412, "STALE_VERSION", &[]);
    refused(&shop.patch(id, json!({"name": "x"})).header("if-match", "9").await, 400, "INVALID_IF_MATCH", &[]);

    // A change of stock does not make the version stale.
    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 1}])).await.expect(200);
    shop.patch(id, json!({"name": "a"})).header("if-match", &tag).await.expect(200);
    shop.patch(id, json!({"name": "b"})).header("if-match", "\"1\", \"2\"").await.expect(200);
    shop.patch(id, json!({"name": "c"})).header("if-match", "*").await.expect(200);
    let stale = shop.public.delete(&format!("/api/v1/products/{id}")).with(&shop.admin).header("if-match", "\"1\"");
    assert_eq!(stale.await.status, 412);
    let last: api::Product = shop.public.get(&format!("/api/v1/products/{id}")).await.parse();
    assert_eq!((last.name.as_str(), last.version), ("c", 4));
}

/// Defect of A (docs/DEFECTS.md): error responses contained SQL statements and file paths.
#[tokio::test]
async fn an_unavailable_database_is_503_with_retry_after_and_without_internals() {
    let shop = Shop::open().await;
    let id = shop.product("A", 1).await.id;
    shop.database.server.stop().await;
    let one = format!("/api/v1/products/{id}");
    let requests = [
        shop.public.get("/api/v1/products"),
        shop.public.get(&one),
        shop.create(json!({"name": "x", "price": eur(1)})),
        shop.patch(id, json!({"version": 1, "name": "x"})),
        shop.public.delete(&one).with(&shop.admin),
        shop.public.put(&format!("{one}/inventory"), json!({"quantity": 1})).with(&shop.admin),
        shop.public.post("/api/v1/products/stock", json!({"ids": [id]})),
        shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 1}])),
        shop.command("/internal/v1/commit", json!({"orderId": order_id(), "hold": 1})),
        shop.command("/internal/v1/release", json!({"orderId": order_id(), "hold": 1})),
    ];
    for request in requests {
        let answer = request.await;
        refused(&answer, 503, "UNAVAILABLE", &[]);
        assert!(!answer.header("retry-after").is_empty());
        let body = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert!(!body.contains("connection") && !body.contains("database"), "{body}");
    }
}

#[tokio::test]
async fn de17_the_router_serves_every_operation_of_the_document() {
    Shop::open().await.public.assert_serves_its_document().await;
}
