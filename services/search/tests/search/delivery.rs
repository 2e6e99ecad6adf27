//! Events over a real broker: what cannot be handled becomes a dead letter, and the partition goes on.

use std::time::{Duration, Instant};

use agora_chassis::Process;
use agora_events::{
    Envelope, Event,
    catalog::{InventoryEvent, Product as ProductData, ProductDeleted, ProductEvent, StockChanged},
    topics,
};
use agora_kafka::{Config, Outgoing, Producer, ensure_topics};
use agora_search::consumer;
use agora_vocab::{Currency, Money, ProductId, SellerId, WarehouseId};
use futures::FutureExt as _;
use serde_json::{json, value::to_raw_value};

use crate::{
    fixture::{fresh, product_id},
    shop::Shop,
};

/// Time in which events reach the index.
const PATIENCE: Duration = Duration::from_secs(30);

fn created(id: ProductId, name: &str) -> ProductEvent {
    ProductEvent::Created(ProductData {
        product_id: id,
        version: 1,
        name: name.into(),
        description: String::new(),
        sku: None,
        price: Money { amount: 100, currency: Currency::EUR },
        category: None,
        brand: None,
        supplier: None,
        image_url: None,
        seller_id: SellerId::HOUSE,
        variant_prices: Vec::new(),
    })
}

fn message<E: Event>(key: ProductId, event: &E, change: impl FnOnce(&mut Envelope)) -> Outgoing {
    let mut envelope = agora_testkit::envelope(fresh(), key.to_string(), event);
    change(&mut envelope);
    let payload = serde_json::to_vec(&envelope).unwrap();
    Outgoing { topic: E::TOPIC.name().into(), key: key.to_string(), payload, trace: None }
}

async fn until_found(shop: &Shop, query: &str, total: u64) {
    let give_up = Instant::now() + PATIENCE;
    while shop.search(query).await.total != Some(total) {
        assert!(Instant::now() < give_up, "{query}: not {total} in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn se1_events_reach_the_index_and_what_cannot_be_handled_stops_no_partition() {
    let shop = Shop::open().await;
    let config = Config::plain(&agora_testkit::kafka().await, "search-delivery");
    ensure_topics(&config, &[topics::PRODUCT, topics::INVENTORY, topics::DEAD_LETTER], 1).await.unwrap();
    let process = Process::for_test("search");
    let service = shop.service.clone();
    agora_outbox::consume(
        shop.database.db.clone(),
        &config,
        consumer::CONSUMER,
        consumer::TOPICS,
        &process,
        move |envelopes| consumer::handle(service.clone(), envelopes).boxed(),
    );
    let (first, last) = (product_id(), product_id());
    let oversized = "x".repeat(900_000);
    let whole = |payload: &[u8]| Outgoing {
        topic: topics::PRODUCT.name().into(),
        key: first.to_string(),
        payload: payload.to_vec(),
        trace: None,
    };
    let messages = [
        message(first, &created(first, "First lamp"), |_| {}),
        whole(b"no envelope"),
        whole(oversized.as_bytes()),
        message(first, &created(first, "Of tomorrow"), |envelope| envelope.version = 9),
        message(first, &created(first, "Malformed"), |envelope| {
            envelope.data = to_raw_value(&json!({"name": 7})).unwrap();
        }),
        message(first, &created(first, "Zero \u{0}"), |_| {}),
        message(first, &created(first, "Of another type"), |envelope| envelope.kind = "product.painted".into()),
        message(last, &created(last, "Last lamp"), |_| {}),
    ];
    let producer = Producer::new(&config);
    producer.send_all(&messages).await.unwrap();
    until_found(&shop, "q=lamp", 2).await;
    assert_eq!(shop.database.count("select count(*) from dead_letter").await, 5, "no row for the type of tomorrow");

    let changed = InventoryEvent::StockChanged(StockChanged {
        product_id: last,
        variant: String::new(),
        warehouse_id: WarehouseId::MAIN,
        on_hand: 5,
        reserved: 2,
        version: 1,
    });
    let deleted = ProductEvent::Deleted(ProductDeleted { product_id: first, version: 2 });
    producer.send_all(&[message(last, &changed, |_| {}), message(first, &deleted, |_| {})]).await.unwrap();
    until_found(&shop, "q=lamp&inStock=true", 1).await;
    until_found(&shop, "q=lamp", 1).await;
    assert_eq!(shop.search("q=lamp").await.items[0].stock, 3);
    process.end().await;
}
