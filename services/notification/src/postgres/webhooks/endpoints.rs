//! Endpoints: few, so that creating one may lock out others that create one.

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::{Connection, Tx};
use async_trait::async_trait;
use uuid::Uuid;

use super::{rows::EndpointRow, secrets};
use crate::{
    domain::webhook::{ENDPOINTS_MAX, Endpoint, EndpointChange, EventTypes, NewEndpoint},
    ports::{NewSecret, StoreError, WebhookEndpoints},
    postgres::PgNotifications,
};

#[async_trait]
impl WebhookEndpoints for PgNotifications {
    async fn create_endpoint(
        &self,
        new: &NewEndpoint,
        secret: &NewSecret,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<Endpoint>>, StoreError> {
        let mut tx = self.db.begin().await?;
        if let Some(id) = claim_key::<Uuid>(&mut tx, dedup_key).await? {
            return Ok(Some(Outcome::Duplicate(created(&mut tx, id).await?)));
        }
        if !has_room(&mut tx).await? {
            return Ok(None);
        }
        insert(&mut tx, new).await?;
        secrets::insert(&mut tx, new.id, secret).await?;
        store_result(&mut tx, dedup_key, &new.id).await?;
        let endpoint = created(&mut tx, new.id).await?;
        tx.commit().await?;
        Ok(Some(Outcome::Applied(endpoint)))
    }

    async fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        const LIST: &str = "select id, url, description, event_types, active, disabled_reason, disabled_at, failing_since, \
            created_at, updated_at from webhook_endpoint where deleted_at is null order by created_at, id";
        let rows: Vec<EndpointRow> = sqlx::query_as(LIST).fetch_all(&mut *self.db.acquire().await?).await?;
        rows.into_iter().map(Endpoint::try_from).collect()
    }

    async fn find_endpoint(&self, id: Uuid) -> Result<Option<Endpoint>, StoreError> {
        find(&mut *self.db.acquire().await?, id).await
    }

    async fn change_endpoint(&self, id: Uuid, change: &EndpointChange) -> Result<Option<Endpoint>, StoreError> {
        const CHANGE: &str = include_str!("../../../sql/change_webhook.sql");
        let EndpointChange { url, description, event_types, active } = change;
        let types = event_types.as_ref().and_then(EventTypes::stored);
        let change = sqlx::query_as(CHANGE).bind(id).bind(url).bind(description).bind(event_types.is_some());
        let change = change.bind(types).bind(active);
        let row: Option<EndpointRow> = change.fetch_optional(&mut *self.db.acquire().await?).await?;
        row.map(Endpoint::try_from).transpose()
    }

    async fn delete_endpoint(&self, id: Uuid) -> Result<bool, StoreError> {
        const DELETE: &str = "update webhook_endpoint set deleted_at = now(), active = false, updated_at = now() \
            where id = $1 and deleted_at is null";
        let mut tx = self.db.begin().await?;
        let deleted = sqlx::query(DELETE).bind(id).execute(&mut *tx).await?.rows_affected() > 0;
        sqlx::query("delete from webhook_secret where endpoint_id = $1").bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(deleted)
    }
}

/// Whether the shop may have another endpoint. Holds off others that create one until the transaction ends.
async fn has_room(tx: &mut Tx) -> Result<bool, StoreError> {
    const LOCK: &str = "lock table webhook_endpoint in share row exclusive mode";
    const COUNT: &str = "select count(*) from webhook_endpoint where deleted_at is null";
    sqlx::query(LOCK).execute(&mut **tx).await?;
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut **tx).await?;
    Ok(count < ENDPOINTS_MAX)
}

async fn insert(tx: &mut Tx, new: &NewEndpoint) -> Result<(), StoreError> {
    const INSERT: &str =
        "insert into webhook_endpoint (id, url, description, event_types, active) values ($1, $2, $3, $4, $5)";
    let NewEndpoint { id, url, description, event_types, active } = new;
    let insert = sqlx::query(INSERT).bind(id).bind(url).bind(description).bind(event_types.stored()).bind(active);
    insert.execute(&mut **tx).await?;
    Ok(())
}

async fn find(connection: &mut Connection, id: Uuid) -> Result<Option<Endpoint>, StoreError> {
    const FIND: &str = "select id, url, description, event_types, active, disabled_reason, disabled_at, failing_since, \
        created_at, updated_at from webhook_endpoint where id = $1 and deleted_at is null";
    let row: Option<EndpointRow> = sqlx::query_as(FIND).bind(id).fetch_optional(connection).await?;
    row.map(Endpoint::try_from).transpose()
}

/// An endpoint that was created, also if it was deleted since.
async fn created(connection: &mut Connection, id: Uuid) -> Result<Endpoint, StoreError> {
    const FIND: &str = "select id, url, description, event_types, active, disabled_reason, disabled_at, failing_since, \
        created_at, updated_at from webhook_endpoint where id = $1";
    let row: EndpointRow = sqlx::query_as(FIND).bind(id).fetch_one(connection).await?;
    row.try_into()
}
