//! The port `Rebuilds` in PostgreSQL: generations of the index.

use agora_vocab::ProductId;
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::PgIndex;
use crate::{
    domain::Progress,
    ports::{Build, Rebuilds, StoreError},
};

/// Seconds that a builder has the build after each step; a step takes less than two.
const LEASE_SECONDS: f64 = 30.0;

#[async_trait]
impl Rebuilds for PgIndex {
    async fn begin(&self) -> Result<(), StoreError> {
        const BEGIN: &str = include_str!("../../sql/begin_rebuild.sql");
        let mut connection = self.db.acquire().await?;
        sqlx::query(BEGIN).execute(&mut *connection).await?;
        Ok(())
    }

    async fn lease(&self, builder: Uuid) -> Result<Option<Build>, StoreError> {
        const LEASE: &str = include_str!("../../sql/lease_rebuild.sql");
        let mut connection = self.db.acquire().await?;
        let lease = sqlx::query_as(LEASE).bind(builder).bind(LEASE_SECONDS);
        let leased: Option<(i32, Option<Uuid>)> = lease.fetch_optional(&mut *connection).await?;
        Ok(leased.map(|(generation, last)| Build { generation, last: last.map(ProductId::new) }))
    }

    async fn save(&self, build: Build, builder: Uuid, count: usize, last: ProductId) -> Result<bool, StoreError> {
        const SAVE: &str = include_str!("../../sql/save_progress.sql");
        let mut connection = self.db.acquire().await?;
        let saved = sqlx::query(SAVE)
            .bind(build.generation)
            .bind(builder)
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .bind(last.uuid())
            .bind(LEASE_SECONDS)
            .execute(&mut *connection)
            .await?;
        Ok(saved.rows_affected() == 1)
    }

    async fn finish(&self, build: Build, builder: Uuid) -> Result<bool, StoreError> {
        const CARRY_TOMBSTONES: &str = include_str!("../../sql/carry_tombstones.sql");
        const FINISH: &str = include_str!("../../sql/finish_rebuild.sql");
        let mut connection = self.db.acquire().await?;
        sqlx::query(CARRY_TOMBSTONES).bind(build.generation).execute(&mut *connection).await?;
        let finished = sqlx::query(FINISH).bind(build.generation).bind(builder).execute(&mut *connection).await?;
        Ok(finished.rows_affected() == 1)
    }

    async fn progress(&self) -> Result<Progress, StoreError> {
        const READ: &str = include_str!("../../sql/read_progress.sql");
        let mut connection = self.db.acquire().await?;
        let row: ProgressRow = sqlx::query_as(READ).fetch_one(&mut *connection).await?;
        Ok(row.into())
    }
}

#[derive(sqlx::FromRow)]
struct ProgressRow {
    number: i32,
    is_building: bool,
    started_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    built_at: Option<OffsetDateTime>,
    products: i64,
    live_products: i64,
    is_live_built: bool,
}

impl From<ProgressRow> for Progress {
    fn from(row: ProgressRow) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Self {
            generation: row.number,
            is_building: row.is_building,
            is_complete: row.is_live_built,
            products: count(row.products),
            expected: count(row.live_products),
            started_at: row.started_at,
            updated_at: row.updated_at,
            completed_at: row.built_at,
        }
    }
}
