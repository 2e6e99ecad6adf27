//! Categories, brands, suppliers and locations, and the products that name them.

use std::sync::Arc;

use agora_api::{List, catalog as api};
use agora_catalog::{MIGRATIONS, domain::Taxonomy, ports::Terms as _, postgres::PgCatalog};
use agora_chassis::SystemIds;
use agora_postgres::Db;
use agora_testkit::{TestDatabase, refused};
use agora_vocab::{Epoch, PageSize};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;

use crate::{
    fixture::fresh,
    shop::{Shop, eur},
};

impl Shop {
    /// Creates a term or a warehouse.
    pub async fn named(&self, path: &str, name: &str) -> Value {
        self.public.post(path, json!({"name": name})).with(&self.admin).await.expect(201).body
    }

    /// Creates a product with these members.
    async fn product_with(&self, name: &str, members: Value) -> api::Product {
        let mut body = json!({"name": name, "price": eur(1999), "stock": 1});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.create(body).await.expect(201).parse()
    }

    async fn product_of(&self, id: impl std::fmt::Display) -> api::Product {
        self.public.get(&format!("/api/v1/products/{id}")).await.expect(200).parse()
    }
}

/// Creates, reads, lists, renames and deletes terms at `path`; `is_public`: without a token, too.
async fn crud(path: &str, is_public: bool) {
    let shop = Shop::open().await;
    let admin = &shop.admin;
    for name in ["Wood", "air", "Über", "Metal"] {
        shop.named(path, name).await;
    }
    let answer = shop.public.post(path, json!({"name": " Stone "})).with(admin).key("stone").await.expect(201);
    let again = shop.public.post(path, json!({"name": " Stone "})).with(admin).key("stone").await.expect(201);
    assert_eq!(again.body, answer.body);
    let stone: api::Term = answer.parse();
    let one = format!("{path}/{}", stone.id);
    assert_eq!((answer.header("location"), answer.header("etag")), (one.as_str(), "\"1\""));
    assert_eq!((stone.name.as_str(), stone.version), ("Stone", 1));

    let (mut names, mut next) = (Vec::new(), String::new());
    loop {
        let page = shop.public.get(&format!("{path}?limit=2{next}")).with(admin).await.expect(200);
        let page: List<api::Term> = page.parse();
        names.extend(page.items.into_iter().map(|term| term.name));
        let Some(cursor) = page.next_cursor else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(names, ["air", "Metal", "Stone", "Wood", "Über"]);

    let read = [shop.public.get(path), shop.public.get(&one)];
    for request in read {
        let expected = if is_public { [200, 200] } else { [401, 403] };
        assert_eq!([request.clone().await.status, request.with(&shop.customer).await.status], expected);
    }
    let taken = shop.public.post(path, json!({"name": "ÜBER"})).with(admin).await;
    refused(&taken, 409, "NAME_TAKEN", &["name"]);
    for (body, field) in [(json!({"name": ""}), "name"), (json!({"name": "a\nb"}), "name"), (json!({"x": 1}), "x")] {
        refused(&shop.public.post(path, body).with(admin).await, 422, "VALIDATION_FAILED", &[field]);
    }
    assert_eq!(shop.public.get(&format!("{path}?limit=101")).with(admin).await.status, 422);
    assert_eq!(shop.public.get(&format!("{path}?cursor=x")).with(admin).await.status, 400);

    let rename = |body| shop.public.patch(&one, body).with(admin);
    refused(&rename(json!({"name": "Rock"})).await, 428, "VERSION_REQUIRED", &[]);
    refused(&rename(json!({"name": "Rock", "version": 2})).await, 409, "STALE_VERSION", &["version"]);
    refused(&rename(json!({"name": "wood", "version": 1})).await, 409, "NAME_TAKEN", &["name"]);
    assert_eq!(rename(json!({"name": "Stone", "version": 1})).await.expect(200).body["version"], 1);
    let renamed: api::Term = rename(json!({"name": "Rock"})).header("if-match", "\"1\"").await.expect(200).parse();
    assert_eq!((renamed.id, renamed.name.as_str(), renamed.version), (stone.id, "Rock", 2));
    refused(&rename(json!({"name": "Slate"})).header("if-match", "\"1\"").await, 412, "STALE_VERSION", &[]);

    for write in [
        shop.public.post(path, json!({"name": "x"})),
        shop.public.patch(&one, json!({"name": "x", "version": 2})),
        shop.public.delete(&one),
    ] {
        assert_eq!([write.clone().await.status, write.with(&shop.customer).await.status], [401, 403]);
    }
    assert_eq!(shop.public.delete(&one).with(admin).header("if-match", "\"1\"").await.status, 412);
    shop.public.delete(&one).with(admin).await.expect(204);
    for gone in [&one, &format!("{path}/{}", fresh())] {
        assert_eq!(shop.public.get(gone).with(admin).await.status, 404);
        assert_eq!(shop.public.delete(gone).with(admin).await.status, 404);
        let renamed = shop.public.patch(gone, json!({"name": "x", "version": 1})).with(admin);
        assert_eq!(renamed.await.status, 404);
    }
}

/// A product names a term of `member`, which is kept until no product has it.
async fn named_by_products(path: &str, member: &str) {
    let shop = Shop::open().await;
    let (oak, unused) = (shop.named(path, "Oak & Sons").await, shop.named(path, "Unused").await);
    let mut body = json!({});
    body[member] = json!("oak & SONS");
    let first = shop.product_with("A", body).await;
    body = json!({});
    body[member] = json!("New");
    let second = shop.product_with("B", body).await;
    let of = |product: &api::Product| serde_json::to_value(product).unwrap()[member].clone();
    assert_eq!((of(&first), of(&second)), (json!("Oak & Sons"), json!("New")), "the name as the term has it");
    let listed = shop.public.get(path).with(&shop.admin).await.expect(200).body;
    let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|term| term["name"].clone()).collect();
    assert_eq!(names, ["New", "Oak & Sons", "Unused"]);

    let delete =
        |term: &Value| shop.public.delete(&format!("{path}/{}", term["id"].as_str().unwrap())).with(&shop.admin);
    delete(&unused).await.expect(204);
    let answer = delete(&oak).await;
    refused(&answer, 409, "IN_USE", &[]);
    assert!(answer.body["detail"].as_str().unwrap().contains("products"), "{}", answer.body);
    let mut cleared = json!({"version": 1});
    cleared[member] = json!(null);
    shop.patch(first.id, cleared).await.expect(200);
    delete(&oak).await.expect(204);

    // A deleted product keeps the name and does not keep the term.
    let deleted = &listed["items"][0];
    refused(&delete(deleted).await, 409, "IN_USE", &[]);
    shop.public.delete(&format!("/api/v1/products/{}", second.id)).with(&shop.admin).await.expect(204);
    delete(deleted).await.expect(204);
}

