//! Campaigns: users are notified in batches, in the order of their ids; the last one notified is stored with the batch.

use agora_postgres::Tx;
use agora_vocab::{PromotionId, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    PgNotifications,
    notifications::{EVENT_SECONDS_MAX, insert},
    rows::broken,
};
use crate::{
    domain::{Content, Kind, NewNotification, Priority, Promotion},
    ports::{Campaigns, MailPolicy, StoreError},
};

/// Users that one transaction notifies.
const BATCH: i64 = 500;

#[derive(sqlx::FromRow)]
struct CampaignRow {
    promotion_id: Uuid,
    content: Option<String>,
    after_user: Uuid,
    created_at: OffsetDateTime,
}

#[async_trait]
impl Campaigns for PgNotifications {
    async fn start_campaign(&self, promotion: &Promotion, at: OffsetDateTime) -> Result<(), StoreError> {
        const START: &str = include_str!("../../sql/start_campaign.sql");
        let content = serde_json::to_string(&Content::Promotion(promotion.clone())).map_err(broken)?;
        let start = sqlx::query(START).bind(promotion.promotion_id.uuid()).bind(content);
        start.bind(at).bind(EVENT_SECONDS_MAX).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn end_campaign(&self, promotion: PromotionId) -> Result<(), StoreError> {
        const END: &str = include_str!("../../sql/end_campaign.sql");
        sqlx::query(END).bind(promotion.uuid()).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn continue_campaign(&self, policy: MailPolicy) -> Result<Option<u64>, StoreError> {
        const LOCK: &str = include_str!("../../sql/lock_campaign.sql");
        const NEXT: &str = include_str!("../../sql/next_recipients.sql");
        let mut tx = self.db.begin().await?;
        let Some(campaign) = sqlx::query_as::<_, CampaignRow>(LOCK).fetch_optional(&mut *tx).await? else {
            return Ok(None);
        };
        let users: Vec<Uuid> =
            sqlx::query_scalar(NEXT).bind(campaign.after_user).bind(BATCH).fetch_all(&mut *tx).await?;
        let new = campaign.notifications(&users)?;
        let notified = insert(&mut tx, &*self.ids, &new, policy).await?;
        step(&mut tx, &campaign, &users).await?;
        tx.commit().await?;
        Ok(Some(notified))
    }
}

impl CampaignRow {
    fn notifications(&self, users: &[Uuid]) -> Result<Vec<NewNotification>, StoreError> {
        let content: Content = serde_json::from_str(self.content.as_deref().unwrap_or_default()).map_err(broken)?;
        let metadata = serde_json::Map::from_iter([("promotionId".to_owned(), self.promotion_id.to_string().into())]);
        let new = |user: &Uuid| NewNotification {
            source: self.promotion_id,
            user: UserId::new(*user),
            kind: Kind::Promotion,
            priority: Priority::Standard,
            content: content.clone(),
            metadata: metadata.clone(),
            at: self.created_at,
        };
        Ok(users.iter().map(new).collect())
    }
}

/// Stores the last user notified; the campaign ends with a batch that is not full.
async fn step(tx: &mut Tx, campaign: &CampaignRow, users: &[Uuid]) -> Result<(), StoreError> {
    const STEP: &str = "update campaign set after_user = coalesce($2, after_user), recipients = recipients + $3, \
        due_at = case when $4 then due_at end where promotion_id = $1";
    let notified = i64::try_from(users.len()).map_err(broken)?;
    sqlx::query(STEP)
        .bind(campaign.promotion_id)
        .bind(users.last())
        .bind(notified)
        .bind(notified == BATCH)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
