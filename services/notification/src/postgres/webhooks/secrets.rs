//! Secrets of endpoints, encrypted: the current one, and those that were replaced in the last 24 hours.

use agora_cipher::Sealed;
use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::Tx;
use async_trait::async_trait;
use uuid::Uuid;

use super::rows::SecretRow;
use crate::{
    domain::webhook::SECRETS_MAX,
    ports::{NewSecret, Rotation, StoreError, StoredSecret, WebhookSecrets},
    postgres::PgNotifications,
};

#[async_trait]
impl WebhookSecrets for PgNotifications {
    async fn rotate(&self, endpoint: Uuid, secret: &NewSecret, dedup_key: &DedupKey) -> Result<Rotation, StoreError> {
        const LOCK: &str = "select id from webhook_endpoint where id = $1 and deleted_at is null for no key update";
        const COUNT: &str = "select count(*) from webhook_secret \
            where endpoint_id = $1 and (expires_at is null or expires_at > now())";
        const REPLACE: &str = "update webhook_secret set expires_at = now() + interval '24 hours' \
            where endpoint_id = $1 and expires_at is null";
        let mut tx = self.db.begin().await?;
        let found: Option<Uuid> = sqlx::query_scalar(LOCK).bind(endpoint).fetch_optional(&mut *tx).await?;
        if found.is_none() {
            return Ok(Rotation::NoEndpoint);
        }
        if claim_key::<Uuid>(&mut tx, dedup_key).await?.is_some() {
            return Ok(Rotation::Done(Outcome::Duplicate(())));
        }
        let valid: i64 = sqlx::query_scalar(COUNT).bind(endpoint).fetch_one(&mut *tx).await?;
        if valid >= SECRETS_MAX {
            return Ok(Rotation::TooMany);
        }
        sqlx::query(REPLACE).bind(endpoint).execute(&mut *tx).await?;
        insert(&mut tx, endpoint, secret).await?;
        store_result(&mut tx, dedup_key, &endpoint).await?;
        tx.commit().await?;
        Ok(Rotation::Done(Outcome::Applied(())))
    }

    async fn current_secret(&self, endpoint: Uuid) -> Result<Option<Sealed>, StoreError> {
        const FIND: &str = "select sealed from webhook_secret where endpoint_id = $1 and expires_at is null";
        let find = sqlx::query_scalar(FIND).bind(endpoint);
        let sealed: Option<Vec<u8>> = find.fetch_optional(&mut *self.db.acquire().await?).await?;
        Ok(sealed.map(Sealed::new))
    }

    async fn secrets_without(&self, prefix: &[u8], limit: u16) -> Result<Vec<StoredSecret>, StoreError> {
        const FIND: &str = "select id, endpoint_id, sealed from webhook_secret \
            where substring(sealed from 1 for length($1::bytea)) <> $1::bytea order by id limit $2";
        let find = sqlx::query_as(FIND).bind(prefix).bind(i64::from(limit));
        let rows: Vec<SecretRow> = find.fetch_all(&mut *self.db.acquire().await?).await?;
        Ok(rows.into_iter().map(StoredSecret::from).collect())
    }

    async fn replace_sealed(&self, stored: &StoredSecret, sealed: &Sealed) -> Result<(), StoreError> {
        const REPLACE: &str = "update webhook_secret set sealed = $3 where id = $1 and sealed = $2";
        let replace = sqlx::query(REPLACE).bind(stored.id).bind(stored.sealed.bytes()).bind(sealed.bytes());
        replace.execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }
}

/// Stores the current secret of an endpoint.
pub(super) async fn insert(tx: &mut Tx, endpoint: Uuid, secret: &NewSecret) -> Result<(), StoreError> {
    const INSERT: &str = "insert into webhook_secret (id, endpoint_id, sealed) values ($1, $2, $3)";
    let NewSecret { id, sealed } = secret;
    sqlx::query(INSERT).bind(id).bind(endpoint).bind(sealed.bytes()).execute(&mut **tx).await?;
    Ok(())
}
