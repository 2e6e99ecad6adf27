//! `email_change`: requests to change the e-mail address. Locks the account first, then its sessions, then its request.

use agora_events::user::{EmailChange, EmailChangeRequest, UserEvent};
use agora_vocab::{EmailChangeId, SessionId, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{NumberedRow, PgUsers, control::end_sessions};
use crate::{
    domain::{EMAIL_CHANGE_LIFETIME, User},
    ports::{EmailChanges, NewEmailChange, UserError},
};

#[derive(sqlx::FromRow)]
struct RequestedRow {
    email: String,
    event_seq: i64,
    expires_at: OffsetDateTime,
}

#[async_trait]
impl EmailChanges for PgUsers {
    async fn request(&self, change: &NewEmailChange) -> Result<bool, UserError> {
        const REQUEST: &str = include_str!("../../sql/request_email_change.sql");
        let NewEmailChange { id, user, verified, email: new, session } = change;
        let mut tx = self.db.begin().await?;
        let request = sqlx::query_as(REQUEST).bind(user.uuid()).bind(verified.as_str()).bind(id.uuid());
        let request = request.bind(new.as_str()).bind(session.uuid()).bind(EMAIL_CHANGE_LIFETIME.as_secs_f64());
        let row: Option<RequestedRow> = request.fetch_optional(&mut *tx).await?;
        let Some(RequestedRow { email, event_seq, expires_at }) = row else { return Ok(false) };
        let new_email = new.to_string();
        let requested = EmailChangeRequest { user_id: *user, email, new_email, change_id: *id, expires_at };
        self.emit(&mut tx, *user, event_seq, &UserEvent::EmailChangeRequested(requested)).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn apply(&self, id: EmailChangeId) -> Result<bool, UserError> {
        const LOCK: &str = include_str!("../../sql/lock_email_change.sql");
        // A statement of its own: it sees what another call did while the account was locked.
        const READ: &str =
            "select new_email, auth_session_id from email_change where id = $1 and user_id = $2 and expires_at > now()";
        const CHANGE: &str = include_str!("../../sql/change_email.sql");
        let mut tx = self.db.begin().await?;
        let account: Option<(Uuid, String)> = sqlx::query_as(LOCK).bind(id.uuid()).fetch_optional(&mut *tx).await?;
        let Some((user, previous_email)) = account else { return Ok(false) };
        let request: Option<(String, Uuid)> =
            sqlx::query_as(READ).bind(id.uuid()).bind(user).fetch_optional(&mut *tx).await?;
        let Some((email, session)) = request else { return Ok(false) };
        let changed: NumberedRow = sqlx::query_as(CHANGE).bind(user).bind(&email).fetch_one(&mut *tx).await?;
        let NumberedRow { user: row, event_seq } = changed;
        let (user_id, user) = (UserId::new(user), User::try_from(row)?);
        // Deletes the request, too.
        end_sessions(&mut tx, user_id, Some(SessionId::new(session)), "email").await?;
        let change = UserEvent::EmailChanged(EmailChange { user_id, previous_email, email });
        self.emit(&mut tx, user_id, event_seq - 1, &change).await?;
        self.emit(&mut tx, user_id, event_seq, &user.updated()).await?;
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(true)
    }

    async fn delete_expired(&self) -> Result<u64, UserError> {
        const DELETE: &str = "delete from email_change where expires_at < now()";
        Ok(sqlx::query(DELETE).execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }
}
