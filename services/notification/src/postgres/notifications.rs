//! Notifications: stored once, listed, marked as read, deleted when old.

use agora_chassis::trace;
use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::Connection;
use agora_vocab::{Ids, NotificationId, Page, PageSize, UserId};
use async_trait::async_trait;
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use super::{
    PgNotifications,
    rows::{NewRow, NotificationRow, broken},
};
use crate::{
    domain::{Kind, NewNotification, Notification, Priority},
    ports::{Filter, MailPolicy, Notifications, PageStart, StoreError},
};

/// Age of an event after which its mail is not sent: a replay of old events must not mail.
pub(super) const EVENT_SECONDS_MAX: f64 = 48.0 * 3600.0;
/// Later than every notification.
pub(super) const END_OF_TIME: OffsetDateTime = datetime!(9999-12-31 00:00 UTC);
/// How long notifications and campaigns are kept, in days.
const DAYS_KEPT: i32 = 90;
/// How long a token bucket is kept that is full again, in days.
const BUCKET_DAYS_KEPT: i32 = 2;
/// Rows that one statement deletes at most.
const DELETED_MAX: i64 = 1_000;

#[async_trait]
impl Notifications for PgNotifications {
    async fn store(&self, new: &[NewNotification], policy: MailPolicy) -> Result<u64, StoreError> {
        insert(&mut *self.db.acquire().await?, &*self.ids, new, policy).await
    }

