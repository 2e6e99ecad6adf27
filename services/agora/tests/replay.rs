//! Events are archived from a real broker, and a replay by the command line changes nothing.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use agora_archive::Archive;
use agora_chassis::{Process, SystemClock, SystemIds};
use agora_events::{
    Event,
    catalog::{InventoryEvent, Product, ProductDeleted, ProductEvent, StockChanged},
    topics,
};
use agora_kafka::{Config, Consumer, Outgoing, Producer, ensure_topics};
use agora_postgres::Db;
use agora_search::{
    consumer,
    ports::{Catalog, CatalogUnavailable, Exported},
    postgres::PgIndex,
    service::SearchService,
};
use agora_vocab::{Clock as _, Currency, Ids as _, Money, ProductId, SellerId, WarehouseId};
use futures::FutureExt as _;
use time::OffsetDateTime;

/// Timeout of every wait in these tests.
const PATIENCE: Duration = Duration::from_mins(1);
const ISOLATION_KEY: &str = "replay";

#[derive(Debug)]
struct NoCatalog;

#[async_trait::async_trait]
impl Catalog for NoCatalog {
    async fn export(&self, _: Option<ProductId>) -> Result<Vec<Exported>, CatalogUnavailable> {
        Ok(Vec::new())
    }
}

/// A message that was sent now.
fn message<E: Event>(key: ProductId, event: &E) -> Outgoing {
    let mut envelope = agora_testkit::envelope(SystemIds.next(), key.to_string(), event);
    envelope.time = SystemClock.now();
    let payload = serde_json::to_vec(&envelope).unwrap();
    Outgoing { topic: E::TOPIC.name().into(), key: key.to_string(), payload, trace: None }
}

fn product(id: ProductId, version: i64) -> Product {
    Product {
        product_id: id,
        version,
        name: format!("Lamp {version}"),
        description: String::new(),
        sku: None,
        price: Money { amount: 100, currency: Currency::EUR },
        category: None,
        brand: None,
        supplier: None,
        image_url: None,
        seller_id: SellerId::HOUSE,
    }
}

