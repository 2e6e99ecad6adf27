//! Deliveries: stored once for each event and endpoint, listed, sent again.

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_vocab::{Page, PageSize};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::rows::{DeliveryRow, EventRow};
use crate::{
    domain::webhook::{Delivery, DeliveryState, WebhookEvent},
    ports::{StoreError, WebhookDeliveries},
    postgres::{
        PgNotifications,
        notifications::{END_OF_TIME, place, trace_of},
    },
};

/// Age of an event in days from which it is not delivered: less than deliveries are kept, so that a replay finds them.
const EVENT_DAYS_MAX: i32 = 14;
/// An endpoint may be younger than an event by as many seconds: clocks differ.
const YOUNGER_SECONDS_MAX: f64 = 60.0;

#[async_trait]
impl WebhookDeliveries for PgNotifications {
    async fn store_events(&self, events: &[WebhookEvent]) -> Result<u64, StoreError> {
        const STORE: &str = include_str!("../../../sql/store_webhook_events.sql");
        let rows: Vec<_> = events.iter().map(EventRow::from).collect();
        let store = sqlx::query(STORE).bind(rows).bind(EVENT_DAYS_MAX).bind(YOUNGER_SECONDS_MAX);
        let store = store.bind(events.iter().map(|event| trace_of(event.id)).collect::<Vec<_>>());
        Ok(store.execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }

    async fn store_for(
        &self,
        endpoint: Uuid,
        event: &WebhookEvent,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Uuid>, StoreError> {
        const EVENT: &str =
            "insert into webhook_event (id, kind, body, occurred_at, trace) values ($1, $2, $3, $4, $5)";
        const DELIVERY: &str = "insert into webhook_delivery (endpoint_id, event_id, kind) values ($1, $2, $3)";
        let mut tx = self.db.begin().await?;
        if let Some(id) = claim_key::<Uuid>(&mut tx, dedup_key).await? {
            return Ok(Outcome::Duplicate(id));
        }
        let WebhookEvent { id, kind, at, body } = event;
        let insert = sqlx::query(EVENT).bind(id).bind(kind).bind(body).bind(at).bind(trace_of(*id));
        insert.execute(&mut *tx).await?;
        sqlx::query(DELIVERY).bind(endpoint).bind(id).bind(kind).execute(&mut *tx).await?;
        store_result(&mut tx, dedup_key, id).await?;
        tx.commit().await?;
        Ok(Outcome::Applied(*id))
    }

    async fn deliveries(
        &self,
        endpoint: Uuid,
        state: Option<DeliveryState>,
        before: Option<(OffsetDateTime, Uuid)>,
        size: PageSize,
    ) -> Result<Page<Delivery>, StoreError> {
        const ALL: &str = include_str!("../../../sql/page_of_webhook_deliveries.sql");
        const IN_STATE: &str = include_str!("../../../sql/page_of_webhook_deliveries_in_state.sql");
        let (at, id) = before.unwrap_or((END_OF_TIME, Uuid::max()));
        let query = sqlx::query_as(if state.is_some() { IN_STATE } else { ALL });
        let query = query.bind(endpoint).bind(at).bind(id).bind(i64::from(size.get()) + 1);
        let query = if let Some(state) = state { query.bind(state.as_str()) } else { query };
        let rows: Vec<DeliveryRow> = query.fetch_all(&mut *self.db.acquire().await?).await?;
        let mut items = rows.into_iter().map(Delivery::try_from).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > usize::from(size.get());
        items.truncate(usize::from(size.get()));
        let next = items.last().filter(|_| more).map(|last| place(last.created_at, last.event));
        Ok(Page { items, total: None, next })
    }

    async fn find_delivery(&self, endpoint: Uuid, event: Uuid) -> Result<Option<Delivery>, StoreError> {
        const FIND: &str = include_str!("../../../sql/find_webhook_delivery.sql");
        let find = sqlx::query_as(FIND).bind(endpoint).bind(event);
        let row: Option<DeliveryRow> = find.fetch_optional(&mut *self.db.acquire().await?).await?;
        row.map(Delivery::try_from).transpose()
    }

    async fn redeliver(&self, endpoint: Uuid, event: Uuid) -> Result<(), StoreError> {
        const REDELIVER: &str = include_str!("../../../sql/redeliver_webhook.sql");
        sqlx::query(REDELIVER).bind(endpoint).bind(event).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn redrive(
        &self,
        endpoint: Uuid,
        (from, to): (OffsetDateTime, OffsetDateTime),
        limit: u16,
    ) -> Result<u64, StoreError> {
        const REDRIVE: &str = include_str!("../../../sql/redrive_webhook.sql");
        let redrive = sqlx::query(REDRIVE).bind(endpoint).bind(from).bind(to).bind(i64::from(limit));
        Ok(redrive.execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }
}
