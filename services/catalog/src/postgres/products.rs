//! The `Products` port in PostgreSQL. Contains the SQL of the table `product`; the domain validates products.

use agora_outbox::{DedupKey, NewEvent, Outcome, claim_key, emit, store_result};
use agora_postgres::{Tx, constraint};
use agora_vocab::{Money, ProductId, SellerId, WarehouseId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Store;
use crate::{
    domain::{
        Change, CursorKey, Description, Details, Expected, Filter, ImageUrl, Label, Listed, Listing, Name, Price,
        Product, ProductPage, Sku, Sort, Start, StockLevel, StockLocation, Variant,
    },
    ports::{ProductError, Products, StoreError},
};

/// The [`Products`] port in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgProducts(Store);

impl PgProducts {
    /// Creates the port on the shared store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

macro_rules! select {
    () => {
        "select p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, \
         p.category, p.brand, p.supplier, p.image_url, p.created_at, p.updated_at, \
         coalesce((select sum(s.on_hand - s.reserved) from stock s where s.product_id = p.id), 0)::bigint as stock \
         from product p where p.deleted_at is null"
    };
}

/// Separate statements for any category and for one category, because a prepared statement has one plan for all values.
macro_rules! filter {
    (any) => {
        concat!(" and $1::text is null", filter!())
    };
    (one) => {
        concat!(" and p.category = $1", filter!())
    };
    () => {
        " and ($2::text is null or p.name ilike $2 or p.description ilike $2)"
    };
}

/// The statements of a page in one sort order, from an offset or after a key: for any category, and for one.
macro_rules! page {
    ($order:literal) => {
        [page!(any, "", $order), page!(one, "", $order)]
    };
    ($order:literal, $after:literal) => {
        [page!(any, concat!(" and ", $after), $order), page!(one, concat!(" and ", $after), $order)]
    };
    ($category:ident, $after:expr, $order:literal) => {
        concat!(select!(), filter!($category), $after, " order by ", $order, " limit $3 offset $4")
    };
}

macro_rules! count {
    ($category:ident) => {
        concat!("select count(*) from product p where p.deleted_at is null", filter!($category))
    };
}

const FIND: &str = concat!(select!(), " and p.id = $1");
const FIND_FOR_CHANGE: &str = concat!(select!(), " and p.id = $1 for no key update of p");
const FIND_MANY: &str = concat!(select!(), " and p.id = any($1)");
const COUNT: [&str; 2] = [count!(any), count!(one)];

#[async_trait]
impl Products for PgProducts {
    async fn find(&self, id: ProductId) -> Result<Option<Listed>, StoreError> {
        let mut connection = self.0.db.acquire().await?;
        let row: Option<Row> = sqlx::query_as(FIND).bind(id.uuid()).fetch_optional(&mut *connection).await?;
        row.map(Row::into_listed).transpose()
    }

    async fn many(&self, ids: &[ProductId]) -> Result<Vec<Listed>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let mut connection = self.0.db.acquire().await?;
        let rows: Vec<Row> = sqlx::query_as(FIND_MANY).bind(ids).fetch_all(&mut *connection).await?;
        rows.into_iter().map(Row::into_listed).collect()
    }

    async fn page(&self, listing: &Listing) -> Result<ProductPage, StoreError> {
        let Listing { filter: Filter { category, search }, sort, start, limit } = listing;
        let category = category.as_ref().map(Label::as_str);
        let of_one = usize::from(category.is_some());
        let pattern = search.as_ref().map(|search| format!("%{}%", literal(search.as_str())));
        let offset = if let Start::Offset(offset) = start { i64::try_from(*offset).unwrap_or(i64::MAX) } else { 0 };
        let mut connection = self.0.db.acquire().await?;
        let total: Option<i64> = match start {
            Start::Offset(_) => {
                Some(sqlx::query_scalar(COUNT[of_one]).bind(category).bind(&pattern).fetch_one(&mut *connection).await?)
            }
            Start::First | Start::After(_) => None,
        };
        let after = if let Start::After(cursor) = start { Some(cursor) } else { None };
        let one_more = i64::from(limit.get()) + 1;
        let query = sqlx::query_as(page_sql(*sort, after.is_some())[of_one]).bind(category).bind(&pattern);
        let query = query.bind(one_more).bind(offset);
        let query = match after.map(|cursor| (&cursor.key, cursor.id.uuid())) {
            None => query,
            Some((CursorKey::Name(name), id)) => query.bind(name).bind(id),
            Some((CursorKey::Price(amount), id)) => query.bind(amount).bind(id),
            Some((CursorKey::Created(at), id)) => query.bind(at).bind(id),
        };
        let rows: Vec<Row> = query.fetch_all(&mut *connection).await?;
        let items = rows.into_iter().map(Row::into_listed).collect::<Result<_, _>>()?;
        Ok(ProductPage::cut(items, listing, total.and_then(|total| u64::try_from(total).ok())))
    }

    async fn add(&self, product: &Product, units: i64, dedup_key: &DedupKey) -> Result<Outcome<Listed>, ProductError> {
        let mut tx = self.begin().await?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let (created_at, updated_at) = insert(&mut tx, product).await?;
        let product = Product { created_at, updated_at, ..product.clone() };
        self.append_event(&mut tx, &product, &product.created(), product.version, dedup_key).await?;
        if units > 0 {
            self.open_stock(&mut tx, product.id, units, dedup_key).await?;
        }
        self.done(tx, Listed { product, stock: units }, dedup_key).await
    }

    async fn change(
        &self,
        id: ProductId,
        expected: &Expected,
        change: &Change,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, ProductError> {
        let mut tx = self.begin().await?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let Listed { product: now, stock } = find_for_change(&mut tx, id).await?.ok_or(ProductError::NotFound)?;
        expected.check(now.version).map_err(ProductError::Stale)?;
        let details = now.changed(change.clone()).map_err(ProductError::Invalid)?;
        if details == now.details {
            return self.done(tx, Listed { product: now, stock }, dedup_key).await;
        }
        let product = update(&mut tx, Product { details, version: now.version + 1, ..now }).await?;
        self.append_event(&mut tx, &product, &product.updated(), product.version, dedup_key).await?;
        self.done(tx, Listed { product, stock }, dedup_key).await
    }

    async fn remove(
        &self,
        id: ProductId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, ProductError> {
        const REMOVE: &str =
            "update product set deleted_at = now(), updated_at = now(), version = version + 1 where id = $1";
        let mut tx = self.begin().await?;
        if let Some(()) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(()));
        }
        let Listed { product, stock: _ } = find_for_change(&mut tx, id).await?.ok_or(ProductError::NotFound)?;
        expected.check(product.version).map_err(ProductError::Stale)?;
        sqlx::query(REMOVE).bind(id.uuid()).execute(&mut *tx).await.map_err(StoreError::from)?;
        self.append_event(&mut tx, &product, &product.deleted(), product.version + 1, dedup_key).await?;
        self.done(tx, (), dedup_key).await
    }
}

impl PgProducts {
    /// Reads a product within a transaction.
    pub(super) async fn find_in(tx: &mut Tx, id: ProductId) -> Result<Option<Listed>, StoreError> {
        let row: Option<Row> = sqlx::query_as(FIND).bind(id.uuid()).fetch_optional(&mut **tx).await?;
        row.map(Row::into_listed).transpose()
    }

    async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(self.0.db.begin().await?)
    }

    /// Appends an event of the product; its version is the sequence number.
    async fn append_event(
        &self,
        tx: &mut Tx,
        product: &Product,
        event: &agora_events::catalog::ProductEvent,
        seq: i64,
        dedup_key: &DedupKey,
    ) -> Result<(), StoreError> {
        let new_event =
            NewEvent { event, aggregate: product.id.uuid(), seq, correlation: None, causation: dedup_key.causation() };
        Ok(emit(tx, &*self.0.ids, self.0.epoch, new_event).await?)
    }

    async fn open_stock(&self, tx: &mut Tx, id: ProductId, units: i64, dedup_key: &DedupKey) -> Result<(), StoreError> {
        const OPEN: &str = "with opened as (insert into stock (product_id, variant, warehouse_id, on_hand, version) \
            values ($1, '', $2, $3, 1)) \
            insert into stock_movement (product_id, variant, warehouse_id, kind, quantity) \
            values ($1, '', $2, 'receipt', $3)";
        let location = StockLocation { product: id, variant: Variant::default(), warehouse: WarehouseId::MAIN };
        sqlx::query(OPEN).bind(id.uuid()).bind(location.warehouse.uuid()).bind(units).execute(&mut **tx).await?;
        let opened = StockLevel { on_hand: units, version: 1, ..StockLevel::empty(location, 0) };
        self.0.append_events(tx, &[(id.uuid(), opened.changed())], dedup_key).await
    }

    async fn done<T: serde::Serialize + Sync>(
        &self,
        mut tx: Tx,
        answer: T,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<T>, ProductError> {
        store_result(&mut tx, dedup_key, &answer).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Outcome::Applied(answer))
    }
}

