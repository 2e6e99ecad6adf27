//! Products that are read through Redis.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use agora_api::catalog as api;
use agora_catalog::{
    cache::RedisCache,
    ports::{ProductCache as _, Products as _},
};
use agora_chassis::Process;
use agora_redis::{Config, Redis};
use agora_testkit::Cable;
use agora_vocab::ProductId;
use futures::{FutureExt as _, future::join_all};
use serde_json::json;

use crate::{
    fixture::fresh,
    shop::{Shop, order_id},
};

const STARTED_MAX: Duration = Duration::from_secs(30);

async fn connected(url: &str) -> Redis {
    let redis = Redis::connect(&Config::fixed(url, &fresh().to_string()), &Process::for_test("catalog"));
    answers(&redis).await;
    redis
}

async fn answers(redis: &Redis) {
    let answered = async {
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(STARTED_MAX, answered).await.unwrap();
}

/// Changes the stored name without the service, so that a cached product differs from the stored one.
async fn rename_stored(shop: &Shop, id: ProductId, name: &str) {
    let mut connection = shop.database.db.acquire().await.unwrap();
    let rename = sqlx::query("update product set name = $2 where id = $1").bind(id.uuid()).bind(name);
    rename.execute(&mut *connection).await.unwrap();
}

async fn read(shop: &Shop, id: ProductId) -> (String, i64) {
    let product: api::Product = shop.public.get(&format!("/api/v1/products/{id}")).await.expect(200).parse();
    (product.name, product.stock)
}

#[tokio::test]
async fn ca23_another_own_price_of_a_variant_drops_the_cached_product() {
    let redis = connected(&agora_testkit::redis().await).await;
    let shop = Shop::open_with(Some(Arc::new(RedisCache::new(redis)))).await;
    shop.service.flush_cache().await;
    let id = shop.product("Chair", 5).await.id;
    assert_eq!(read(&shop, id).await.0, "Chair");
    rename_stored(&shop, id, "Stored").await;
    let variant = json!({"name": "red", "ownPrice": {"amount": 2499, "currency": "EUR"}});
    let add = shop.public.post(&format!("/api/v1/products/{id}/variants"), variant).with(&shop.admin);
    add.await.expect(201);
    assert_eq!(read(&shop, id).await.0, "Stored");
}

#[tokio::test]
async fn ca23_a_product_is_read_from_redis_until_it_changes() {
    let redis = connected(&agora_testkit::redis().await).await;
    let shop = Shop::open_with(Some(Arc::new(RedisCache::new(redis)))).await;
    shop.service.flush_cache().await;
    let id = shop.product("Chair", 5).await.id;
    assert_eq!(read(&shop, id).await, ("Chair".into(), 5));
    rename_stored(&shop, id, "Stored").await;
    assert_eq!(read(&shop, id).await, ("Chair".into(), 5), "from Redis");

    let order = order_id();
    shop.reserve(order, 1, json!([{"productId": id, "quantity": 2}])).await.expect(200);
    assert_eq!(read(&shop, id).await, ("Stored".into(), 3), "a hold drops it");
    shop.command("/internal/v1/commit", json!({"orderId": order, "hold": 1})).await.expect(200);
    assert_eq!(read(&shop, id).await, ("Stored".into(), 3));
    shop.command("/internal/v1/release", json!({"orderId": order, "hold": 1})).await.expect(200);
    assert_eq!(read(&shop, id).await, ("Stored".into(), 5), "its release drops it");

    let expired = order_id();
    shop.reserve(expired, 1, json!([{"productId": id, "quantity": 1}])).await.expect(200);
    assert_eq!(read(&shop, id).await.1, 4);
    shop.database.pass(1_000).await;
    assert_eq!(shop.service.expire().await.unwrap(), 1);
    assert_eq!(read(&shop, id).await.1, 5, "its expiry drops it");

    let set = shop.public.put(&format!("/api/v1/products/{id}/inventory"), json!({"quantity": 9}));
    set.with(&shop.admin).await.expect(200);
    assert_eq!(read(&shop, id).await.1, 9);
    shop.patch(id, json!({"name": "Stool", "category": "Old", "version": 1})).await.expect(200);
    assert_eq!(read(&shop, id).await.0, "Stool");

    let category = shop.public.get("/api/v1/categories").await.expect(200).body["items"][0].clone();
    let path = format!("/api/v1/categories/{}", category["id"].as_str().unwrap());
    shop.public.patch(&path, json!({"name": "New", "version": 1})).with(&shop.admin).await.expect(200);
    assert_eq!(shop.service.rename_products().await.unwrap(), 1);
    let one = format!("/api/v1/products/{id}");
    assert_eq!(shop.public.get(&one).await.expect(200).body["category"], "New");

    shop.public.delete(&one).with(&shop.admin).await.expect(204);
    assert_eq!(shop.public.get(&one).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn ca23_of_many_readers_of_a_product_one_loads_it() {
    let shop = Shop::open().await;
    let id = shop.product("Chair", 5).await.id;
    let cache = RedisCache::new(connected(&agora_testkit::redis().await).await);
    cache.flush().await;
    let loads = AtomicU32::new(0);
    let readers = (0..100).map(|_| {
        let load = async {
            loads.fetch_add(1, Ordering::SeqCst);
            shop.database.store.find(id).await
        };
        cache.get_or_load(id, load.boxed())
    });
    let found = join_all(readers).await;
    assert!(found.iter().all(|listed| listed.as_ref().unwrap().as_ref().unwrap().stock == 5));
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn ca23_without_redis_products_are_right_and_what_was_missed_is_dropped_when_it_is_back() {
    let redis = agora_testkit::redis().await;
    let cable = Cable::to(redis.strip_prefix("redis://").unwrap()).await;
    let redis = connected(&format!("redis://{}", cable.address())).await;
    let shop = Shop::open_with(Some(Arc::new(RedisCache::new(redis.clone())))).await;
    shop.service.flush_cache().await;
    let id = shop.product("Chair", 5).await.id;
    assert_eq!(read(&shop, id).await, ("Chair".into(), 5));

    cable.unplug();
    shop.patch(id, json!({"name": "Stool", "version": 1})).await.expect(200);
    assert_eq!(read(&shop, id).await, ("Stool".into(), 5), "while Redis is away");
    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 1}])).await.expect(200);
    assert_eq!(read(&shop, id).await, ("Stool".into(), 4));

    cable.plug_in();
    answers(&redis).await;
    assert_eq!(read(&shop, id).await, ("Stool".into(), 4), "what was cached before is not served");
    shop.service.flush_cache().await;
    assert_eq!(read(&shop, id).await, ("Stool".into(), 4));
    rename_stored(&shop, id, "Stored").await;
    assert_eq!(read(&shop, id).await, ("Stool".into(), 4), "from Redis again");
}
