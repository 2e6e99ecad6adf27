//! A database with the index, a catalog that is a list of products, and values for tests of both.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use agora_chassis::SystemIds;
use agora_postgres::Db;
use agora_search::{
    MIGRATIONS,
    domain::{Deleted, Product, ProductChange, StockChange},
    ports::{Catalog, CatalogUnavailable, Exported},
    postgres::PgIndex,
};
use agora_testkit::TestDatabase;
use agora_vocab::{Currency, Ids as _, Money, ProductId, SellerId, Variant, WarehouseId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

/// The index on a database of its own.
pub struct Database {
    pub index: PgIndex,
    pub db: Db,
    pub server: TestDatabase,
}

impl Database {
    pub async fn create() -> Self {
        let server = agora_testkit::migrated_postgres(&MIGRATIONS).await;
        let db = Db::for_test(&server.url(), &MIGRATIONS).await;
        Self { index: PgIndex::new(db.clone(), db.clone()), db, server }
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap()
    }

    /// The contents of the index that do not depend on when they were stored, in one text.
    pub async fn contents(&self) -> String {
        const CONTENTS: &str = "select coalesce(string_agg(e::text, E'\\n' order by e.generation, e.product_id), '') from ( \
            select generation, product_id, version, visible, name, description, sku, price_amount, price_currency, category, \
            brand, supplier, image_url, created_at, updated_at, stock_levels, stock, headline, search \
            from product_entry) as e";
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(CONTENTS).fetch_one(&mut *connection).await.unwrap()
    }
}

/// A catalog of some products, which it exports a few at a time.
#[derive(Clone, Debug, Default)]
pub struct FakeCatalog(Arc<State>);

#[derive(Debug, Default)]
struct State {
    products: Mutex<Vec<Exported>>,
    away: AtomicBool,
    /// Called before each page with the number of products that were exported.
    pages: Mutex<usize>,
}

/// Products of one page of the export.
pub const EXPORTED: usize = 3;

impl FakeCatalog {
    /// Replaces the products.
    pub fn sell(&self, products: Vec<Exported>) {
        let mut products = products;
        products.sort_by_key(|exported| exported.product.id);
        *self.0.products.lock().unwrap() = products;
    }

    pub fn stop(&self) {
        self.0.away.store(true, Ordering::SeqCst);
    }

    pub fn resume(&self) {
        self.0.away.store(false, Ordering::SeqCst);
    }

    /// Stops after so many more pages.
    pub fn stop_after(&self, pages: usize) {
        self.resume();
        *self.0.pages.lock().unwrap() = pages;
    }
}

#[async_trait]
impl Catalog for FakeCatalog {
    async fn export(&self, last: Option<ProductId>) -> Result<Vec<Exported>, CatalogUnavailable> {
        if self.0.away.load(Ordering::SeqCst) {
            return Err(CatalogUnavailable("away".into()));
        }
        let mut pages = self.0.pages.lock().unwrap();
        if *pages > 0 {
            *pages -= 1;
            if *pages == 0 {
                self.stop();
            }
        }
        let products = self.0.products.lock().unwrap();
        let after = |exported: &&Exported| last.is_none_or(|last| exported.product.id > last);
        Ok(products.iter().filter(after).take(EXPORTED).cloned().collect())
    }
}

pub fn fresh() -> Uuid {
    SystemIds.next()
}

pub fn product_id() -> ProductId {
    ProductId::new(fresh())
}

/// The time of version `n`.
pub fn time_of(n: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000) + time::Duration::seconds(n)
}

/// A product of version 1.
pub fn named(name: &str) -> Product {
    Product {
        id: product_id(),
        version: 1,
        name: name.into(),
        description: String::new(),
        sku: None,
        price: Money { amount: 1_999, currency: Currency::EUR },
        category: None,
        brand: None,
        supplier: None,
        image_url: None,
        seller: SellerId::HOUSE,
        created_at: time_of(1),
        updated_at: time_of(1),
        stock: 0,
    }
}

/// A product with category, brand and price.
pub fn chair(name: &str, category: &str, brand: &str, amount: i64) -> Product {
    Product {
        category: Some(category.into()),
        brand: Some(brand.into()),
        price: Money { amount, currency: Currency::EUR },
        ..named(name)
    }
}

pub fn stored(product: &Product) -> ProductChange {
    ProductChange::Stored(Box::new(product.clone()))
}

pub fn deleted(product: &Product) -> ProductChange {
    let version = product.version + 1;
    ProductChange::Deleted(Deleted { id: product.id, version, at: time_of(version) })
}

/// Stock of a product in the main warehouse.
pub fn stock(product: ProductId, units: i64, version: i64) -> StockChange {
    StockChange { product, variant: Variant::default(), warehouse: WarehouseId::MAIN, units, version }
}

/// A product as the catalog exports it.
pub fn exported(product: &Product, units: i64) -> Exported {
    Exported { product: product.clone(), stock: vec![stock(product.id, units, 1)] }
}
