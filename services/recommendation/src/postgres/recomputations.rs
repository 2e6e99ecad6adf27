//! The run over all users: one row, whose lease elects the instance that runs it.

use std::time::Duration;

use agora_postgres::Connection;
use agora_vocab::UserId;
use async_trait::async_trait;
use uuid::Uuid;

use super::{PgRecommendations, interval, rows::RecomputationRow};
use crate::ports::{Progress, Recomputation, Recomputations, StoreError};

/// Duration of the lease: many times what one batch of users takes.
const LEASE: Duration = Duration::from_secs(30);

#[async_trait]
impl Recomputations for PgRecommendations {
    async fn request(&self, every: Duration) -> Result<Recomputation, StoreError> {
        const REQUEST: &str = include_str!("../../sql/request_recomputation.sql");
        let mut connection = self.db.acquire().await?;
        sqlx::query(REQUEST).execute(&mut *connection).await?;
        read(&mut connection, every).await
    }

    async fn recomputation(&self, every: Duration) -> Result<Recomputation, StoreError> {
        read(&mut *self.db.acquire().await?, every).await
    }

    async fn lead(&self, instance: Uuid, every: Duration) -> Result<Option<UserId>, StoreError> {
        const LEAD: &str = include_str!("../../sql/lead_recomputation.sql");
        let mut connection = self.db.acquire().await?;
        let lead = sqlx::query_scalar(LEAD).bind(instance).bind(interval(LEASE)?).bind(interval(every)?);
        let visited: Option<Uuid> = lead.fetch_optional(&mut *connection).await?;
        Ok(visited.map(UserId::new))
    }

    async fn advance(&self, instance: Uuid, progress: Progress) -> Result<bool, StoreError> {
        const ADVANCE: &str = include_str!("../../sql/advance_recomputation.sql");
        let Progress { visited, users, changed } = progress;
        let mut connection = self.db.acquire().await?;
        let advance = sqlx::query(ADVANCE).bind(instance).bind(visited.map(UserId::uuid)).bind(users).bind(changed);
        Ok(advance.fetch_optional(&mut *connection).await?.is_some())
    }

    async fn resign(&self, instance: Uuid) -> Result<(), StoreError> {
        const RESIGN: &str = "update recomputation set lease_until = null where lease_owner = $1";
        let mut connection = self.db.acquire().await?;
        sqlx::query(RESIGN).bind(instance).execute(&mut *connection).await?;
        Ok(())
    }
}

async fn read(connection: &mut Connection, every: Duration) -> Result<Recomputation, StoreError> {
    const READ: &str = include_str!("../../sql/read_recomputation.sql");
    let row: RecomputationRow = sqlx::query_as(READ).bind(interval(every)?).fetch_one(connection).await?;
    Ok(row.into())
}
