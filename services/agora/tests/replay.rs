//! Events are archived from a real broker. A replay by the command line changes nothing where they were handled, and rebuilds a
//! projection that was lost.
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
    Event, Topic,
    catalog::{InventoryEvent, Product, ProductDeleted, ProductEvent, StockChanged},
    order::{Order, OrderEvent, OrderLine},
    topics,
};
use agora_kafka::{Config, Consumer, Outgoing, Producer, ensure_topics};
use agora_postgres::Db;
use agora_recommendation::MIGRATIONS;
use agora_search::{
    consumer,
    ports::{Catalog, CatalogUnavailable, Exported},
    postgres::PgIndex,
    service::SearchService,
};
use agora_testkit::TestKeys;
use agora_vocab::{Clock as _, Currency, Ids as _, Money, OrderId, ProductId, SellerId, UserId, WarehouseId};
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
    sent_ago(key.to_string(), event, 0)
}

/// A message that was sent so many days ago.
fn sent_ago<E: Event>(key: String, event: &E, days: i64) -> Outgoing {
    let mut envelope = agora_testkit::envelope(SystemIds.next(), key.clone(), event);
    envelope.time = SystemClock.now() - time::Duration::days(days);
    let payload = serde_json::to_vec(&envelope).unwrap();
    Outgoing { topic: E::TOPIC.name().into(), key, payload, trace: None }
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
        variant_prices: Vec::new(),
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

/// `agora replay` from some hours ago until the next hour.
fn replay(brokers: &str, folder: &Path, hours: i64) -> Command {
    let time = |offset: time::Duration| {
        let time: OffsetDateTime = SystemClock.now() + offset;
        time.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    let (from, to) = (time(time::Duration::hours(-hours)), time(time::Duration::hours(1)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_agora"));
    command
        .args(["replay", "--from", from.as_str(), "--to", to.as_str()])
        .env("ARCHIVE_URL", format!("file://{}", folder.display()))
        .env("KAFKA_BROKERS", brokers)
        .env("ISOLATION_KEY", ISOLATION_KEY);
    command
}

/// Standard output of a command that succeeds.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a command that fails.
fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The number of archived messages of a topic, of the last 60 days.
async fn archived(archive: &Archive, topic: Topic) -> usize {
    let now = SystemClock.now();
    let interval = (now - time::Duration::days(60), now + time::Duration::hours(1));
    let mut records = archive.records(topic, interval.0, interval.1).await.unwrap();
    let mut count = 0;
    while let Some(next) = records.next().await.unwrap() {
        count += next.len();
    }
    count
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
    const FOUND: &str =
        "select coalesce(string_agg(name || ' ' || stock, ', ' order by name), '') from product_entry where visible";
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
    until("every event is archived", async || {
        archived(&archive, topics::PRODUCT).await + archived(&archive, topics::INVENTORY).await == sent.len()
    })
    .await;

    let before = query(&db, CONTENTS).await;
    let counted = succeeds(replay(&brokers, folder.path(), 1).arg("--dry-run"));
    assert!(counted.contains("product-events: 5 events would be sent"), "{counted}");
    assert_eq!(received(&config, "after-dry-run", sent.len()).await.len(), sent.len());
    let empty = fails(replay(&brokers, folder.path(), 1).args(["--topic", "cart-events"]));
    assert!(empty.contains("no event of these topics") && empty.contains("it is empty"), "{empty}");
    let replayed = succeeds(&mut replay(&brokers, folder.path(), 1));
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

    // The replayed events are archived under other offsets, and a second replay sends each once.
    until("the last event is archived", async || archived(&archive, topics::PRODUCT).await == 6).await;
    let again = succeeds(replay(&brokers, folder.path(), 1).arg("--dry-run"));
    assert!(again.contains("product-events: 6 events would be sent"), "{again}");
    process.end().await;
}

/// An order of these products, placed so many days ago.
fn placed(products: &[ProductId], days: i64) -> Outgoing {
    let price = Money { amount: 100, currency: Currency::EUR };
    let line = |product: &ProductId| OrderLine {
        product_id: *product,
        variant: String::new(),
        name: "Lamp".into(),
        quantity: 1,
        price,
        category: None,
        seller_id: SellerId::HOUSE,
    };
    let order_id = OrderId::new(SystemIds.next());
    let order = Order {
        order_id,
        number: "A-1000001".into(),
        user_id: UserId::new(SystemIds.next()),
        cart_id: None,
        hold: 1,
        payment_id: None,
        status: "pending".into(),
        payment_status: "unpaid".into(),
        items: products.iter().map(line).collect(),
        total: price,
        charges: None,
    };
    sent_ago(order_id.to_string(), &OrderEvent::Placed(order), days)
}

/// What events made of the recommendation service's projection.
async fn projection(db: &Db) -> String {
    const ROWS: &str = "
        select coalesce(string_agg(row, E'\n' order by row), '') from (
            select 'purchase ' || to_jsonb(p)::text as row from purchase as p
            union all select 'product ' || to_jsonb(p)::text from product as p
            union all select 'stock ' || to_jsonb(s)::text from stock_level as s
            union all select 'together ' || to_jsonb(b)::text from bought_together as b
        ) as rows";
    query(db, ROWS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn se3_a_lost_projection_is_rebuilt_from_events_of_any_age_and_nothing_newer_changes() {
    const DAYS: i64 = 40;
    const NEWER: &str = "with changed as (update product set version = 9, name = 'Newer' where version = 1 returning 1) \
        select count(*)::text from changed";
    let (brokers, redis) = (agora_testkit::kafka().await, agora_testkit::redis().await);
    let config = Config::plain(&brokers, "rebuild");
    ensure_topics(&config, &topics::ALL, 1).await.unwrap();
    let (folder, process) = (tempfile::tempdir().unwrap(), Process::for_test("search"));
    let archive =
        agora_archive::Config { age_max: Duration::from_secs(1), ..agora_archive::Config::folder(folder.path()) };
    agora_archive::write(&archive, &config, agora_topology::ARCHIVE_GROUP, &topics::ALL, &process);
    let (lamp, torch) = (ProductId::new(SystemIds.next()), ProductId::new(SystemIds.next()));
    let level = |product| StockChanged {
        product_id: product,
        variant: String::new(),
        warehouse_id: WarehouseId::MAIN,
        on_hand: 7,
        reserved: 2,
        version: 1,
    };
    let created = |id: ProductId, version| ProductEvent::Created(product(id, version));
    let broken = Outgoing { payload: b"no envelope".to_vec(), ..placed(&[lamp], DAYS) };
    let sent = vec![
        sent_ago(lamp.to_string(), &created(lamp, 1), DAYS),
        sent_ago(torch.to_string(), &created(torch, 1), DAYS),
        sent_ago(torch.to_string(), &InventoryEvent::StockChanged(level(torch)), DAYS),
        placed(&[lamp, torch], DAYS),
        placed(&[lamp, torch], DAYS - 1),
        placed(&[torch], DAYS - 2),
        broken,
    ];
    Producer::new(&config).send_all(&sent).await.unwrap();
    let reader = Archive::open(&archive).unwrap();
    until("every event is archived", async || {
        let of = async |topic| archived(&reader, topic).await;
        of(topics::ORDER).await + of(topics::PRODUCT).await + of(topics::INVENTORY).await == sent.len()
    })
    .await;

    let (jwks, database) = (TestKeys::new().jwks_file(), agora_testkit::migrated_postgres(&MIGRATIONS).await);
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let run = |hours: i64, more: &[&str]| {
        let mut command = replay(&brokers, folder.path(), hours);
        command.args(more).env("DATABASE_URL", database.url()).env("REDIS_URL", &redis).env("JWKS_FILE", jwks.path());
        command.env("TOKEN_ISSUER", TestKeys::ISSUER).env("TOKEN_AUDIENCE", TestKeys::AUDIENCE);
        command
    };
    let (hours, into) = ((DAYS + 1) * 24, ["--into", "recommendation"]);
    let refused = fails(&mut run(hours, &[]));
    assert!(refused.contains("13 days") && refused.contains("--into recommendation"), "{refused}");
    let counted = succeeds(&mut run(hours, &["--into", "recommendation", "--dry-run"]));
    assert!(counted.contains("order-events: 3 events would be applied"), "{counted}");
    assert_eq!(projection(&db).await, "");

    let applied = succeeds(&mut run(hours, &into));
    assert!(applied.contains("order-events: 3 events applied, 1 unreadable"), "{applied}");
    let rebuilt = projection(&db).await;
    assert_eq!(query(&db, "select count(*)::text from purchase where counted").await, "3");
    assert_eq!(query(&db, "select max(orders)::text from bought_together").await, "2");
    assert_eq!(query(&db, "select string_agg(units_sold::text, ',' order by units_sold) from product").await, "2,3");

    assert_eq!(query(&db, NEWER).await, "2");
    let newer = projection(&db).await;
    assert_ne!(newer, rebuilt);
    succeeds(&mut run(hours, &into));
    assert_eq!(projection(&db).await, newer, "an event that is older than the row changes nothing");
    process.end().await;
}
