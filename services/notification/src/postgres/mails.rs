//! The queue of mails: leases, tokens, outcomes.

use std::time::Duration;

use agora_events::{DeadLetterEvent, DeadMail};
use agora_outbox::{NewEvent, NewEvents, write_once};
use agora_postgres::Tx;
use agora_vocab::UserId;
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PgNotifications,
    rows::{DueRow, broken},
};
use crate::{
    domain::{Bucket, MailFailure, MailState, Priority, RateLimits},
    ports::{DueMail, MailQueue, Postponement, StoreError},
};

/// Limits the stored reason: a server's answer may be long.
const REASON_CHARS_MAX: usize = 300;
/// The bucket of all users.
const OVERALL: Uuid = Uuid::nil();

#[async_trait]
impl MailQueue for PgNotifications {
    async fn lease_mails(
        &self,
        priority: Priority,
        limit: u16,
        duration: Duration,
    ) -> Result<Vec<DueMail>, StoreError> {
        const LEASE: &str = include_str!("../../sql/lease_mails.sql");
        let lease = sqlx::query_as(LEASE).bind(priority.as_str()).bind(i64::from(limit)).bind(duration.as_secs_f64());
        let rows: Vec<DueRow> = lease.fetch_all(&mut *self.db.acquire().await?).await?;
        rows.into_iter().map(DueMail::try_from).collect()
    }

    async fn take_tokens(&self, user: UserId, limits: &RateLimits) -> Result<Option<Duration>, StoreError> {
        let mut tx = self.db.begin().await?;
        for (id, bucket) in [(user.uuid(), limits.recipient), (OVERALL, limits.overall)] {
            if !take(&mut tx, id, bucket).await? {
                return Ok(Some(bucket.refill()));
            }
        }
        tx.commit().await?;
        Ok(None)
    }

    async fn end_mail(&self, mail: &DueMail, state: MailState) -> Result<bool, StoreError> {
        const END: &str = include_str!("../../sql/end_mail.sql");
        let end = sqlx::query(END).bind(mail.id.uuid()).bind(mail.attempt.number).bind(state.as_str());
        Ok(end.fetch_optional(&mut *self.db.acquire().await?).await?.is_some())
    }

    async fn postpone_mail(&self, mail: &DueMail, postponement: Postponement<'_>) -> Result<(), StoreError> {
        const POSTPONE: &str = include_str!("../../sql/postpone_mail.sql");
        let Postponement { wait, failure } = postponement;
        sqlx::query(POSTPONE)
            .bind(mail.id.uuid())
            .bind(mail.attempt.number)
            .bind(wait.as_secs_f64())
            .bind(failure.is_some())
            .bind(matches!(failure, Some(MailFailure::Refused(_))))
            .bind(failure.map(reason))
            .execute(&mut *self.db.acquire().await?)
            .await?;
        Ok(())
    }

    async fn give_up_mail(&self, mail: &DueMail, failure: &MailFailure) -> Result<bool, StoreError> {
        const GIVE_UP: &str = include_str!("../../sql/give_up_mail.sql");
        let reason = reason(failure);
        let (id, attempts) = (mail.id.uuid(), mail.attempt.number);
        let event = DeadLetterEvent::DeadMail(DeadMail {
            notification_id: mail.id,
            user_id: mail.user,
            source_id: mail.source,
            attempts,
            reason: reason.clone(),
        });
        // A replayed mail may be given up again: each time is an aggregate of its own.
        let aggregate = self.ids.next();
        let event = NewEvent { event: &event, aggregate, seq: 1, correlation: Some(id), causation: Some(mail.source) };
        let mut events = NewEvents::new();
        events.push(&*self.ids, self.epoch, event)?;
        let give_up = sqlx::query(GIVE_UP).bind(id).bind(attempts).bind(reason).bind(events.rows());
        Ok(write_once(&mut *self.db.acquire().await?, give_up, &events, &[]).await?.is_some())
    }

    async fn waiting_mails(&self) -> Result<u64, StoreError> {
        const COUNT: &str = "select count(*) from mail_queue";
        let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *self.db.acquire().await?).await?;
        u64::try_from(count).map_err(broken)
    }
}

async fn take(tx: &mut Tx, id: Uuid, bucket: Bucket) -> Result<bool, StoreError> {
    const TAKE: &str = include_str!("../../sql/take_token.sql");
    let take = sqlx::query(TAKE).bind(id).bind(bucket.burst).bind(bucket.per_second);
    Ok(take.fetch_optional(&mut **tx).await?.is_some())
}

/// A reason as it can be stored: without control characters, of limited length.
fn reason(failure: &MailFailure) -> String {
    let shown = |char: char| if char.is_control() { ' ' } else { char };
    failure.to_string().chars().take(REASON_CHARS_MAX).map(shown).collect()
}
