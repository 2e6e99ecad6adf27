//! A database with the cart's store, and values for tests of it.

use std::{collections::BTreeMap, sync::Arc};

use agora_cart::{
    MIGRATIONS,
    domain::{ProductCopy, QuoteResult, QuotedLine, QuotedVariant, View},
    ports::{CartError, Carts as _, NewLine},
    postgres::PgCarts,
};
use agora_chassis::SystemIds;
use agora_outbox::{DedupKey, Outcome};
use agora_postgres::Db;
use agora_testkit::TestDatabase;
use agora_vocab::{Currency, Epoch, Ids as _, LineId, Money, OrderId, ProductId, Quantity, UserId, Variant};
use uuid::Uuid;

/// The store of carts on a database of its own.
pub struct Database {
    pub carts: PgCarts,
    pub db: Db,
    pub server: TestDatabase,
}

impl Database {
    pub async fn create() -> Self {
        let server = agora_testkit::migrated_postgres(&MIGRATIONS).await;
        let db = Db::for_test(&server.url(), &MIGRATIONS).await;
        Self { carts: PgCarts::new(db.clone(), Arc::new(SystemIds), Epoch::default()), db, server }
    }

    /// Checks that the events of each cart are numbered from 1 without gaps and that the last number is its version.
    pub async fn check_event_numbers(&self) {
        const OFF: &str = "select count(*) from \
            (select aggregate, count(*) as n, max(seq) as last from outbox group by aggregate) f \
            full join cart c on c.id = f.aggregate where n is distinct from last or last is distinct from c.version";
        let mut connection = self.db.acquire().await.unwrap();
        let off: i64 = sqlx::query_scalar(OFF).fetch_one(&mut *connection).await.unwrap();
        assert_eq!(off, 0, "carts whose events do not match their version");
    }

    /// The number that a statement returns.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap()
    }

    pub async fn execute(&self, sql: &'static str) {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
    }
}

pub fn fresh() -> Uuid {
    SystemIds.next()
}

pub fn user() -> UserId {
    UserId::new(fresh())
}

pub fn product() -> ProductId {
    ProductId::new(fresh())
}

pub fn order() -> OrderId {
    OrderId::new(fresh())
}

pub fn command() -> DedupKey {
    DedupKey::Command { id: fresh() }
}

pub fn request(user: UserId, key: &str, body: u8) -> DedupKey {
    DedupKey::Request { scope: user.to_string(), key: key.into(), route: "POST /x".into(), hash: [body; 32] }
}

pub fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

pub fn units(n: i64) -> Quantity {
    Quantity::parse(n).unwrap()
}

pub fn line(product: ProductId, n: i64) -> NewLine {
    NewLine { id: LineId::new(fresh()), product, variant: Variant::default(), quantity: units(n) }
}

pub fn copy(product: ProductId, version: i64) -> ProductCopy {
    let name = format!("Chair {version}");
    ProductCopy {
        product,
        epoch: Epoch(0),
        version,
        name,
        image_url: None,
        price: Some(eur(100 * version)),
        variant_prices: BTreeMap::new(),
        deleted: false,
    }
}

pub fn deleted(product: ProductId, version: i64) -> ProductCopy {
    ProductCopy { name: String::new(), price: None, deleted: true, ..copy(product, version) }
}

pub fn red() -> Variant {
    Variant::parse("red").unwrap()
}

/// A quote of products of version 1 with this stock of each variant: the default one and red.
pub fn quote(products: &[ProductId], stock: i64) -> QuoteResult {
    let variants = BTreeMap::from([(red(), QuotedVariant { stock, price: None })]);
    let quoted = |id: &ProductId| {
        let (copy, variants) = (copy(*id, 1), variants.clone());
        (*id, Some(QuotedLine { copy, price: eur(100), stock: 2 * stock, variants }))
    };
    QuoteResult(products.iter().map(quoted).collect())
}

/// Adds units of a product whose stock suffices.
pub async fn add(carts: &PgCarts, user: UserId, product: ProductId, n: i64) -> View {
    let quote = quote(&[product], 99_999);
    put(carts, user, &line(product, n), &quote, &DedupKey::None).await.unwrap().into_inner()
}

/// Reads the user's cart and adds to it.
pub async fn put(
    carts: &PgCarts,
    user: UserId,
    line: &NewLine,
    quote: &QuoteResult,
    dedup_key: &DedupKey,
) -> Result<Outcome<View>, CartError> {
    carts.add(carts.find(user.into()).await?, line, quote, dedup_key).await
}

/// Returns the cart's version and the units of each line.
pub async fn held(carts: &PgCarts, user: UserId) -> (i64, Vec<u32>) {
    let cart = carts.find(user.into()).await.unwrap().cart;
    (cart.version, cart.lines.iter().map(|line| line.quantity.get()).collect())
}
