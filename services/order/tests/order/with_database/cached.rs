//! Orders that are read through Redis.

use std::time::Duration;

use agora_chassis::Process;
use agora_redis::{Config, Redis};
use agora_vocab::{OrderId, UserId};
use serde_json::Value;
use uuid::Uuid;

use super::shop::Shop;

const STARTED_MAX: Duration = Duration::from_secs(30);

/// Changes the stored number without the service, so that a cached order differs from the stored one.
async fn renumber_stored(shop: &Shop, order: OrderId) {
    let renumber = sqlx::query("update orders set number = 'Z-1' where id = $1").bind(order.uuid());
    renumber.execute(&mut *shop.store.db.acquire().await.unwrap()).await.unwrap();
}

async fn number(shop: &Shop, order: OrderId) -> Value {
    shop.get(&format!("/api/v1/orders/{order}")).await.expect(200).body["number"].clone()
}

#[tokio::test]
async fn or20_an_order_is_read_from_redis_by_its_user_until_any_replica_changes_it() {
    let shop = Shop::open().await;
    let config = Config::fixed(&agora_testkit::redis().await, &shop.ada.to_string());
    let redis = Redis::connect(&config, &Process::for_test("order"));
    let answered = async {
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(STARTED_MAX, answered).await.unwrap();
    let (one, other) = (shop.with_cache(redis.clone()), shop.with_cache(redis));
    let chair = shop.fakes.catalog.offer(1999, 9);
    let order = one.pending("k", chair, 1).await;
    let first = number(&one, order).await;
    renumber_stored(&shop, order).await;
    assert_eq!((number(&one, order).await, number(&other, order).await), (first.clone(), first), "from Redis");

    let path = format!("/api/v1/orders/{order}");
    let stranger = one.token(UserId::new(Uuid::from_u128(9)));
    assert_eq!(one.app().get(&path).with(&stranger).await.status, 404, "nor do others see what is cached");
    let absent = format!("/api/v1/orders/{}", shop.number(9));
    assert_eq!(one.get(&absent).await.status, 404);

    other.cancel(order).await.expect(200);
    assert_eq!(one.status(order).await.0, "cancelled", "the change of another replica drops it");
    assert_eq!(number(&one, order).await, "Z-1");
}
