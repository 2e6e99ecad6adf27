//! Tests of requests that are interrupted: other services are away or slow, or the process has crashed.

use std::sync::Arc;

use agora_order::{
    domain::Product,
    ports::{CallFailed, Catalog, NewHold, Reserving},
};
use agora_vocab::{CommandId, OrderId, ProductId, Quantity};
use async_trait::async_trait;
use serde_json::json;
use time::Duration;

use super::shop::{Shop, id, items, two};
use crate::fakes::{Failpoint, InMemoryCatalog};

/// Long enough for the calls that do end; the test waits this long.
const PROVISIONAL_AFTER: std::time::Duration = std::time::Duration::from_millis(50);

#[tokio::test]
async fn unavailable_services_return_503_and_a_retry_with_the_same_key_succeeds() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let away = shop.cut_off(&Failpoint::after(1));
    let refused = away.order("k", json!({})).await.expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    shop.order("k", json!({})).await.expect(409);
    shop.store.pass(Duration::seconds(11)).await;
    shop.order("k", json!({})).await.expect(201);
    assert_eq!((shop.store.order_ids().await.len(), shop.fakes.carts.lines(shop.ada)), (1, 0));
}

#[tokio::test]
async fn a_failing_reservation_gets_a_provisional_response_and_is_retried() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    // The quote is the first call; the reservation is the second.
    let away = shop.cut_off(&Failpoint::after(2));
    let made = away.order("k", items(lamp, 1)).await.expect(201).body;
    assert_eq!(made["status"], "created");
    let early = shop.order("k", items(lamp, 1)).await.expect(409);
    assert_eq!((&early.body["code"], early.header("retry-after")), (&json!("REQUEST_IN_PROGRESS"), "1"));
    shop.store.pass(Duration::seconds(11)).await;
    shop.settle().await;
    let reply = shop.order("k", items(lamp, 1)).await.expect(201).body;
    assert_eq!((&reply["id"], &reply["status"]), (&made["id"], &json!("pending")));
}

#[tokio::test]
async fn an_expired_lease_without_an_order_is_cancelled_with_its_checkout() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    // The checkout began; then the process crashed.
    shop.cut_off(&Failpoint::after(3)).order("k", json!({})).await.expect(503);
    assert_eq!(shop.fakes.carts.lines(shop.ada), 0);
    shop.store.pass(Duration::seconds(45)).await;
    assert_eq!(shop.service.cancel_expired_leases().await.unwrap(), 0);
    shop.store.pass(Duration::seconds(16)).await;
    assert_eq!(shop.service.cancel_expired_leases().await.unwrap(), 1);
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1);
    shop.order("k", json!({})).await.expect(201);
}

/// A catalog whose reservations never end.
struct Slow(InMemoryCatalog);

#[async_trait]
impl Catalog for Slow {
    async fn quote(&self, products: &[ProductId]) -> Result<Vec<Product>, CallFailed> {
        self.0.quote(products).await
    }

    async fn reserve(&self, _: CommandId, _: &NewHold) -> Result<Reserving, CallFailed> {
        std::future::pending().await
    }

    async fn commit(&self, command: CommandId, order: OrderId, hold: i32) -> Result<bool, CallFailed> {
        self.0.commit(command, order, hold).await
    }

    async fn release(&self, command: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed> {
        self.0.release(command, order, hold).await
    }
}

#[tokio::test]
async fn a_slow_reservation_gets_a_provisional_response_and_the_worker_continues() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    let slow = shop.with_catalog(Arc::new(Slow(shop.fakes.catalog.clone())), PROVISIONAL_AFTER);
    // The reservation never ends: that there is a response at all shows that the request does not wait for it.
    let made = slow.order("k", items(lamp, 1)).await.expect(201).body;
    assert_eq!(made["status"], "created");
    shop.settle().await;
    assert_eq!(shop.status(id(&made)).await, two("pending", "unpaid"), "the lease was given back");
    assert_eq!(shop.order("k", items(lamp, 1)).await.expect(201).body["status"], "pending");
}
