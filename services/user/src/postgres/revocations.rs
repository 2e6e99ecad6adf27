//! `blocked_auth`: sessions that ended while access tokens of theirs may be valid.

use std::time::Duration;

use agora_postgres::Db;
use agora_vocab::SessionId;
use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    domain::{REVOCATION_MARGIN, Revocation},
    ports::{Revocations, StoreError},
};

/// Implements the store of revocations.
#[derive(Clone, Debug)]
pub struct PgRevocations {
    db: Db,
    /// How long after its session ended an access token may be accepted, in seconds.
    valid_s: f64,
}

#[derive(sqlx::FromRow)]
struct RevocationRow {
    id: i64,
    auth_session_id: Uuid,
    ends: i64,
}

impl From<RevocationRow> for Revocation {
    fn from(RevocationRow { id, auth_session_id, ends }: RevocationRow) -> Self {
        Self { number: id, session: SessionId::new(auth_session_id), ends }
    }
}

impl PgRevocations {
    /// For access tokens of this lifetime. The database must hold this service's tables.
    pub fn new(db: Db, access_lifetime_s: u32) -> Self {
        let valid = Duration::from_secs(access_lifetime_s.into()) + REVOCATION_MARGIN;
        Self { db, valid_s: valid.as_secs_f64() }
    }
}

#[async_trait]
impl Revocations for PgRevocations {
    async fn unpublished(&self, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        const UNPUBLISHED: &str = include_str!("../../sql/unpublished_revoked.sql");
        let mut connection = self.db.acquire().await?;
        let unpublished = sqlx::query_as(UNPUBLISHED).bind(self.valid_s).bind(i64::from(limit));
        let rows: Vec<RevocationRow> = unpublished.fetch_all(&mut *connection).await?;
        Ok(rows.into_iter().map(Revocation::from).collect())
    }

    async fn page(&self, after: i64, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        const PAGE: &str = include_str!("../../sql/page_of_revoked.sql");
        let mut connection = self.db.acquire().await?;
        let page = sqlx::query_as(PAGE).bind(self.valid_s).bind(after).bind(i64::from(limit));
        let rows: Vec<RevocationRow> = page.fetch_all(&mut *connection).await?;
        Ok(rows.into_iter().map(Revocation::from).collect())
    }

    async fn mark_published(&self, numbers: &[i64]) -> Result<(), StoreError> {
        const MARK: &str = include_str!("../../sql/mark_published.sql");
        sqlx::query(MARK).bind(numbers).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn delete_old(&self, limit: u32) -> Result<u64, StoreError> {
        const DELETE: &str = include_str!("../../sql/delete_old_revoked.sql");
        let delete = sqlx::query(DELETE).bind(self.valid_s).bind(i64::from(limit));
        Ok(delete.execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }
}
