//! What all tables hold about a person: read at one moment, and erased in one transaction.

use agora_events::{
    topics,
    user::{Erasure, UserEvent},
};
use agora_outbox::{delete_results, withdraw_events};
use agora_postgres::Tx;
use agora_vocab::{Email, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;

use super::{PgUsers, UserRow, addresses::entries, control::end_sessions, sessions::SessionRow, unreadable};
use crate::{
    domain::{AccountExport, PasswordHash, RequestedEmailChange, RequestedReset, StoredSession},
    ports::{Erased, PersonalData, UserError},
};

#[derive(sqlx::FromRow)]
struct ExportRow {
    #[sqlx(flatten)]
    user: UserRow,
    updated_at: OffsetDateTime,
    exported_at: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct StoredSessionRow {
    #[sqlx(flatten)]
    session: SessionRow,
    ended_at: Option<OffsetDateTime>,
    end_reason: Option<String>,
}

#[derive(sqlx::FromRow)]
#[expect(clippy::struct_field_names, reason = "columns of the table")]
struct ResetRow {
    requested_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    used_at: Option<OffsetDateTime>,
}

/// An account that may be erased.
#[derive(sqlx::FromRow)]
struct AccountRow {
    /// `None` for an erased account.
    email: Option<String>,
    password_hash: String,
    is_admin: bool,
}

impl From<StoredSessionRow> for StoredSession {
    fn from(StoredSessionRow { session, ended_at, end_reason }: StoredSessionRow) -> Self {
        Self { session: session.into(), ended_at, end_reason }
    }
}

impl From<ResetRow> for RequestedReset {
    fn from(ResetRow { requested_at, expires_at, used_at }: ResetRow) -> Self {
        Self { requested_at, expires_at, used_at }
    }
}

#[async_trait]
impl PersonalData for PgUsers {
    async fn export(&self, id: UserId, limit: u32) -> Result<Option<AccountExport>, UserError> {
        const ONE_MOMENT: &str = "set transaction isolation level repeatable read, read only";
        const USER: &str = include_str!("../../sql/export_user.sql");
        const SESSIONS: &str = include_str!("../../sql/export_sessions.sql");
        const RESETS: &str = include_str!("../../sql/export_resets.sql");
        let mut tx = self.db.begin().await?;
        sqlx::query(ONE_MOMENT).execute(&mut *tx).await?;
        let user: Option<ExportRow> = sqlx::query_as(USER).bind(id.uuid()).fetch_optional(&mut *tx).await?;
        let Some(ExportRow { user, updated_at, exported_at }) = user else { return Ok(None) };
        let sessions = sqlx::query_as(SESSIONS).bind(id.uuid()).bind(i64::from(limit) + 1);
        let sessions: Vec<StoredSessionRow> = sessions.fetch_all(&mut *tx).await?;
        let resets = sqlx::query_as(RESETS).bind(id.uuid()).bind(&user.email).bind(i64::from(limit));
        let resets: Vec<ResetRow> = resets.fetch_all(&mut *tx).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Some(AccountExport {
            exported_at,
            user: user.try_into()?,
            updated_at,
            addresses: entries(&mut tx, id).await?,
            has_more_sessions: sessions.len() > shown,
            sessions: sessions.into_iter().take(shown).map(StoredSession::from).collect(),
            email_change: email_change(&mut tx, id).await?,
            password_resets: resets.into_iter().map(RequestedReset::from).collect(),
        }))
    }

    async fn erase(&self, id: UserId, verified: Option<&PasswordHash>) -> Result<Erased, UserError> {
        const LOCK: &str = include_str!("../../sql/lock_account.sql");
        const ERASE: &str = include_str!("../../sql/erase_user.sql");
        let mut tx = self.db.begin().await?;
        // Whatever writes about the user locks this row, too: it is done before, and seen below, or finds an erased account.
        let account: Option<AccountRow> = sqlx::query_as(LOCK).bind(id.uuid()).fetch_optional(&mut *tx).await?;
        let Some(AccountRow { email, password_hash, is_admin }) = account else { return Ok(Erased::Unknown) };
        let Some(email) = email else { return Ok(Erased::Before) };
        if verified.is_some_and(|verified| verified.as_str() != password_hash) {
            return Ok(Erased::PasswordChanged);
        }
        if is_admin && !has_other_admin(&mut tx, id).await? {
            return Ok(Erased::LastAdmin);
        }
        let seq: i64 = sqlx::query_scalar(ERASE).bind(id.uuid()).fetch_one(&mut *tx).await?;
        end_sessions(&mut tx, id, None, "erased").await?;
        delete_rows(&mut tx, id, &email).await?;
        withdraw_events(&mut tx, topics::USER, id.uuid()).await?;
        delete_results(&mut tx, &id.to_string(), id.uuid()).await?;
        self.emit(&mut tx, id, seq, &UserEvent::Erased(Erasure { user_id: id })).await?;
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(Erased::Now)
    }

    async fn is_erased(&self, id: UserId) -> Result<bool, UserError> {
        const IS_ERASED: &str = "select exists (select from users where id = $1 and status = 'erased')";
        let is_erased = sqlx::query_scalar(IS_ERASED).bind(id.uuid());
        Ok(is_erased.fetch_one(&mut *self.db.acquire().await?).await?)
    }
}

/// Whether another active administrator exists. Of two administrators who are erased or demoted at the same time, the second one
/// waits for the first one here, and then finds that no other is left.
pub(super) async fn has_other_admin(tx: &mut Tx, id: UserId) -> Result<bool, UserError> {
    const ONE_AT_A_TIME: &str = "select pg_advisory_xact_lock(hashtextextended('erasure of an administrator', 0))";
    const OTHER: &str = include_str!("../../sql/other_administrator.sql");
    sqlx::query(ONE_AT_A_TIME).execute(&mut **tx).await?;
    Ok(sqlx::query_scalar(OTHER).bind(id.uuid()).fetch_one(&mut **tx).await?)
}

/// Deletes the rows of other tables. Those of sessions stay without address and device: their access tokens are revoked by them.
async fn delete_rows(tx: &mut Tx, id: UserId, email: &str) -> Result<(), UserError> {
    const DEVICES: &str = "update auth_session set ip = null, user_agent = null where user_id = $1";
    const TOKENS: &str = include_str!("../../sql/delete_tokens.sql");
    const ADDRESSES: &str = "delete from addresses where user_id = $1";
    const STAFF: &str = "delete from staff_identity where user_id = $1";
    const RESETS: &str = include_str!("../../sql/delete_resets.sql");
    for delete in [DEVICES, TOKENS, ADDRESSES, STAFF] {
        sqlx::query(delete).bind(id.uuid()).execute(&mut **tx).await?;
    }
    sqlx::query(RESETS).bind(id.uuid()).bind(email).execute(&mut **tx).await?;
    Ok(())
}

async fn email_change(tx: &mut Tx, id: UserId) -> Result<Option<RequestedEmailChange>, UserError> {
    const REQUESTED: &str = "select new_email, requested_at, expires_at from email_change where user_id = $1";
    let row: Option<(String, OffsetDateTime, OffsetDateTime)> =
        sqlx::query_as(REQUESTED).bind(id.uuid()).fetch_optional(&mut **tx).await?;
    let Some((email, requested_at, expires_at)) = row else { return Ok(None) };
    let email = Email::parse_stored(&email).map_err(unreadable)?;
    Ok(Some(RequestedEmailChange { email, requested_at, expires_at }))
}
