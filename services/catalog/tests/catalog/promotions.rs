//! Promotions that start by schedule.

use std::{collections::BTreeSet, time::Duration};

use agora_catalog::{
    domain::{Campaign, Label},
    ports::Promotions as _,
};
use agora_chassis::telemetry::{metrics_handle, series_value};
use agora_events::{Event as _, promotional::PromotionalEvent};
use agora_vocab::{ProductId, PromotionId};
use serde_json::{json, value::RawValue};

use crate::{
    fixture::fresh,
    shop::{Shop, eur},
};

const HOUR: Duration = Duration::from_hours(1);

fn campaign() -> Campaign {
    Campaign { every: HOUR, title: Label::parse("title", "Offers").unwrap() }
}

/// The events of promotions in their order, taken from the outbox.
async fn events(shop: &Shop) -> Vec<PromotionalEvent> {
    let mut connection = shop.database.db.acquire().await.unwrap();
    let taken = "with taken as (delete from outbox where topic = 'promotional-events' returning id, kind, data) \
        select kind, data::text from taken order by id";
    let rows: Vec<(String, String)> = sqlx::query_as(taken).fetch_all(&mut *connection).await.unwrap();
    let event = |(kind, data): (String, String)| {
        let data = RawValue::from_string(data).unwrap();
        PromotionalEvent::from_parts(&kind, &data).unwrap().unwrap()
    };
    rows.into_iter().map(event).collect()
}

async fn pass_hour(shop: &Shop) {
    let mut connection = shop.database.db.acquire().await.unwrap();
    let back = "update promotion_schedule set next_at = next_at - interval '1 hour'";
    sqlx::query(back).execute(&mut *connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ca22_of_many_replicas_one_starts_each_promotion_by_schedule() {
    let shop = Shop::open().await;
    for n in 0..13 {
        shop.create(json!({"name": format!("P{n}"), "price": eur(100 + n), "category": "Chairs", "stock": n % 13}))
            .await
            .expect(201);
    }
    let sold: BTreeSet<ProductId> = shop.public.get("/api/v1/products?limit=100").await.expect(200).body["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|product| product["stock"] != 0)
        .map(|product| serde_json::from_value(product["id"].clone()).unwrap())
        .collect();

    let mut promoted = Vec::new();
    let mut present = None;
    for expected in [10, 2, 10] {
        let replicas = (0..8).map(|_| {
            let store = shop.database.store.clone();
            async move { store.start_promotion(PromotionId::new(fresh()), &campaign()).await.unwrap() }
        });
        let started = futures::future::join_all(replicas).await.into_iter();
        assert_eq!(started.filter(|products| *products > 0).collect::<Vec<_>>(), [expected]);

        let mut events = events(&shop).await;
        let Some(PromotionalEvent::Started(promotion)) = events.pop() else { panic!("no promotion was started") };
        assert_eq!((promotion.title.as_str(), promotion.products.len()), ("Offers", expected));
        let ended = match events.as_slice() {
            [] => None,
            [PromotionalEvent::Ended(ended)] => Some(ended.promotion_id),
            other => panic!("{other:?}"),
        };
        assert_eq!(ended, present, "the one before has ended");
        present = Some(promotion.promotion_id);
        assert_eq!(promotion.products[0].category.as_deref(), Some("Chairs"));
        promoted.extend(promotion.products.into_iter().map(|product| product.product_id));

        let early = shop.database.store.start_promotion(PromotionId::new(fresh()), &campaign()).await.unwrap();
        assert_eq!((early, events_left(&shop).await), (0, 0), "the next one is not due");
        pass_hour(&shop).await;
    }
    assert_eq!(promoted[..12].iter().copied().collect::<BTreeSet<_>>(), sold, "every product in stock, each once");
    assert_eq!(promoted[12..], promoted[..10], "and from the beginning again");
}

async fn events_left(shop: &Shop) -> i64 {
    shop.database.count("select count(*) from outbox where topic = 'promotional-events'").await
}

#[tokio::test]
async fn a_promotion_without_products_in_stock_is_not_started() {
    let shop = Shop::open().await;
    shop.product("Sold out", 0).await;
    assert_eq!(shop.service.start_promotion(&campaign()).await.unwrap(), 0);
    assert_eq!(events_left(&shop).await, 0);
    let id = shop.product("Chair", 1).await.id;
    assert_eq!(shop.service.start_promotion(&campaign()).await.unwrap(), 0, "not before the next time");
    pass_hour(&shop).await;
    assert_eq!(shop.service.start_promotion(&campaign()).await.unwrap(), 1);
    let started = events(&shop).await;
    let PromotionalEvent::Started(promotion) = &started[0] else { panic!("{started:?}") };
    assert_eq!((promotion.products[0].product_id, promotion.products[0].price.amount), (id, 1999));
}

#[tokio::test]
async fn de10_promotions_their_sizes_and_their_failures_are_counted() {
    metrics_handle();
    let count = |name: &str| series_value(name).unwrap_or_default();
    let names = ["promotional_events_total", "promotional_events_batch_size_sum", "promotional_events_errors_total"];
    let before = names.map(count);
    let shop = Shop::open().await;
    for name in ["Chair", "Table", "Lamp"] {
        shop.product(name, 1).await;
    }
    assert_eq!(shop.service.start_promotion(&campaign()).await.unwrap(), 3);
    let mut connection = shop.database.db.acquire().await.unwrap();
    sqlx::query("alter table promotion_schedule rename to gone").execute(&mut *connection).await.unwrap();
    shop.service.start_promotion(&campaign()).await.unwrap_err();

    // Other tests of this process may start promotions too.
    let after = names.map(count);
    for (n, moved) in [1.0, 3.0, 1.0].into_iter().enumerate() {
        assert!(after[n] >= before[n] + moved, "{}: {} to {}", names[n], before[n], after[n]);
    }
}
