//! The port `Promotions` in PostgreSQL.

use agora_outbox::{NewEvent, emit};
use agora_postgres::Tx;
use agora_vocab::PromotionId;
use async_trait::async_trait;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::{PgCatalog, rows::Row};
use crate::{
    domain::{Campaign, Listed, PROMOTED_MAX, Product, promotion_ended},
    ports::{Promotions, StoreError},
};

/// Products that are searched for some in stock.
const CONSIDERED_MAX: i64 = 1_000;

#[async_trait]
impl Promotions for PgCatalog {
    async fn start_promotion(&self, id: PromotionId, campaign: &Campaign) -> Result<usize, StoreError> {
        const LEAD: &str = include_str!("../../sql/lead_promotion.sql");
        const ADVANCE: &str = include_str!("../../sql/advance_promotion.sql");
        let mut tx = self.db.begin().await?;
        let due: Option<(Uuid, Option<Uuid>)> = sqlx::query_as(LEAD).fetch_optional(&mut *tx).await?;
        let Some((last, present)) = due else { return Ok(0) };
        let mut products = find_promoted(&mut tx, last).await?;
        if products.is_empty() && !last.is_nil() {
            // The catalog has been promoted to its end: from its beginning.
            products = find_promoted(&mut tx, Uuid::nil()).await?;
        }
        if let Some(present) = present {
            self.append_promotion_event(&mut tx, present, &promotion_ended(PromotionId::new(present)), 2).await?;
        }
        if !products.is_empty() {
            self.append_promotion_event(&mut tx, id.uuid(), &campaign.started(id, &products), 1).await?;
        }
        let last = products.last().map_or(Uuid::nil(), |product| product.id.uuid());
        let every = PgInterval::try_from(campaign.every).map_err(StoreError::Broken)?;
        let present = (!products.is_empty()).then_some(id.uuid());
        sqlx::query(ADVANCE).bind(every).bind(last).bind(present).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(products.len())
    }
}

impl PgCatalog {
    async fn append_promotion_event(
        &self,
        tx: &mut Tx,
        id: Uuid,
        event: &agora_events::promotional::PromotionalEvent,
        seq: i64,
    ) -> Result<(), StoreError> {
        let new_event = NewEvent { event, aggregate: id, seq, correlation: None, causation: None };
        Ok(emit(tx, &*self.ids, self.epoch, new_event).await?)
    }
}

async fn find_promoted(tx: &mut Tx, after: Uuid) -> Result<Vec<Product>, StoreError> {
    const FIND: &str = include_str!("../../sql/find_promoted.sql");
    let find = sqlx::query_as(FIND).bind(after).bind(i64::from(PROMOTED_MAX)).bind(CONSIDERED_MAX);
    let rows: Vec<Row> = find.fetch_all(&mut **tx).await?;
    let product = |row: Row| row.into_listed().map(|Listed { product, stock: _ }| product);
    rows.into_iter().map(product).collect()
}
