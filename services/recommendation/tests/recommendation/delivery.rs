//! Events in any order, any number of times and at the same time end in the tables of one clean delivery.

use agora_events::{
    Envelope,
    catalog::{InventoryEvent, ProductDeleted, ProductEvent, StockChanged},
    order::{Order, OrderEvent},
};
use agora_outbox::Failure;
use agora_recommendation::consumer::handle;
use agora_vocab::{OrderId, ProductId, WarehouseId};
use futures::future::join_all;
use serde_json::{json, value::to_raw_value};

use crate::shop::{Shop, created, fresh, line, numbered, order, placed, product, stock, user};

/// A sequence that looks random and is the same in every run.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            values.swap(at, self.below(at + 1));
        }
    }
}

/// The life of an order: each event in its place, the last of them one of many.
fn life(end: usize, of_order: &Order) -> Vec<Envelope> {
    let (key, of) = (of_order.order_id.uuid(), || of_order.clone());
    let mut events = vec![OrderEvent::Created(of()), OrderEvent::Placed(of())];
    events.extend(match end {
        0 => vec![],
        1 => vec![OrderEvent::Paid(of())],
        2 => vec![OrderEvent::Cancelled(of())],
        3 => vec![OrderEvent::Paid(of()), OrderEvent::Shipped(of()), OrderEvent::Completed(of())],
        4 => vec![OrderEvent::Paid(of()), OrderEvent::Refunded(of())],
        5 => vec![OrderEvent::Expired(of())],
        _ => vec![OrderEvent::Expired(of()), OrderEvent::Paid(of())],
    });
    (1..).zip(&events).map(|(seq, event)| numbered(key, seq, event)).collect()
}

/// Events of eight products and sixty orders of five users, in the order in which they happened.
fn happened() -> Vec<Envelope> {
    let mut random = Sequence(7);
    let products: Vec<_> = (0..8).map(|_| ProductId::new(fresh())).collect();
    let users: Vec<_> = (0..5).map(|_| user()).collect();
    let mut events = Vec::new();
    for (n, id) in products.iter().enumerate() {
        for version in 1..4 {
            events.push(created(*id, version, &format!("P{n} of {version}"), ["Books", "Toys"][n % 2]));
            events.push(stock(*id, version, i64::try_from(random.below(3)).unwrap()));
        }
        let other = StockChanged {
            product_id: *id,
            variant: "red".into(),
            warehouse_id: WarehouseId::MAIN,
            on_hand: 5,
            reserved: 5 - i64::try_from(n % 2).unwrap(),
            version: 1,
        };
        events.push(numbered(fresh(), 1, &InventoryEvent::StockChanged(other)));
        if n == 7 {
            let deleted = ProductEvent::Deleted(ProductDeleted { product_id: *id, version: 4 });
            events.push(numbered(id.uuid(), 4, &deleted));
        }
    }
    for n in 0..60 {
        let items = (0..=random.below(4)).map(|_| line(products[random.below(8)], 1 + n % 3)).collect();
        let end = random.below(7);
        events.extend(life(end, &order(OrderId::new(fresh()), users[random.below(5)], items)));
    }
    events
}

#[tokio::test]
async fn re3_duplicates_and_any_order_of_arrival_end_in_the_tables_of_one_clean_delivery() {
    let events = happened();
    let clean = Shop::open().await;
    for event in &events {
        handle(clean.service.clone(), vec![event.clone()]).await.unwrap();
    }
    let expected = clean.projection().await;
    assert!(expected.len() > 80, "{}", expected.len());

    for seed in 0..4 {
        let shop = Shop::open().await;
        let mut random = Sequence(seed);
        let mut tripled: Vec<_> = events.iter().cycle().take(3 * events.len()).cloned().collect();
        random.shuffle(&mut tripled);
        let mut rest = &tripled[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(1 + random.below(64)));
            handle(shop.service.clone(), batch.to_vec()).await.unwrap();
            rest = after;
        }
        assert_eq!(shop.projection().await, expected, "seed {seed}");
        handle(shop.service.clone(), events.clone()).await.unwrap();
        assert_eq!(shop.projection().await, expected, "a replay from the beginning");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_at_the_same_time_end_in_the_same_tables() {
    let events = happened();
    let clean = Shop::open().await;
    handle(clean.service.clone(), events.clone()).await.unwrap();
    let shop = Shop::open().await;
    let mut random = Sequence(3);
    let mut doubled: Vec<_> = events.iter().cycle().take(2 * events.len()).cloned().collect();
    random.shuffle(&mut doubled);
    let batches = doubled.chunks(40).map(|batch| handle(shop.service.clone(), batch.to_vec()));
    for handled in join_all(batches).await {
        handled.unwrap();
    }
    assert_eq!(shop.projection().await, clean.projection().await);
}

#[tokio::test]
async fn an_event_of_a_restored_database_replaces_a_newer_one_of_the_lost_timeline() {
    let shop = Shop::open().await;
    let lamp = shop.sell("Lamp", "Electronics").await;
    shop.deliver(&[created(lamp, 9, "Lost", "Electronics")]).await;
    let restored = Envelope { epoch: 1, ..created(lamp, 2, "Restored", "Electronics") };
    shop.deliver(&[restored]).await;
    shop.deliver(&[created(lamp, 10, "Lost", "Electronics")]).await;
    assert_eq!(shop.names().await, ["Restored"]);
}

/// The older system appended every order again every five minutes.
#[tokio::test]
async fn counts_grew_with_every_run() {
    let shop = Shop::open().await;
    let (lamp, torch) = (shop.sell("Lamp", "Lighting").await, shop.sell("Torch", "Lighting").await);
    let order = placed(OrderId::new(fresh()), shop.me, &[lamp, torch]);
    for _ in 0..5 {
        shop.deliver(std::slice::from_ref(&order)).await;
    }
    assert_eq!(shop.count("select max(units_sold) from product").await, 1);
    assert_eq!(shop.count("select max(orders) from bought_together").await, 1);
}

#[tokio::test]
async fn a_large_order_is_counted_with_a_bounded_number_of_pairs() {
    let shop = Shop::open().await;
    let products: Vec<_> = (0..100).map(|_| ProductId::new(fresh())).collect();
    shop.buy(shop.me, &products).await;
    assert_eq!(shop.count("select count(*) from bought_together").await, 50 * 49);
    assert_eq!(shop.count("select sum(units_sold)::bigint from product").await, 100);
}

#[tokio::test]
async fn a_malformed_event_is_dead_lettered_and_an_unavailable_database_is_retried() {
    let shop = Shop::open().await;
    let id = ProductId::new(fresh());
    let good = created(id, 1, "Lamp", "Lighting");
    let malformed = Envelope { data: to_raw_value(&json!({"name": 1})).unwrap(), ..good.clone() };
    let later = Envelope { version: 2, ..good.clone() };
    let unstorable = numbered(id.uuid(), 2, &ProductEvent::Updated(product(id, 2, "a\0b", "Lighting")));
    for poison in [malformed.clone(), later, unstorable] {
        let put_aside = handle(shop.service.clone(), vec![good.clone(), poison]).await;
        assert!(matches!(put_aside, Err(Failure::Poison(_))), "{put_aside:?}");
    }
    assert_eq!(shop.count("select count(*) from product").await, 0, "a batch is applied as a whole or not at all");
    handle(shop.service.clone(), vec![Envelope { kind: "product.painted".into(), ..malformed }]).await.unwrap();
    shop.server.stop().await;
    let later = handle(shop.service.clone(), vec![good]).await;
    assert!(matches!(later, Err(Failure::Again(_))), "{later:?}");
}
