//! The port `Imports` in PostgreSQL: a batch of lines is one transaction of statements about all of its products.

use std::collections::{BTreeMap, BTreeSet};

use agora_outbox::{NewEvent, NewEvents, write_once};
use agora_postgres::{Tx, constraint};
use agora_vocab::{ImportId, ProductId, UserId, Variant, WarehouseId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    PgCatalog, localized, own_prices,
    product_rows::{ProductRow, WrittenRow},
    rows::Row,
};
use crate::{
    domain::{
        IMPORT_FAULTS_MAX, ImportCheckpoint, ImportFault, ImportLine, ImportMatches, ImportPlan, ImportProgress,
        ImportState, ImportTally, Product, Sku, StockLevel, StockLocation, plan_import,
    },
    ports::{ImportRun, Imports, StoreError},
};

/// Time for which a request handles the lines of an import: longer than a request takes.
const LEASE_SECONDS: f64 = 60.0;
/// Attempts of a batch that meets concurrent changes of the same products, terms or stock keeping units.
const ATTEMPTS_MAX: u32 = 3;
/// Days for which an import is kept after its last change.
const KEPT_DAYS: i32 = 7;
const IMPORTS_PER_SWEEP: i64 = 100;

#[async_trait]
impl Imports for PgCatalog {
    async fn begin_import(&self, run: ImportRun, user: UserId) -> Result<Option<ImportCheckpoint>, StoreError> {
        const BEGIN: &str = include_str!("../../sql/begin_import.sql");
        let mut connection = self.db.acquire().await?;
        let begin = sqlx::query_as(BEGIN).bind(run.import.uuid()).bind(user.uuid()).bind(run.runner);
        let started: Option<CheckpointRow> = begin.bind(LEASE_SECONDS).fetch_optional(&mut *connection).await?;
        Ok(started.map(|CheckpointRow { lines, digest, completed }| ImportCheckpoint {
            lines: lines.unsigned_abs(),
            digest,
            complete: completed,
        }))
    }

    async fn import_batch(&self, run: ImportRun, lines: &[ImportLine]) -> Result<Option<usize>, StoreError> {
        let mut attempts = 1;
        loop {
            match self.write_batch(run, lines).await {
                Err(error) if attempts < ATTEMPTS_MAX && is_conflict(&error) => attempts += 1,
                result => return result,
            }
        }
    }

    async fn end_import(&self, run: ImportRun, complete: bool) -> Result<(), StoreError> {
        const END: &str = include_str!("../../sql/end_import.sql");
        let mut connection = self.db.acquire().await?;
        let end = sqlx::query(END).bind(run.import.uuid()).bind(run.runner).bind(complete);
        end.execute(&mut *connection).await?;
        Ok(())
    }

    async fn import_progress(&self, id: ImportId) -> Result<Option<ImportProgress>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_import.sql");
        const FAULTS: &str = include_str!("../../sql/find_import_faults.sql");
        let mut connection = self.db.acquire().await?;
        let found: Option<ImportRow> = sqlx::query_as(FIND).bind(id.uuid()).fetch_optional(&mut *connection).await?;
        let Some(row) = found else { return Ok(None) };
        let faults: Vec<(i64, String)> = sqlx::query_as(FAULTS).bind(id.uuid()).fetch_all(&mut *connection).await?;
        Ok(Some(row.into_progress(faults)))
    }

    async fn sweep_imports(&self) -> Result<u64, StoreError> {
        const DELETE_OLD: &str = include_str!("../../sql/delete_old_imports.sql");
        let mut connection = self.db.acquire().await?;
        let swept = sqlx::query(DELETE_OLD).bind(KEPT_DAYS).bind(IMPORTS_PER_SWEEP).execute(&mut *connection).await?;
        Ok(swept.rows_affected())
    }
}

impl PgCatalog {
    async fn write_batch(&self, run: ImportRun, lines: &[ImportLine]) -> Result<Option<usize>, StoreError> {
        let mut tx = self.db.begin().await?;
        let matches = find_matches(&mut tx, lines).await?;
        let plan = plan_import(lines, &matches, &*self.ids);
        let events = self.write_products(&mut tx, &plan).await?;
        if !record(&mut tx, run, lines, &plan, &events).await? {
            return Ok(None);
        }
        let committed = tx.commit().await;
        let updated: Vec<ProductId> = plan.updated.iter().map(|product| product.id).collect();
        self.drop_cached(&updated).await;
        committed?;
        Ok(Some(plan.lines))
    }