/// The statements of a page: for any category, and for one.
const fn page_sql(sort: Sort, after: bool) -> [&'static str; 2] {
    match (sort, after) {
        (Sort::Name, false) => page!("p.name_key, p.id"),
        (Sort::Name, true) => page!("p.name_key, p.id", "(p.name_key, p.id) > ($5, $6)"),
        (Sort::Price, false) => page!("p.price_amount, p.id"),
        (Sort::Price, true) => page!("p.price_amount, p.id", "(p.price_amount, p.id) > ($5, $6)"),
        (Sort::PriceDown, false) => page!("p.price_amount desc, p.id desc"),
        (Sort::PriceDown, true) => page!("p.price_amount desc, p.id desc", "(p.price_amount, p.id) < ($5, $6)"),
        (Sort::Created, false) => page!("p.created_at, p.id"),
        (Sort::Created, true) => page!("p.created_at, p.id", "(p.created_at, p.id) > ($5, $6)"),
        (Sort::CreatedDown, false) => page!("p.created_at desc, p.id desc"),
        (Sort::CreatedDown, true) => page!("p.created_at desc, p.id desc", "(p.created_at, p.id) < ($5, $6)"),
    }
}

/// Escapes the wildcards of `like`.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

async fn find_for_change(tx: &mut Tx, id: ProductId) -> Result<Option<Listed>, StoreError> {
    let row: Option<Row> = sqlx::query_as(FIND_FOR_CHANGE).bind(id.uuid()).fetch_optional(&mut **tx).await?;
    row.map(Row::into_listed).transpose()
}