/// The history of a product that was changed and of one that was deleted: five product events and one of stock.
fn history() -> Vec<Outgoing> {
    let (kept, deleted) = (ProductId::new(SystemIds.next()), ProductId::new(SystemIds.next()));
    let stock = StockChanged {
        product_id: kept,
        variant: String::new(),
        warehouse_id: WarehouseId::MAIN,
        on_hand: 7,
        reserved: 2,
        version: 1,
    };
    vec![
        message(kept, &ProductEvent::Created(product(kept, 1))),
        message(deleted, &ProductEvent::Created(product(deleted, 1))),
        message(kept, &ProductEvent::Updated(product(kept, 2))),
        message(deleted, &ProductEvent::Deleted(ProductDeleted { product_id: deleted, version: 2 })),
        message(kept, &ProductEvent::Updated(product(kept, 3))),
        message(kept, &InventoryEvent::StockChanged(stock)),
    ]
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn query(db: &Db, sql: &'static str) -> String {
    let mut connection = db.acquire().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap()
}

/// Standard output of `agora replay` over the last and the next hour.
fn replay(brokers: &str, folder: &Path, more: &[&str]) -> String {
    let time = |offset: time::Duration| {
        let time: OffsetDateTime = SystemClock.now() + offset;
        time.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    let (from, to) = (time(time::Duration::hours(-1)), time(time::Duration::hours(1)));
    let output = Command::new(env!("CARGO_BIN_EXE_agora"))
        .args(["replay", "--from", from.as_str(), "--to", to.as_str()])
        .args(more)
        .env("ARCHIVE_URL", format!("file://{}", folder.display()))
        .env("KAFKA_BROKERS", brokers)
        .env("ISOLATION_KEY", ISOLATION_KEY)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Reads all messages of the topics from the beginning until there are so many.
async fn received(config: &Config, group: &str, count: usize) -> Vec<Vec<u8>> {
    let consumer = Consumer::new(config, group, &[topics::PRODUCT, topics::INVENTORY]).unwrap();
    let mut payloads = Vec::new();
    while payloads.len() < count {
        let incoming = tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap();
        payloads.push(incoming.payload);
    }
    payloads.sort();
    payloads
}

#[tokio::test(flavor = "multi_thread")]
async fn ms6_a_replay_sends_what_was_archived_and_changes_nothing() {
    const CONTENTS: &str = "select coalesce(string_agg(row(product_id, version, visible, name, stock, created_at, updated_at)::text, \
        E'\\n' order by product_id), '') from product_entry where name <> 'Last'";
    const FOUND: &str = "select string_agg(name || ' ' || stock, ', ' order by name) from product_entry where visible";
    let brokers = agora_testkit::kafka().await;
    let config = Config::plain(&brokers, ISOLATION_KEY);
    ensure_topics(&config, &topics::ALL, 1).await.unwrap();
    let database = agora_testkit::migrated_postgres(&agora_search::MIGRATIONS).await;
    let db = Db::for_test(&database.url(), &agora_search::MIGRATIONS).await;
    let index = Arc::new(PgIndex::new(db.clone(), db.clone()));
    let service = SearchService::new(index, Arc::new(NoCatalog), &SystemIds);
    let process = Process::for_test("search");
    agora_outbox::consume(db.clone(), &config, consumer::CONSUMER, consumer::TOPICS, &process, move |envelopes| {
        consumer::handle(service.clone(), envelopes).boxed()
    });
    let folder = tempfile::tempdir().unwrap();
    let archive =
        agora_archive::Config { age_max: Duration::from_secs(1), ..agora_archive::Config::folder(folder.path()) };
    agora_archive::write(&archive, &config, agora_topology::ARCHIVE_GROUP, &topics::ALL, &process);

    let (sent, producer) = (history(), Producer::new(&config));
    producer.send_all(&sent).await.unwrap();
    until("the index has the events", async || query(&db, FOUND).await == "Lamp 3 5").await;
    let archive = Archive::open(&archive).unwrap();
    let (from, to) = (SystemClock.now() - time::Duration::hours(1), SystemClock.now() + time::Duration::hours(1));
    until("every event is archived", async || {
        let mut records = 0;
        for topic in [topics::PRODUCT, topics::INVENTORY] {
            for file in archive.files(topic, from, to).await.unwrap() {
                records += archive.read(&file).await.unwrap().len();
            }
        }
        records == sent.len()
    })
    .await;

    let before = query(&db, CONTENTS).await;
    let counted = replay(&brokers, folder.path(), &["--dry-run"]);
    assert!(counted.contains("product-events: 5 events would be sent"), "{counted}");
    assert_eq!(received(&config, "after-dry-run", sent.len()).await.len(), sent.len());
    let replayed = replay(&brokers, folder.path(), &[]);
    assert!(replayed.contains("inventory-events: 1 events sent"), "{replayed}");

    // Behind the replayed events of its partition.
    let last = ProductId::new(SystemIds.next());
    let last = message(last, &ProductEvent::Created(Product { name: "Last".into(), ..product(last, 1) }));
    producer.send_all(std::slice::from_ref(&last)).await.unwrap();
    until("the replay is handled", async || query(&db, FOUND).await.contains("Last 0")).await;
    assert_eq!(query(&db, CONTENTS).await, before);
    assert_eq!(query(&db, "select count(*)::text from dead_letter").await, "0");
    let mut twice: Vec<Vec<u8>> =
        sent.iter().chain(&sent).chain([&last]).map(|message| message.payload.clone()).collect();
    twice.sort();
    assert_eq!(received(&config, "after-replay", twice.len()).await, twice, "the same bytes");
    process.end().await;
}
