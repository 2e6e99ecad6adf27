//! `password_reset`: requests to set a new password.

use agora_events::user::{PasswordReset, UserEvent};
use agora_vocab::{Email, PasswordResetId, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PgUsers, control::end_sessions};
use crate::{
    domain::{PASSWORD_RESET_LIFETIME, PasswordHash, revoked},
    ports::{PasswordResets, UserError},
};

#[derive(sqlx::FromRow)]
struct RequestRow {
    id: Uuid,
    email: String,
    expires_at: OffsetDateTime,
}

#[async_trait]
impl PasswordResets for PgUsers {
    async fn request(&self, id: PasswordResetId, email: &Email) -> Result<(), UserError> {
        const REQUEST: &str = include_str!("../../sql/request_reset.sql");
        let seconds = PASSWORD_RESET_LIFETIME.as_secs_f64();
        let request = sqlx::query(REQUEST).bind(id.uuid()).bind(email.as_str()).bind(seconds);
        request.execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn announce_next(&self) -> Result<bool, UserError> {
        const NEXT: &str = include_str!("../../sql/next_reset.sql");
        const ANNOUNCE: &str = include_str!("../../sql/announce_reset.sql");
        let mut tx = self.db.begin().await?;
        let row: Option<RequestRow> = sqlx::query_as(NEXT).fetch_optional(&mut *tx).await?;
        let Some(RequestRow { id, email, expires_at }) = row else { return Ok(false) };
        let account: Option<(Uuid, i64)> =
            sqlx::query_as(ANNOUNCE).bind(id).bind(&email).fetch_optional(&mut *tx).await?;
        match account {
            Some((user, seq)) => {
                let (user_id, reset_id) = (UserId::new(user), PasswordResetId::new(id));
                let request = PasswordReset { user_id, email, reset_id, expires_at };
                self.emit(&mut tx, user_id, seq, &UserEvent::PasswordResetRequested(request)).await?;
            }
            None => {
                sqlx::query("delete from password_reset where id = $1").bind(id).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn is_open(&self, id: PasswordResetId) -> Result<bool, UserError> {
        const OPEN: &str = include_str!("../../sql/open_reset.sql");
        Ok(sqlx::query_scalar(OPEN).bind(id.uuid()).fetch_one(&mut *self.db.acquire().await?).await?)
    }

    async fn apply(&self, id: PasswordResetId, hash: &PasswordHash) -> Result<bool, UserError> {
        const USE: &str = include_str!("../../sql/use_reset.sql");
        let mut tx = self.db.begin().await?;
        let reset = sqlx::query_as(USE).bind(id.uuid()).bind(hash.as_str());
        let account: Option<(Uuid, i64)> = reset.fetch_optional(&mut *tx).await?;
        let Some((user, seq)) = account else { return Ok(false) };
        let user = UserId::new(user);
        end_sessions(&mut tx, user, None, "password").await?;
        self.emit(&mut tx, user, seq, &revoked(user, "password-changed")).await?;
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(true)
    }

    async fn delete_old(&self) -> Result<u64, UserError> {
        const DELETE: &str = "delete from password_reset where expires_at < now() - interval '1 day'";
        Ok(sqlx::query(DELETE).execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }
}
