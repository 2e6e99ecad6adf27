//! A database with the catalog's store, and values for tests of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agora_catalog::{
    MIGRATIONS,
    domain::{
        Description, Details, Hold, Lines, Listed, Name, Price, Prices, Product, Reservation, Seconds, Sku,
        StockLocation, Translations,
    },
    ports::{Holds as _, Products as _},
    postgres::PgCatalog,
};
use agora_chassis::SystemIds;
use agora_outbox::DedupKey;
use agora_postgres::Db;
use agora_testkit::TestDatabase;
use agora_vocab::{Currency, Epoch, Ids as _, Money, OrderId, ProductId, Quantity, SellerId, Variant, WarehouseId};
use time::OffsetDateTime;
use uuid::Uuid;

/// The store of the catalog on a database of its own.
pub struct Database {
    pub store: PgCatalog,
    pub db: Db,
    pub server: TestDatabase,
}

impl Database {
    pub async fn create() -> Self {
        let server = agora_testkit::migrated_postgres(&MIGRATIONS).await;
        let db = Db::for_test(&server.url(), &MIGRATIONS).await;
        Self { store: PgCatalog::new(db.clone(), db.clone(), Arc::new(SystemIds), Epoch::default()), db, server }
    }

    /// Moves the expiry of every hold back, because the clock of the database cannot be moved.
    pub async fn pass(&self, seconds: u32) {
        let back = "update hold set expires_at = expires_at - make_interval(secs => $1)";
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query(back).bind(f64::from(seconds)).execute(&mut *connection).await.unwrap();
    }

    /// Inserts a second warehouse.
    pub async fn warehouse(&self, priority: i32) -> WarehouseId {
        let id = fresh();
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query("insert into warehouse (id, name, priority) values ($1, $2, $3)")
            .bind(id)
            .bind(id.to_string())
            .bind(priority)
            .execute(&mut *connection)
            .await
            .unwrap();
        WarehouseId::new(id)
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap()
    }

    /// Waits until a session waits for a row lock.
    pub async fn wait_for_blocked_session(&self) {
        const WAITING: &str =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.count(WAITING).await == 0 {
            assert!(Instant::now() < deadline, "no session waits for a lock");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Adds units and their event by SQL in a transaction that stays open.
    pub async fn adding(&self, location: &StockLocation, units: i64) -> agora_postgres::Tx {
        const ADD: &str = "with recorded as ( \
                insert into stock_movement (product_id, variant, warehouse_id, kind, quantity) \
                values ($1, $2, $3, 'adjust', $4)), \
            added as (update stock set on_hand = on_hand + $4, version = version + 1 \
                where product_id = $1 and variant = $2 and warehouse_id = $3 returning id, version) \
            insert into outbox (shard, topic, kind, version, event_id, aggregate, seq, epoch, data) \
            select 0, 'inventory-events', 'stock.changed', 1, gen_random_uuid(), id, version, 0, '{}' from added";
        let mut tx = self.db.begin().await.unwrap();
        let add = sqlx::query(ADD).bind(location.product.uuid()).bind(location.variant.as_str());
        add.bind(location.warehouse.uuid()).bind(units).execute(&mut *tx).await.unwrap();
        tx
    }

    /// Checks the invariants of the tables stock, hold and outbox.
    pub async fn check_invariants(&self) {
        const OFF: [(&str, &str); 5] = [
            (
                "the ledger sums to what is on hand",
                "select count(*) from stock s where s.on_hand <> coalesce((select sum(m.quantity) from stock_movement m \
                 where m.product_id = s.product_id and m.variant = s.variant and m.warehouse_id = s.warehouse_id), 0)",
            ),
            (
                "what is reserved is the sum of live reservations",
                "select count(*) from stock s where s.reserved <> coalesce((select sum(l.quantity) \
                 from hold h cross join lateral unnest(h.lines) as l \
                 where h.state = 'held' and l.product_id = s.product_id and l.variant = s.variant \
                 and l.warehouse_id = s.warehouse_id), 0)",
            ),
            ("0 <= reserved <= on hand", "select count(*) from stock where reserved < 0 or reserved > on_hand"),
            (
                "events of a stock row are numbered by its version",
                "select count(*) from stock s where s.version <> (select count(*) from outbox o \
                 where o.topic = 'inventory-events' and o.aggregate = s.id)",
            ),
            (
                "events of one aggregate are numbered from 1 without gaps",
                "select count(*) from (select topic, aggregate, count(*) as n, max(seq) as last, min(seq) as first \
                 from outbox group by topic, aggregate) f where n <> last or first <> 1",
            ),
        ];
        for (invariant, off) in OFF {
            assert_eq!(self.count(off).await, 0, "{invariant}");
        }
    }
}

pub fn fresh() -> Uuid {
    agora_chassis::SystemIds.next()
}

/// The id of a new command.
pub fn command() -> Uuid {
    fresh()
}

pub fn request(key: &str, body: u8) -> DedupKey {
    DedupKey::Request { scope: "u".into(), key: key.into(), route: "POST /api/v1/products".into(), hash: [body; 32] }
}

pub fn named(name: &str) -> Product {
    Product {
        id: ProductId::new(fresh()),
        seller: SellerId::HOUSE,
        version: 1,
        details: Details {
            name: Name::parse(name).unwrap(),
            description: Description::parse("").unwrap(),
            sku: None,
            price: Price::parse(Money { amount: 1999, currency: Currency::EUR }).unwrap(),
            category: None,
            brand: None,
            supplier: None,
            image_url: None,
            translations: Translations::default(),
            prices: Prices::default(),
        },
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

pub fn with_sku(name: &str, sku: &str) -> Product {
    let mut product = named(name);
    product.details.sku = Some(Sku::parse(sku).unwrap());
    product
}

pub async fn add(database: &Database, product: &Product, units: i64) -> Listed {
    database.store.add(product, units, &DedupKey::None).await.unwrap().into_inner()
}

/// Creates a product with this many units.
pub async fn stocked(database: &Database, units: i64) -> ProductId {
    add(database, &named("Chair"), units).await.product.id
}

pub async fn stock_of(database: &Database, id: ProductId) -> i64 {
    database.store.find(id).await.unwrap().unwrap().stock
}

pub fn lines(wanted: &[(ProductId, i64)]) -> Lines {
    Lines::new(wanted.iter().map(|&(id, n)| (id, Variant::default(), Quantity::parse(n).unwrap()))).unwrap()
}

pub fn hold(number: i32) -> Hold {
    Hold { order: OrderId::new(fresh()), number }
}

pub fn main_location(product: ProductId) -> StockLocation {
    StockLocation { product, variant: Variant::default(), warehouse: WarehouseId::MAIN }
}

pub fn seconds(n: u32) -> Seconds {
    Seconds::parse(n).unwrap()
}

pub async fn reserve(database: &Database, hold: Hold, wanted: &[(ProductId, i64)]) -> Reservation {
    database.store.reserve(hold, &lines(wanted), seconds(900), command()).await.unwrap().into_inner()
}

pub fn held(reservation: &Reservation) -> bool {
    matches!(reservation, Reservation::Held(_))
}