    /// Writes the products of a plan; returns their events.
    async fn write_products(&self, tx: &mut Tx, plan: &ImportPlan) -> Result<NewEvents, StoreError> {
        const INSERT: &str = include_str!("../../sql/insert_products.sql");
        const UPDATE: &str = include_str!("../../sql/update_products.sql");
        let created: Vec<&Product> = plan.created.iter().map(|(product, _)| product).collect();
        let updated: Vec<&Product> = plan.updated.iter().collect();
        let mut events = NewEvents::new();
        for product in write(tx, INSERT, &created).await? {
            events.push(&*self.ids, self.epoch, new_event(&product, &product.created()))?;
        }
        let written = write(tx, UPDATE, &updated).await?;
        let mut own_prices = own_prices::own_prices(tx, &written).await?;
        for product in written {
            let event = product.updated(own_prices.remove(&product.id).unwrap_or_default());
            events.push(&*self.ids, self.epoch, new_event(&product, &event))?;
        }
        let with = |has: fn(&Product) -> bool| -> Vec<&Product> {
            created.iter().copied().filter(|product| has(product)).chain(updated.iter().copied()).collect()
        };
        localized::replace_translations(tx, &with(|product| !product.details.translations.is_empty())).await?;
        localized::replace_prices(tx, &with(|product| !product.details.prices.is_empty())).await?;
        self.open_stocks(tx, plan, &mut events).await?;
        Ok(events)
    }

    /// Inserts the stock of new products.
    async fn open_stocks(&self, tx: &mut Tx, plan: &ImportPlan, events: &mut NewEvents) -> Result<(), StoreError> {
        const OPEN: &str = include_str!("../../sql/open_stocks.sql");
        let (mut ids, mut products, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (product, units) in plan.created.iter().filter(|(_, units)| *units > 0) {
            let location =
                StockLocation { product: product.id, variant: Variant::default(), warehouse: WarehouseId::MAIN };
            let level = StockLevel { on_hand: *units, version: 1, ..StockLevel::empty(self.ids.next(), location, 0) };
            ids.push(level.id);
            products.push(product.id.uuid());
            counts.push(*units);
            let changed = level.changed();
            let event = NewEvent { event: &changed, aggregate: level.id, seq: 1, correlation: None, causation: None };
            events.push(&*self.ids, self.epoch, event)?;
        }
        if !ids.is_empty() {
            let open = sqlx::query(OPEN).bind(ids).bind(products).bind(counts).bind(WarehouseId::MAIN.uuid());
            open.execute(&mut **tx).await?;
        }
        Ok(())
    }
}

fn new_event<'e, E>(product: &Product, event: &'e E) -> NewEvent<'e, E> {
    NewEvent { event, aggregate: product.id.uuid(), seq: product.version, correlation: None, causation: None }
}

/// Locks the products that lines may match.
async fn find_matches(tx: &mut Tx, lines: &[ImportLine]) -> Result<ImportMatches, StoreError> {
    const LOCK: &str = include_str!("../../sql/lock_import_matches.sql");
    const VARIANTS: &str = include_str!("../../sql/find_variant_skus.sql");
    let products = || lines.iter().filter_map(|line| line.product.as_ref().ok());
    let ids: Vec<Uuid> = products().filter_map(|line| line.id).map(ProductId::uuid).collect();
    let skus: Vec<&str> = products().filter_map(|line| line.details.sku.as_ref()).map(Sku::as_str).collect();
    let rows: Vec<MatchRow> = sqlx::query_as(LOCK).bind(ids).bind(&skus).fetch_all(&mut **tx).await?;
    let variants: Vec<String> = sqlx::query_scalar(VARIANTS).bind(&skus).fetch_all(&mut **tx).await?;
    let known = rows.into_iter().map(|MatchRow { row, deleted }| Ok((row.into_listed()?.product, deleted)));
    let known: Vec<(Product, bool)> = known.collect::<Result<_, StoreError>>()?;
    let variants: BTreeSet<Sku> = variants.into_iter().map(Sku::stored).collect();
    Ok(ImportMatches::new(known, variants))
}

