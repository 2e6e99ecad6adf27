//! Recipients: the newest event of a user wins.

use agora_vocab::UserId;
use async_trait::async_trait;
use uuid::Uuid;

use super::{PgNotifications, rows::RecipientRow};
use crate::{
    domain::{Preferences, Recipient, RecipientChange, Revision},
    ports::{Recipients, StoreError},
};

/// A change to store: the composite type `recipient_change`.
#[derive(sqlx::Encode)]
struct ChangeRow<'a> {
    user_id: Uuid,
    email: &'a str,
    epoch: i64,
    seq: i64,
    has_profile: bool,
    name: Option<&'a str>,
    promotions: Option<bool>,
    order_updates: Option<bool>,
    recommendations: Option<bool>,
}

agora_postgres::composite!(ChangeRow<'_>, "recipient_change");

impl<'a> From<&'a RecipientChange> for ChangeRow<'a> {
    fn from(change: &'a RecipientChange) -> Self {
        let RecipientChange { user, revision, email, profile } = change;
        let flag = |flag: fn(&Preferences) -> bool| profile.as_ref().map(|(_, preferences)| flag(preferences));
        Self {
            user_id: user.uuid(),
            email,
            epoch: revision.epoch,
            seq: revision.number,
            has_profile: profile.is_some(),
            name: profile.as_ref().and_then(|(name, _)| name.as_deref()),
            promotions: flag(|preferences| preferences.promotions),
            order_updates: flag(|preferences| preferences.order_updates),
            recommendations: flag(|preferences| preferences.recommendations),
        }
    }
}

#[async_trait]
impl Recipients for PgNotifications {
    async fn store_recipients(&self, changes: &[RecipientChange]) -> Result<(), StoreError> {
        const STORE: &str = include_str!("../../sql/store_recipients.sql");
        let rows: Vec<_> = changes.iter().map(ChangeRow::from).collect();
        sqlx::query(STORE).bind(rows).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn erase_recipients(&self, erased: &[(UserId, Revision)]) -> Result<(), StoreError> {
        const ERASE: &str = include_str!("../../sql/erase_recipients.sql");
        const MAILS: &str = include_str!("../../sql/delete_mails_of_users.sql");
        const NOTIFICATIONS: &str = include_str!("../../sql/delete_notifications_of_users.sql");
        const BUCKETS: &str = "delete from mail_bucket where bucket_id = any ($1)";
        let users: Vec<Uuid> = erased.iter().map(|(user, _)| user.uuid()).collect();
        let epochs: Vec<i64> = erased.iter().map(|(_, revision)| revision.epoch).collect();
        let numbers: Vec<i64> = erased.iter().map(|(_, revision)| revision.number).collect();
        let mut tx = self.db.begin().await?;
        let erase = sqlx::query_scalar(ERASE).bind(users).bind(epochs).bind(numbers);
        let users: Vec<Uuid> = erase.fetch_all(&mut *tx).await?;
        // The queue first, as where a mail is ended.
        for delete in [MAILS, NOTIFICATIONS, BUCKETS] {
            sqlx::query(delete).bind(&users).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn find_recipient(&self, user: UserId) -> Result<Option<Recipient>, StoreError> {
        const FIND: &str = "select email, name, promotions, order_updates, recommendations
            from recipient where user_id = $1 and email is not null";
        let find = sqlx::query_as(FIND).bind(user.uuid());
        let row: Option<RecipientRow> = find.fetch_optional(&mut *self.db.acquire().await?).await?;
        Ok(row.map(Recipient::from))
    }
}
