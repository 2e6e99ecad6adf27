//! Tests of requests that are interrupted: other services are away or slow, or the process has crashed.

use std::sync::Arc;

use agora_order::{
    domain::Product,
    ports::{CallFailed, Catalog, NewHold, Reserving, ReturnedUnits},
    service::OrderService,
};
use agora_vocab::{CommandId, OrderId, ProductId, Quantity};
use async_trait::async_trait;
use serde_json::json;
use time::Duration;
use tokio::sync::Notify;

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
async fn de16_while_no_orders_are_taken_the_cart_keeps_its_lines_and_finished_requests_are_answered() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let paused = shop.with_flags("takeOrders: false");
    let refused = paused.order("k", json!({})).await.expect(503);
    assert_eq!((refused.header("retry-after"), refused.body["code"].as_str()), ("60", Some("ORDERS_PAUSED")));
    assert_eq!((shop.store.order_ids().await.len(), shop.fakes.carts.lines(shop.ada)), (0, 1));
    shop.order("k", json!({})).await.expect(201);
    paused.order("k", json!({})).await.expect(201);
    assert_eq!(shop.store.order_ids().await.len(), 1);
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

/// A catalog that quotes when it is allowed to.
struct Waiting {
    catalog: InMemoryCatalog,
    asked: Notify,
    go_on: Notify,
}

#[async_trait]
impl Catalog for Waiting {
    async fn quote(&self, products: &[ProductId]) -> Result<Vec<Product>, CallFailed> {
        self.asked.notify_one();
        self.go_on.notified().await;
        self.catalog.quote(products).await
    }

    async fn reserve(&self, command: CommandId, hold: &NewHold) -> Result<Reserving, CallFailed> {
        self.catalog.reserve(command, hold).await
    }

    async fn commit(&self, command: CommandId, order: OrderId, hold: i32) -> Result<bool, CallFailed> {
        self.catalog.commit(command, order, hold).await
    }

    async fn take_back(&self, command: CommandId, units: &ReturnedUnits) -> Result<(), CallFailed> {
        self.catalog.take_back(command, units).await
    }

    async fn release(&self, command: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed> {
        self.catalog.release(command, order, hold).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_client_leaves_is_made_and_a_repetition_gets_it() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let catalog = shop.fakes.catalog.clone();
    let waiting = Arc::new(Waiting { catalog, asked: Notify::new(), go_on: Notify::new() });
    let away = shop.with_catalog(waiting.clone(), std::time::Duration::from_secs(3));
    let mut left = Box::pin(away.order("k", json!({})).into_future());
    tokio::select! {
        answer = &mut left => panic!("{}", answer.body),
        () = waiting.asked.notified() => {}
    }
    drop(left);
    waiting.go_on.notify_one();
    let outcome = async {
        loop {
            let answer = shop.order("k", json!({})).await;
            if answer.body["code"] != "REQUEST_IN_PROGRESS" {
                return answer.expect(201).body;
            }
            tokio::task::yield_now().await;
        }
    };
    // Shorter than the idempotency lease, after which a repetition would make the order itself.
    let order = tokio::time::timeout(std::time::Duration::from_secs(9), outcome).await.unwrap();
    assert_eq!((&order["status"], shop.fakes.carts.lines(shop.ada)), (&json!("pending"), 0));
    assert_eq!(shop.store.order_ids().await, [id(&order)]);
}

#[tokio::test]
async fn a_cart_that_could_not_be_given_back_is_given_back_as_soon_as_it_can() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    // The checkout succeeds; the quote and the cancellation of the checkout fail.
    let away = shop.cut_off(&Failpoint::after(3));
    away.order("k", json!({})).await.expect(503);
    assert_eq!((shop.fakes.carts.lines(shop.ada), away.service.retry_unfinished().await), (0, 1));
    let services = shop.service.services.clone();
    let healed = OrderService { services, ..away.service.clone() };
    assert_eq!((healed.retry_unfinished().await, shop.fakes.carts.lines(shop.ada)), (0, 1));
    shop.order("k", json!({})).await.expect(201);
}

#[tokio::test]
async fn a_lease_that_cannot_be_cancelled_does_not_hold_up_the_others_or_end_the_worker() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    for key in ["a", "b"] {
        shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
        shop.cut_off(&Failpoint::after(3)).order(key, json!({})).await.expect(503);
    }
    shop.store.pass(Duration::seconds(61)).await;
    let away = shop.cut_off(&Failpoint::after(1));
    assert_eq!(away.service.cancel_expired_leases().await.unwrap(), 0);
    // Each is leased for ten seconds, so that those which fail do not hold up the others.
    assert_eq!(shop.service.cancel_expired_leases().await.unwrap(), 0);
    shop.store.pass(Duration::seconds(11)).await;
    assert_eq!(shop.service.cancel_expired_leases().await.unwrap(), 2);

    let shutdown = tokio_util::sync::CancellationToken::new();
    let worker = agora_order::worker::run(away.service.clone(), shutdown.clone());
    let ended = tokio::time::timeout(std::time::Duration::from_millis(100), worker).await;
    assert!(ended.is_err(), "the worker goes on: {ended:?}");
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

    async fn take_back(&self, command: CommandId, units: &ReturnedUnits) -> Result<(), CallFailed> {
        self.0.take_back(command, units).await
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
