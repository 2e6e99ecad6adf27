//! Carts that are shown with quotes of Redis.

use std::{sync::Arc, time::Duration};

use agora_cart::cache::RedisQuotes;
use agora_chassis::Process;
use agora_events::catalog::ProductEvent;
use agora_redis::{Config, Redis};
use agora_vocab::Money;

use crate::{
    fixture::{eur, fresh},
    shop::{Shop, product_event},
};

/// Longer than a test takes.
const TTL: Duration = Duration::from_hours(1);
const STARTED_MAX: Duration = Duration::from_secs(30);

async fn prices(shop: &Shop) -> Vec<Money> {
    shop.cart().await.items.iter().map(|item| item.price).collect()
}

#[tokio::test]
async fn ct10_a_cart_is_shown_with_cached_products_until_an_event_changes_one_and_changed_with_current_ones() {
    let config = Config::fixed(&agora_testkit::redis().await, &fresh().to_string());
    let redis = Redis::connect(&config, &Process::for_test("cart"));
    let answered = async {
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(STARTED_MAX, answered).await.unwrap();
    let shop = Shop::open_with(|service| service.with_cache(Arc::new(RedisQuotes { redis, ttl: TTL }))).await;
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    shop.add(chair, 1).await.expect(201);
    shop.add(table, 1).await.expect(201);
    assert_eq!(prices(&shop).await, [eur(1999), eur(1999)]);

    shop.catalog.list_product(chair, 2, eur(2500), 9);
    assert_eq!(prices(&shop).await, [eur(1999), eur(1999)], "from Redis");
    shop.deliver(&ProductEvent::Updated(product_event(chair, 2, eur(2500)))).await;
    assert_eq!(prices(&shop).await, [eur(2500), eur(1999)], "the event drops what was cached");

    shop.catalog.list_product(table, 2, eur(3000), 2);
    let changed: agora_api::cart::Cart = shop.add(table, 1).await.expect(201).parse();
    assert_eq!(changed.items[1].price, eur(3000), "a change asks the catalog");
    agora_testkit::refused(&shop.add(table, 1).await, 409, "INSUFFICIENT_QUANTITY", &["quantity"]);

    shop.catalog.stop();
    assert_eq!(prices(&shop).await, [eur(2500), eur(1999)], "also while the catalog is away");
}