async fn insert(tx: &mut Tx, product: &Product) -> Result<(OffsetDateTime, OffsetDateTime), ProductError> {
    const INSERT: &str = "insert into product (id, seller_id, version, name, name_key, description, sku, price_amount, \
        price_currency, category, brand, supplier, image_url) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) returning created_at, updated_at";
    let Product { id, seller, version, details, created_at: _, updated_at: _ } = product;
    let Details { name, description, sku, price, category, brand, supplier, image_url } = details;
    sqlx::query_as(INSERT)
        .bind(id.uuid())
        .bind(seller.uuid())
        .bind(version)
        .bind(name.as_str())
        .bind(name.sort_key())
        .bind(description.as_str())
        .bind(sku.as_ref().map(Sku::as_str))
        .bind(price.money().amount)
        .bind(price.money().currency.as_str())
        .bind(category.as_ref().map(Label::as_str))
        .bind(brand.as_ref().map(Label::as_str))
        .bind(supplier.as_ref().map(Label::as_str))
        .bind(image_url.as_ref().map(ImageUrl::as_str))
        .fetch_one(&mut **tx)
        .await
        .map_err(sku_taken)
}

async fn update(tx: &mut Tx, product: Product) -> Result<Product, ProductError> {
    const UPDATE: &str = "update product set version = $2, name = $3, name_key = $4, description = $5, sku = $6, \
        price_amount = $7, category = $8, brand = $9, supplier = $10, image_url = $11, updated_at = now() \
        where id = $1 returning updated_at";
    let Details { name, description, sku, price, category, brand, supplier, image_url } = &product.details;
    let updated_at = sqlx::query_scalar(UPDATE)
        .bind(product.id.uuid())
        .bind(product.version)
        .bind(name.as_str())
        .bind(name.sort_key())
        .bind(description.as_str())
        .bind(sku.as_ref().map(Sku::as_str))
        .bind(price.money().amount)
        .bind(category.as_ref().map(Label::as_str))
        .bind(brand.as_ref().map(Label::as_str))
        .bind(supplier.as_ref().map(Label::as_str))
        .bind(image_url.as_ref().map(ImageUrl::as_str))
        .fetch_one(&mut **tx)
        .await
        .map_err(sku_taken)?;
    Ok(Product { updated_at, ..product })
}

fn sku_taken(error: sqlx::Error) -> ProductError {
    match constraint(&error) {
        Some("product_sku_unique") => ProductError::SkuTaken,
        _ => ProductError::Store(error.into()),
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    seller_id: Uuid,
    version: i64,
    name: String,
    description: String,
    sku: Option<String>,
    price_amount: i64,
    price_currency: String,
    category: Option<String>,
    brand: Option<String>,
    supplier: Option<String>,
    image_url: Option<String>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    stock: i64,
}

impl Row {
    fn into_listed(self) -> Result<Listed, StoreError> {
        let Self {
            id,
            seller_id,
            version,
            name,
            description,
            sku,
            price_amount,
            price_currency,
            category,
            brand,
            supplier,
            image_url,
            created_at,
            updated_at,
            stock,
        } = self;
        let currency =
            price_currency.parse().map_err(|error: agora_vocab::Invalid| StoreError::Broken(error.into()))?;
        let details = Details {
            name: Name::stored(name),
            description: Description::stored(description),
            sku: sku.map(Sku::stored),
            price: Price::stored(Money { amount: price_amount, currency }),
            category: category.map(Label::stored),
            brand: brand.map(Label::stored),
            supplier: supplier.map(Label::stored),
            image_url: image_url.map(ImageUrl::stored),
        };
        let (id, seller) = (ProductId::new(id), SellerId::new(seller_id));
        Ok(Listed { product: Product { id, seller, version, details, created_at, updated_at }, stock })
    }
}