#[tokio::test]
async fn ca9_categories_are_created_listed_renamed_and_deleted() {
    crud("/api/v1/categories", true).await;
    named_by_products("/api/v1/categories", "category").await;
}

#[tokio::test]
async fn ca10_brands_are_created_listed_renamed_and_deleted() {
    crud("/api/v1/brands", true).await;
    named_by_products("/api/v1/brands", "brand").await;
}

#[tokio::test]
async fn ca11_suppliers_are_created_listed_renamed_and_deleted_by_admins() {
    crud("/api/v1/suppliers", false).await;
    named_by_products("/api/v1/suppliers", "supplier").await;
}

#[tokio::test]
async fn ca13_locations_are_created_listed_renamed_and_deleted_by_admins() {
    crud("/api/v1/locations", false).await;
}

#[tokio::test]
async fn a_renamed_term_renames_its_products_in_batches_with_events() {
    const PRODUCTS: usize = 205;
    let shop = Shop::open().await;
    for n in 0..PRODUCTS {
        shop.product_with(&format!("P{n}"), json!({"category": "Chairs", "brand": "Chairs"})).await;
    }
    let other = shop.product_with("Other", json!({"category": "Tables"})).await;
    let chairs = shop.public.get("/api/v1/categories").await.expect(200).body["items"][0].clone();
    let one = format!("/api/v1/categories/{}", chairs["id"].as_str().unwrap());
    shop.public.patch(&one, json!({"name": "Seats", "version": 1})).with(&shop.admin).await.expect(200);

    // A product that another transaction has locked delays no other one.
    let mut locked = shop.database.db.begin().await.unwrap();
    sqlx::query("select from product where name = 'P7' for no key update").execute(&mut *locked).await.unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = shop.database.store.rename_products().await.unwrap() {
        batches.push(batch);
    }
    assert_eq!(batches, [100, 100, 4]);
    locked.rollback().await.unwrap();
    assert_eq!(shop.service.rename_products().await.unwrap(), 1);
    assert_eq!(shop.service.rename_products().await.unwrap(), 0);

    let page: List<api::Product> =
        shop.public.get("/api/v1/products?category=Seats&offset=0").await.expect(200).parse();
    assert_eq!(page.total, Some(PRODUCTS as u64));
    assert!(page.items.iter().all(|product| product.version == 2 && product.brand.as_deref() == Some("Chairs")));
    assert_eq!(shop.product_of(other.id).await, other);
    let events = "select count(*) from outbox where kind = 'product.updated' and seq = 2 \
        and data ->> 'category' = 'Seats' and data ->> 'brand' = 'Chairs'";
    assert_eq!(shop.database.count(events).await, 205);
    assert_eq!(shop.database.count("select count(*) from term where rename_due").await, 0);
    shop.database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_created_while_its_category_is_renamed_gets_the_new_name_or_a_category_of_its_own() {
    let shop = Shop::open().await;
    let category = shop.named("/api/v1/categories", "Old").await;
    let one = format!("/api/v1/categories/{}", category["id"].as_str().unwrap());
    // A product of the old name, whose transaction is open.
    let mut creating = shop.database.db.begin().await.unwrap();
    let insert = "insert into product (id, seller_id, version, name, name_key, description, price_amount, price_currency, \
        category) values (gen_random_uuid(), gen_random_uuid(), 1, 'Late', 'late', '', 1, 'EUR', 'OLD')";
    sqlx::query(insert).execute(&mut *creating).await.unwrap();
    let rename = shop.public.patch(&one, json!({"name": "New", "version": 1})).with(&shop.admin);
    let create = async {
        shop.database.wait_for_blocked_session().await;
        creating.commit().await.unwrap();
    };
    let (renamed, ()) = tokio::join!(rename.into_future(), create);
    renamed.expect(200);

    let after = shop.product_with("After", json!({"category": "Old"})).await;
    assert_eq!(shop.service.rename_products().await.unwrap(), 1);
    assert_eq!(shop.product_of(after.id).await.category.as_deref(), Some("Old"));
    let consistent = "select count(*) from product as p join term as t on t.id = p.category_id and t.name = p.category";
    assert_eq!(shop.database.count(consistent).await, 2);
    assert_eq!(shop.database.count("select count(*) from term").await, 2);
}

#[tokio::test]
async fn ca12_products_are_listed_with_their_category_brand_and_supplier() {
    let shop = Shop::open().await;
    let members = json!({"category": "Chairs", "brand": "Eiche", "supplier": "Wald"});
    shop.product_with("A", members).await;
    shop.product_with("B", json!({"brand": "Eiche"})).await;
    shop.product("C", 0).await;
    for query in ["", "&category=Chairs", "&q=A"] {
        let path = format!("/api/v1/products?sort=name&expand=category,brand,supplier{query}");
        let page: List<api::ListedProduct> = shop.public.get(&path).await.expect(200).parse();
        let expanded = page.items[0].expanded.clone().unwrap();
        let names = [expanded.category, expanded.brand.clone(), expanded.supplier].map(|term| term.unwrap().name);
        assert_eq!(names, ["Chairs", "Eiche", "Wald"], "{query}");
        let brand = expanded.brand.unwrap();
        let one = shop.public.get(&format!("/api/v1/brands/{}", brand.id)).await.expect(200);
        assert_eq!(one.parse::<api::Term>(), brand);
    }
    let some = shop.public.get("/api/v1/products?sort=name&expand=supplier,brand").await.expect(200).body;
    let members =
        |at: usize| some["items"][at]["expanded"].as_object().map(|terms| terms.keys().cloned().collect::<Vec<_>>());
    assert_eq!(
        [members(0), members(1), members(2)],
        [Some(vec!["brand".to_owned(), "supplier".to_owned()]), Some(vec!["brand".to_owned()]), None,]
    );
    let plain = shop.public.get("/api/v1/products").await.expect(200).body;
    assert!(plain["items"][0].get("expanded").is_none(), "{plain}");
    for wrong in ["stock", "location", "", "brand,,supplier"] {
        let answer = shop.public.get(&format!("/api/v1/products?expand={wrong}")).await;
        refused(&answer, 400, "INVALID_QUERY", &["expand"]);
    }
}

const STORED: &str = "
    insert into product (id, seller_id, version, name, name_key, description, price_amount, price_currency, category, brand,
        deleted_at)
    select gen_random_uuid(), gen_random_uuid(), 1, n, n, '', 1, 'EUR', c, b, d
    from (values
        ('a', 'Chairs', 'Ärzte', null), ('b', 'chairs', 'ärzte', null), ('c', 'Tables', null, null),
        ('d', 'Gone', null, now())
    ) as p (n, c, b, d);
    insert into warehouse (id, name) values (gen_random_uuid(), 'MAIN')";

/// Products that name their terms get these, with one spelling for all.
async fn upgraded(server: TestDatabase) {
    let old = MIGRATIONS.iter().filter(|migration| migration.version < 6).cloned().collect();
    let old: &'static Migrator = Box::leak(Box::new(Migrator::with_migrations(old)));
    let before = Db::for_test(&server.url(), old).await;
    sqlx::raw_sql(STORED).execute(&mut *before.acquire().await.unwrap()).await.unwrap();

    let db = Db::for_test(&server.url(), &MIGRATIONS).await;
    let store = PgCatalog::new(db.clone(), db.clone(), Arc::new(SystemIds), Epoch::default());
    let names = async |taxonomy| {
        let page = store.terms(taxonomy, "", PageSize::MAX).await.unwrap();
        page.items.into_iter().map(|term| String::from(term.name)).collect::<Vec<_>>()
    };
    assert_eq!(names(Taxonomy::Category).await, ["Chairs", "Tables"]);
    assert_eq!(names(Taxonomy::Brand).await, ["Ärzte"]);
    let mut renamed = 0;
    while let Some(batch) = store.rename_products().await.unwrap() {
        renamed += batch;
    }
    assert_eq!(renamed, 2, "of two spellings of a category and of a brand, one remains");
    let mut connection = db.acquire().await.unwrap();
    let written: Vec<(String, Option<String>, Option<String>)> =
        sqlx::query_as("select name, category, brand from listed_product order by name")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
    let row = |name: &str, category: &str, brand: Option<&str>| {
        (name.to_owned(), Some(category.to_owned()), brand.map(str::to_owned))
    };
    let expected = [row("a", "Chairs", Some("Ärzte")), row("b", "Chairs", Some("Ärzte")), row("c", "Tables", None)];
    assert_eq!(written, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn products_of_an_older_version_get_their_terms() {
    upgraded(agora_testkit::postgres().await).await;
    upgraded(agora_testkit::postgres15().await).await;
}
