//! Builds of the index from the catalog.

use std::{slice::from_ref, sync::Arc};

use agora_chassis::SystemIds;
use agora_search::{domain::Product, ports::Exported, service::SearchService};
use agora_testkit::refused;

use crate::{
    fixture::{EXPORTED, deleted, exported, named, stock, stored, time_of},
    shop::Shop,
};

fn changed(product: &Product, name: &str) -> Product {
    let version = product.version + 1;
    Product { version, name: name.into(), updated_at: time_of(version), ..product.clone() }
}

fn catalog_of(count: usize) -> Vec<Product> {
    (0..count).map(|n| named(&format!("Lamp {n}"))).collect()
}

fn all(products: &[Product]) -> Vec<Exported> {
    products.iter().map(|product| exported(product, 2)).collect()
}

#[tokio::test]
async fn se1_an_index_that_was_never_built_says_so_and_is_built_from_the_catalog() {
    let shop = Shop::unbuilt().await;
    shop.catalog.sell(all(&catalog_of(8)));
    let answer = shop.public.get("/api/v1/search?q=lamp").await;
    refused(&answer, 503, "INDEX_NOT_BUILT", &[]);
    shop.service.ensure_built().await.unwrap();
    assert!(shop.service.build().await.unwrap());
    let found = shop.search("q=lamp").await;
    assert_eq!((found.total, found.items[0].stock), (Some(8), 2));
    shop.service.ensure_built().await.unwrap();
    assert!(!shop.service.build().await.unwrap(), "it is not built again");
}

#[tokio::test]
async fn se1_searches_read_the_old_index_until_the_new_one_is_complete() {
    let shop = Shop::open().await;
    let products = catalog_of(3 * EXPORTED);
    let gone = named("Lamp that the catalog does not have");
    shop.sell(&[from_ref(&gone), &products[..2]].concat()).await;
    shop.catalog.sell(all(&products));
    shop.catalog.stop_after(2);
    let begun = shop.public.post("/api/v1/admin/search/rebuild", serde_json::Value::Null).with(&shop.admin);
    let begun = begun.await.expect(202);
    assert_eq!((&begun.body["state"], &begun.body["generation"]), (&"building".into(), &3.into()));

    shop.service.build().await.unwrap_err();
    let progress = shop.public.get("/api/v1/admin/search/rebuild").with(&shop.admin).await.expect(200).body;
    assert_eq!((&progress["state"], &progress["products"]), (&"building".into(), &(2 * EXPORTED).into()));
    assert_eq!(shop.search("q=lamp").await.total, Some(3), "of the old index");

    shop.catalog.resume();
    assert!(shop.service.build().await.unwrap());
    let progress = shop.public.get("/api/v1/admin/search/rebuild").with(&shop.admin).await.expect(200).body;
    assert_eq!((&progress["state"], &progress["products"]), (&"complete".into(), &(3 * EXPORTED).into()));
    assert_eq!(shop.search("q=lamp").await.total, Some(9), "of the new index");

    assert!(shop.service.sweep().await.unwrap() > 0);
    assert_eq!(shop.database.count("select count(distinct generation) from product_entry").await, 1);
    assert_eq!(shop.database.count("select count(*) from index_generation").await, 1);
    assert_eq!(shop.search("q=lamp").await.total, Some(9));
}

#[tokio::test]
async fn se1_events_during_a_build_are_in_the_new_index_whichever_came_first() {
    let shop = Shop::open().await;
    let products = catalog_of(2 * EXPORTED);
    shop.sell(&products).await;
    shop.catalog.sell(all(&products));
    shop.catalog.stop_after(1);
    shop.service.request_rebuild().await.unwrap();
    shop.service.build().await.unwrap_err();
    // One that was read and one that was not, each with the catalog's old version still to come or gone by.
    let (early, late) = (changed(&products[0], "Desk"), changed(&products[EXPORTED], "Desk"));
    shop.store(&[stored(&early), stored(&late), deleted(&products[1]), deleted(&products[EXPORTED + 1])], &[]).await;
    shop.store(&[], &[stock(early.id, 7, 2), stock(late.id, 7, 2)]).await;
    let before = shop.search("q=desk").await;
    shop.catalog.resume();
    assert!(shop.service.build().await.unwrap());
    let after = shop.search("q=desk").await;
    assert_eq!(before.items, after.items);
    assert_eq!(after.items.iter().map(|product| product.stock).collect::<Vec<_>>(), [7, 7]);
    assert_eq!(shop.search("q=lamp").await.total, Some(2));
}

#[tokio::test]
async fn a_product_that_was_deleted_before_a_build_does_not_come_back_by_a_late_event() {
    let shop = Shop::open().await;
    let lamp = named("Lamp");
    shop.store(&[stored(&lamp), deleted(&lamp)], &[]).await;
    shop.service.request_rebuild().await.unwrap();
    assert!(shop.service.build().await.unwrap());
    shop.store(&[stored(&lamp)], &[]).await;
    assert_eq!(shop.search("q=lamp").await.total, Some(0));
}

#[tokio::test]
async fn one_of_several_processes_builds_and_another_one_goes_on_after_its_lease() {
    let shop = Shop::open().await;
    let products = catalog_of(2 * EXPORTED);
    shop.catalog.sell(all(&products));
    shop.catalog.stop_after(1);
    shop.service.request_rebuild().await.unwrap();
    shop.service.build().await.unwrap_err();
    let index = Arc::new(shop.database.index.clone());
    let other = SearchService::new(index, Arc::new(shop.catalog.clone()), &SystemIds);
    shop.catalog.resume();
    assert!(!other.build().await.unwrap(), "the lease of the first one has not ended");
    let mut connection = shop.database.db.acquire().await.unwrap();
    let end = "update index_generation set leased_until = now() - interval '1 second' where state = 'building'";
    sqlx::query(end).execute(&mut *connection).await.unwrap();
    assert!(other.build().await.unwrap());
    assert!(!shop.service.build().await.unwrap(), "there is nothing left to build");
    assert_eq!(shop.search("q=lamp").await.total, Some(6));
    let progress = shop.service.progress().await.unwrap();
    assert_eq!(
        (progress.products, progress.is_building),
        (6, false),
        "the other one continued where the first one ended"
    );
}

#[tokio::test]
async fn only_admins_rebuild() {
    let shop = Shop::open().await;
    let path = "/api/v1/admin/search/rebuild";
    shop.public.get(path).await.expect(401);
    shop.public.get(path).with(&shop.customer).await.expect(403);
    shop.public.post(path, serde_json::Value::Null).with(&shop.customer).await.expect(403);
}
