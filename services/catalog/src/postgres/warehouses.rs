//! The port `Warehouses` in PostgreSQL.

use agora_outbox::{DedupKey, Outcome, claim_key};
use agora_postgres::{Connection, Tx, constraint};
use agora_vocab::{Page, PageSize, TermId, WarehouseId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PgCatalog, named, terms::find_term};
use crate::{
    domain::{Expected, Label, Priority, Taxonomy, UsedBy, Warehouse, WarehouseChange, WarehouseDetails},
    ports::{NamedError, StoreError, Warehouses},
};

const FIND: &str = include_str!("../../sql/find_warehouse.sql");
const LOCK: &str = include_str!("../../sql/lock_warehouse.sql");

#[async_trait]
impl Warehouses for PgCatalog {
    async fn warehouse(&self, id: WarehouseId) -> Result<Option<Warehouse>, StoreError> {
        read(&mut *self.reads.acquire().await?, FIND, id).await
    }

    async fn warehouses(&self, after: &str, size: PageSize) -> Result<Page<Warehouse>, StoreError> {
        const PAGE: &str = include_str!("../../sql/page_of_warehouses.sql");
        let limit = i64::from(size.get()) + 1;
        let mut connection = self.reads.acquire().await?;
        let rows: Vec<WarehouseRow> = sqlx::query_as(PAGE).bind(after).bind(limit).fetch_all(&mut *connection).await?;
        named::page(rows, size, |row| (row.name_key.clone(), Ok(row.into_warehouse())))
    }

    async fn add_warehouse(
        &self,
        id: WarehouseId,
        details: &WarehouseDetails,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Warehouse>, NamedError> {
        const INSERT: &str = include_str!("../../sql/insert_warehouse.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        write(&mut tx, INSERT, id, details).await?;
        done(tx, id, dedup_key).await
    }

    async fn change_warehouse(
        &self,
        id: WarehouseId,
        expected: &Expected,
        change: &WarehouseChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Warehouse>, NamedError> {
        const UPDATE: &str = include_str!("../../sql/update_warehouse.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let now = read(&mut tx, LOCK, id).await?.ok_or(NamedError::NotFound)?;
        expected.check(now.version).map_err(NamedError::Stale)?;
        let details = now.details.changed(change.clone());
        if details != now.details {
            write(&mut tx, UPDATE, id, &details).await?;
        }
        done(tx, id, dedup_key).await
    }

    async fn remove_warehouse(
        &self,
        id: WarehouseId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, NamedError> {
        const REMOVE: &str = "delete from warehouse where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(()) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(()));
        }
        let now = read(&mut tx, LOCK, id).await?.ok_or(NamedError::NotFound)?;
        expected.check(now.version).map_err(NamedError::Stale)?;
        if id == WarehouseId::MAIN {
            return Err(NamedError::InUse(UsedBy::NewProducts));
        }
        sqlx::query(REMOVE).bind(id.uuid()).execute(&mut *tx).await.map_err(refused)?;
        named::done(tx, (), dedup_key).await
    }
}

/// Runs a statement that reads one warehouse.
async fn read(
    connection: &mut Connection,
    statement: &'static str,
    id: WarehouseId,
) -> Result<Option<Warehouse>, StoreError> {
    let row: Option<WarehouseRow> = sqlx::query_as(statement).bind(id.uuid()).fetch_optional(connection).await?;
    Ok(row.map(WarehouseRow::into_warehouse))
}

/// Runs a statement that writes the details of a warehouse.
async fn write(
    tx: &mut Tx,
    statement: &'static str,
    id: WarehouseId,
    details: &WarehouseDetails,
) -> Result<(), NamedError> {
    let WarehouseDetails { name, priority, location } = details;
    // The foreign key admits any term.
    if let Some(location) = location {
        find_term(tx, Taxonomy::Location, *location).await?.ok_or(NamedError::UnknownLocation)?;
    }
    let write = sqlx::query(statement).bind(id.uuid()).bind(name.as_str()).bind(priority.get());
    write.bind(location.map(TermId::uuid)).execute(&mut **tx).await.map_err(refused)?;
    Ok(())
}

/// Stores the warehouse as it is now as the result, and commits.
async fn done(mut tx: Tx, id: WarehouseId, dedup_key: &DedupKey) -> Result<Outcome<Warehouse>, NamedError> {
    let warehouse = read(&mut tx, FIND, id).await?.ok_or(NamedError::NotFound)?;
    named::done(tx, warehouse, dedup_key).await
}

fn refused(error: sqlx::Error) -> NamedError {
    match constraint(&error) {
        Some("warehouse_name_unique") => NamedError::NameTaken,
        Some("warehouse_location_known") => NamedError::UnknownLocation,
        Some("stock_warehouse_known") => NamedError::InUse(UsedBy::Stock),
        _ => NamedError::Store(error.into()),
    }
}

#[derive(sqlx::FromRow)]
struct WarehouseRow {
    id: Uuid,
    version: i64,
    name: String,
    name_key: String,
    priority: i32,
    location_id: Option<Uuid>,
    location_name: Option<String>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl WarehouseRow {
    fn into_warehouse(self) -> Warehouse {
        let Self { id, version, name, name_key: _, priority, location_id, location_name, created_at, updated_at } =
            self;
        let details = WarehouseDetails {
            name: Label::stored(name),
            priority: Priority::stored(priority),
            location: location_id.map(TermId::new),
        };
        let location_name = location_name.map(Label::stored);
        Warehouse { id: WarehouseId::new(id), version, details, location_name, created_at, updated_at }
    }
}