/// Inserts or updates products; returns them as the database has them.
async fn write(tx: &mut Tx, statement: &'static str, products: &[&Product]) -> Result<Vec<Product>, StoreError> {
    if products.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<ProductRow> = products.iter().copied().map(ProductRow::of).collect();
    let written: Vec<WrittenRow> = sqlx::query_as(statement).bind(rows).fetch_all(&mut **tx).await?;
    let mut written: BTreeMap<Uuid, WrittenRow> = written.into_iter().map(|row| (row.id, row)).collect();
    let as_written = |product: &&Product| Some(written.remove(&product.id.uuid())?.into_product((*product).clone()));
    Ok(products.iter().filter_map(as_written).collect())
}

/// Records what a plan did, with its events. `false` if another request handles the import now.
async fn record(
    tx: &mut Tx,
    run: ImportRun,
    lines: &[ImportLine],
    plan: &ImportPlan,
    events: &NewEvents,
) -> Result<bool, StoreError> {
    const RECORD: &str = include_str!("../../sql/record_import.sql");
    let ImportTally { created, updated, unchanged, failed } = plan.tally;
    let digest = lines.get(plan.lines.saturating_sub(1)).map(|line| line.digest.as_slice()).unwrap_or_default();
    let numbers: Vec<i64> = plan.faults.iter().map(|fault| signed(fault.line)).collect();
    let reasons: Vec<&str> = plan.faults.iter().map(|fault| fault.reason.as_str()).collect();
    let statement = sqlx::query(RECORD)
        .bind(run.import.uuid())
        .bind(run.runner)
        .bind(signed(plan.tally.lines()))
        .bind(digest)
        .bind(signed(created))
        .bind(signed(updated))
        .bind(signed(unchanged))
        .bind(signed(failed))
        .bind(numbers)
        .bind(reasons)
        .bind(i64::from(IMPORT_FAULTS_MAX))
        .bind(events.rows().unwrap_or_default());
    Ok(write_once(tx, statement, events, &[]).await?.is_some())
}

/// Numbers of lines are far below the limit.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether a concurrent change was faster, so that the batch can be decided again.
fn is_conflict(error: &StoreError) -> bool {
    const SKU: [&str; 2] = ["product_sku_unique", "product_pkey"];
    const DEADLOCK: &str = "40P01";
    let (StoreError::Unavailable(source) | StoreError::Broken(source)) = error else { return false };
    let Some(error) = source.downcast_ref::<sqlx::Error>() else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == DEADLOCK) || constraint(error).is_some_and(|name| SKU.contains(&name))
}

#[derive(sqlx::FromRow)]
struct CheckpointRow {
    lines: i64,
    digest: Vec<u8>,
    completed: bool,
}

/// A product that a line may match.
#[derive(sqlx::FromRow)]
struct MatchRow {
    #[sqlx(flatten)]
    row: Row,
    deleted: bool,
}

#[derive(sqlx::FromRow)]
struct ImportRow {
    lines: i64,
    created: i64,
    updated: i64,
    unchanged: i64,
    failed: i64,
    started_at: OffsetDateTime,
    changed_at: OffsetDateTime,
    completed: bool,
    leased: bool,
}

impl ImportRow {
    fn into_progress(self, faults: Vec<(i64, String)>) -> ImportProgress {
        let Self { lines, created, updated, unchanged, failed, started_at, changed_at, completed, leased } = self;
        let state = match (completed, leased) {
            (true, _) => ImportState::Complete,
            (false, true) => ImportState::Running,
            (false, false) => ImportState::Interrupted,
        };
        let tally = ImportTally {
            created: created.unsigned_abs(),
            updated: updated.unsigned_abs(),
            unchanged: unchanged.unsigned_abs(),
            failed: failed.unsigned_abs(),
        };
        let fault = |(line, reason): (i64, String)| ImportFault { line: line.unsigned_abs(), reason };
        let faults = faults.into_iter().map(fault).collect();
        ImportProgress { state, lines: lines.unsigned_abs(), tally, faults, started_at, changed_at }
    }
}