    async fn create(
        &self,
        new: &NewNotification,
        policy: MailPolicy,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Notification>, StoreError> {
        let mut tx = self.db.begin().await?;
        if let Some(id) = claim_key::<Uuid>(&mut tx, dedup_key).await? {
            return Ok(Outcome::Duplicate(find(&mut tx, id).await?));
        }
        insert(&mut tx, &*self.ids, std::slice::from_ref(new), policy).await?;
        let id = new.id().uuid();
        store_result(&mut tx, dedup_key, &id).await?;
        let stored = find(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Outcome::Applied(stored))
    }

    async fn page(&self, filter: &Filter, start: PageStart, size: PageSize) -> Result<Page<Notification>, StoreError> {
        let mut connection = self.db.acquire().await?;
        let rows = page(&mut connection, filter, start, i64::from(size.get()) + 1).await?;
        let mut items = rows.into_iter().map(Notification::try_from).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > usize::from(size.get());
        items.truncate(usize::from(size.get()));
        let total = match (filter.user, start) {
            (Some(user), PageStart::Offset(_)) => Some(count(&mut connection, user, filter).await?),
            _ => None,
        };
        let next = items.last().filter(|_| more).map(|last| place(last.created_at, last.id.uuid()));
        Ok(Page { items, total, next })
    }

    async fn mark_read(&self, user: UserId, id: NotificationId) -> Result<Option<Notification>, StoreError> {
        const MARK: &str = include_str!("../../sql/mark_read.sql");
        let mark = sqlx::query_as(MARK).bind(user.uuid()).bind(id.uuid());
        let row: Option<NotificationRow> = mark.fetch_optional(&mut *self.db.acquire().await?).await?;
        row.map(Notification::try_from).transpose()
    }

    async fn mark_many(
        &self,
        user: UserId,
        priority: Option<Priority>,
        ids: Option<&[NotificationId]>,
    ) -> Result<u64, StoreError> {
        const MARK: &str = include_str!("../../sql/mark_many.sql");
        let ids: Option<Vec<Uuid>> = ids.map(|ids| ids.iter().map(|id| id.uuid()).collect());
        let mark = sqlx::query(MARK).bind(user.uuid()).bind(priority.map(Priority::as_str)).bind(ids);
        Ok(mark.execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }

    async fn mark_opened(&self, tracking: Uuid) -> Result<(), StoreError> {
        const MARK: &str = include_str!("../../sql/mark_opened.sql");
        sqlx::query(MARK).bind(tracking).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        const OLD: [(&str, i32); 4] = [
            (include_str!("../../sql/delete_old_notifications.sql"), DAYS_KEPT),
            (include_str!("../../sql/delete_old_dead_letters.sql"), DAYS_KEPT),
            (include_str!("../../sql/delete_old_campaigns.sql"), DAYS_KEPT),
            (include_str!("../../sql/delete_old_buckets.sql"), BUCKET_DAYS_KEPT),
        ];
        let mut deleted = 0;
        for (sql, days) in OLD {
            let delete = sqlx::query(sql).bind(days).bind(DELETED_MAX);
            deleted += delete.execute(&mut *self.db.acquire().await?).await?.rows_affected();
        }
        Ok(deleted)
    }
}

/// Stores notifications that are not stored, and queues their mails. Returns how many are new.
pub(super) async fn insert(
    connection: &mut Connection,
    ids: &dyn Ids,
    new: &[NewNotification],
    policy: MailPolicy,
) -> Result<u64, StoreError> {
    const STORE: &str = include_str!("../../sql/store_notifications.sql");
    let tracking = || (policy.tracked && policy.enabled).then(|| ids.next());
    let rows = new.iter().map(|new| NewRow::of(new, tracking())).collect::<Result<Vec<_>, _>>()?;
    let store = sqlx::query(STORE).bind(rows).bind(policy.enabled).bind(EVENT_SECONDS_MAX);
    let store = store.bind(new.iter().map(|new| trace_of(new.source)).collect::<Vec<_>>());
    Ok(store.fetch_all(connection).await?.len() as u64)
}

/// The trace of an event that is handled, or of the request.
pub(super) fn trace_of(event: Uuid) -> Option<String> {
    trace::of_event(event).or_else(trace::current)
}

async fn find(connection: &mut Connection, id: Uuid) -> Result<Notification, StoreError> {
    const FIND: &str = "select id, user_id, kind, priority, subject, summary, metadata::text as metadata, read_at, mail, \
        mail_error, sent_at, tracking_id, opened_at, created_at from notification where id = $1";
    let row: NotificationRow = sqlx::query_as(FIND).bind(id).fetch_one(connection).await?;
    row.try_into()
}

async fn page(
    connection: &mut Connection,
    filter: &Filter,
    start: PageStart,
    limit: i64,
) -> Result<Vec<NotificationRow>, StoreError> {
    const OF_USER: &str = include_str!("../../sql/page_of_user.sql");
    const OF_ALL: &str = include_str!("../../sql/page_of_all.sql");
    const SEARCH_ALL: &str = include_str!("../../sql/search_all.sql");
    let (at, id, offset) = match start {
        PageStart::Offset(offset) => (END_OF_TIME, Uuid::max(), i64::try_from(offset).map_err(broken)?),
        PageStart::Before(at, id) => (at, id, 0),
    };
    let Filter { user, kind, priority, read, words } = filter;
    let query = match (user, words) {
        (Some(user), _) => sqlx::query_as(OF_USER).bind(user.uuid()),
        (None, Some(words)) => sqlx::query_as(SEARCH_ALL).bind(words),
        (None, None) => sqlx::query_as(OF_ALL),
    };
    let query = query.bind(at).bind(id).bind(limit).bind(offset);
    let query = query.bind(kind.map(Kind::as_str)).bind(priority.map(Priority::as_str)).bind(read);
    let query = if user.is_some() { query.bind(words) } else { query };
    Ok(query.fetch_all(connection).await?)
}

async fn count(connection: &mut Connection, user: UserId, filter: &Filter) -> Result<u64, StoreError> {
    const COUNT: &str = include_str!("../../sql/count_of_user.sql");
    let Filter { kind, priority, read, words, .. } = filter;
    let count = sqlx::query_scalar(COUNT).bind(user.uuid()).bind(kind.map(Kind::as_str));
    let count = count.bind(priority.map(Priority::as_str)).bind(read).bind(words);
    let found: i64 = count.fetch_one(connection).await?;
    Ok(found.unsigned_abs())
}

/// The place of a row in a list, as text.
pub(super) fn place(at: OffsetDateTime, id: Uuid) -> String {
    format!("{}/{id}", at.unix_timestamp_nanos() / 1_000)
}
