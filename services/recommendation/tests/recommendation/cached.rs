//! Results in Redis: read without the database, dropped by events, and never needed.

use agora_events::catalog::{ProductDeleted, ProductEvent};
use agora_testkit::Cable;

use crate::shop::{Shop, created, numbered, stock, until, user};

/// Waits until results are cached. Each look is a request of the user, who may send a hundred a minute.
async fn caches(shop: &Shop) {
    until("Redis answers", async || shop.redis.ping().await.is_ok()).await;
    until("results are cached", async || {
        shop.recommended().await;
        shop.execute("update product set name = name || '!' where shown").await;
        let cached = shop.names().await.iter().all(|name| !name.ends_with('!'));
        shop.execute("update product set name = rtrim(name, '!')").await;
        cached
    })
    .await;
}

#[tokio::test]
async fn re9_a_cached_result_is_answered_without_the_database() {
    let shop = Shop::open().await;
    shop.sell("Radio", "Electronics").await;
    caches(&shop).await;
    shop.server.stop().await;
    assert_eq!(shop.names().await, ["Radio"]);
}

#[tokio::test]
async fn re9_a_cached_result_is_dropped_by_events_of_its_user_and_of_products() {
    let shop = Shop::open().await;
    let (radio, lamp) = (shop.sell("Radio", "Electronics").await, shop.sell("Lamp", "Lighting").await);
    shop.sell("Torch", "Lighting").await;
    caches(&shop).await;
    assert_eq!(shop.names().await, ["Radio"]);
    shop.buy(shop.me, &[lamp]).await;
    assert_eq!(shop.names().await, ["Torch", "Radio"], "a purchase");
    shop.deliver(&[created(radio, 2, "Receiver", "Electronics")]).await;
    assert_eq!(shop.names().await, ["Torch", "Receiver"], "a changed product");
    shop.deliver(&[stock(radio, 2, 0)]).await;
    assert_eq!(shop.names().await, ["Torch"], "a product out of stock");
    shop.deliver(&[stock(radio, 3, 1)]).await;
    assert_eq!(shop.names().await, ["Torch", "Receiver"], "a product in stock again");
    let deleted = ProductEvent::Deleted(ProductDeleted { product_id: radio, version: 3 });
    shop.deliver(&[numbered(radio.uuid(), 3, &deleted)]).await;
    assert_eq!(shop.names().await, ["Torch"], "a deleted product");
}

/// The list of a user without purchases, which no event of their own drops.
#[tokio::test]
async fn re9_the_first_sale_of_a_product_drops_the_cached_results_of_all() {
    let shop = Shop::open().await;
    let lamp = shop.sell("Lamp", "Lighting").await;
    caches(&shop).await;
    assert_eq!(shop.names().await, [""; 0], "nobody bought anything");
    shop.buy(user(), &[lamp]).await;
    assert_eq!(shop.names().await, ["Lamp"], "a best seller");
}

/// The older system kept one list for each category: it recommended to users what they had bought themselves.
#[tokio::test]
async fn a_cache_shared_by_users_recommended_ones_own_purchases() {
    let shop = Shop::open().await;
    let (lamp, torch) = (shop.sell("Lamp", "Lighting").await, shop.sell("Torch", "Lighting").await);
    let other = user();
    shop.buy(shop.me, &[lamp]).await;
    shop.buy(other, &[torch]).await;
    caches(&shop).await;
    assert_eq!(shop.names().await, ["Torch"]);
    let others = shop.public.get("/api/v1/recommendations").with(&shop.keys.token(other, &[])).await.expect(200);
    assert_eq!(others.body["items"][0]["name"], "Lamp");
    assert_eq!(others.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_redis_results_are_right_and_what_was_missed_is_dropped_when_it_is_back() {
    let redis = agora_testkit::redis().await;
    let cable = Cable::to(redis.strip_prefix("redis://").unwrap()).await;
    let shop = Shop::open_on(&format!("redis://{}", cable.address())).await;
    let radio = shop.sell("Radio", "Electronics").await;
    caches(&shop).await;
    shop.service.flush_cache().await;
    assert_eq!(shop.names().await, ["Radio"]);

    cable.unplug();
    shop.deliver(&[created(radio, 2, "Receiver", "Electronics")]).await;
    assert_eq!(shop.names().await, ["Receiver"], "while Redis is away");
    cable.plug_in();
    caches(&shop).await;
    assert_eq!(shop.names().await, ["Receiver"], "what was cached before is dropped");
}
