//! `auth_session` and `refresh_token`.

use agora_events::user::{Login, UserEvent};
use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::Tx;
use agora_vocab::{SessionId, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PgUsers, UserRow, control::end_sessions};
use crate::{
    domain::{
        Device, REFRESH_GRACE, SESSION_IDLE, SESSION_LIFETIME, STAFF_SESSION_LIFETIME, Session, Status, TokenDigest,
        User,
    },
    ports::{NewSession, Refusal, Rotation, Sessions, UserError},
};

#[derive(sqlx::FromRow)]
struct PresentedRow {
    session_id: Uuid,
    user_id: Uuid,
    /// How long ago the token was used, in seconds.
    used_s_ago: Option<f64>,
    idle: bool,
    ended: bool,
}

#[derive(sqlx::FromRow)]
pub(super) struct SessionRow {
    id: Uuid,
    ip: Option<String>,
    user_agent: Option<String>,
    issued_at: OffsetDateTime,
    used_at: Option<OffsetDateTime>,
    expires_at: OffsetDateTime,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        let SessionRow { id, ip, user_agent, issued_at, used_at, expires_at } = row;
        let device = Device { ip: ip.and_then(|ip| ip.parse().ok()), user_agent };
        Self { id: SessionId::new(id), device, issued_at, used_at, expires_at }
    }
}

#[async_trait]
impl Sessions for PgUsers {
    async fn start(&self, session: &NewSession, dedup_key: &DedupKey) -> Result<Outcome<()>, UserError> {
        const START: &str = include_str!("../../sql/start_session.sql");
        const COUNT: &str =
            "update users set event_seq = event_seq + 1 where id = $1 and email = $2 returning event_seq";
        let mut tx = self.db.begin().await?;
        if claim_key::<()>(&mut tx, dedup_key).await?.is_some() {
            return Ok(Outcome::Duplicate(()));
        }
        let NewSession { id, user, email, token, device } = session;
        // First, so that the account is locked: it may have been erased, or have another address, since the password was right.
        let count = sqlx::query_scalar(COUNT).bind(user.uuid()).bind(email.as_str());
        let seq: i64 = count.fetch_optional(&mut *tx).await?.ok_or(UserError::NoOwner)?;
        let is_staff: bool = sqlx::query_scalar(START)
            .bind(id.uuid())
            .bind(user.uuid())
            .bind(device.ip.map(|ip| ip.to_string()))
            .bind(device.user_agent.as_deref())
            .bind(SESSION_LIFETIME.as_secs_f64())
            .bind(STAFF_SESSION_LIFETIME.as_secs_f64())
            .fetch_one(&mut *tx)
            .await?;
        give(&mut tx, *id, *token).await?;
        let login_method = if is_staff { "oidc" } else { "password" }.to_owned();
        let login = Login { user_id: *user, email: email.to_string(), session_id: *id, login_method };
        self.emit(&mut tx, *user, seq, &UserEvent::Login(login)).await?;
        store_result(&mut tx, dedup_key, &()).await?;
        tx.commit().await?;
        Ok(Outcome::Applied(()))
    }

    async fn rotate(&self, presented: TokenDigest, next: TokenDigest) -> Result<Rotation, UserError> {
        let mut tx = self.db.begin().await?;
        // Both rows are locked: the second of two concurrent requests sees the token as used.
        let row: Option<PresentedRow> = sqlx::query_as(
            "select t.session_id, s.user_id, extract(epoch from now() - t.used_at)::float8 as used_s_ago,
                    t.expires_at <= now() as idle, s.ended_at is not null or s.expires_at <= now() as ended
             from refresh_token t join auth_session s on s.id = t.session_id
             where t.digest = $1
             for update of t, s",
        )
        .bind(presented.0.as_slice())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(Rotation::Refused(Refusal::Unknown)) };
        let session = SessionId::new(row.session_id);
        match refusal(&row) {
            Some(Refusal::Reused) if is_recent(&row) && is_unused(&mut tx, session, next).await? => {
                let user = user_of(&mut tx, row.user_id).await?;
                Ok(match user.status {
                    Status::Active => Rotation::Rotated { session, user: Box::new(user) },
                    Status::Blocked => Rotation::Refused(Refusal::Blocked),
                })
            }
            Some(Refusal::Reused) => {
                end_reused(&mut tx, session).await?;
                tx.commit().await?;
                self.sessions_ended.notify_one();
                Ok(Rotation::Refused(Refusal::Reused))
            }
            Some(refusal) => Ok(Rotation::Refused(refusal)),
            None => exchange(tx, row, presented, next).await,
        }
    }

    async fn end(&self, presented: TokenDigest) -> Result<(), UserError> {
        const END: &str = include_str!("../../sql/end_session_of_token.sql");
        sqlx::query(END).bind(presented.0.as_slice()).execute(&mut *self.db.acquire().await?).await?;
        self.sessions_ended.notify_one();
        Ok(())
    }

    async fn live(&self, id: SessionId, user: UserId) -> Result<Option<User>, UserError> {
        let row: Option<UserRow> = sqlx::query_as(
            "select u.id, u.email, u.username, u.firstname, u.lastname, u.name, u.phone, u.roles, u.status,
                    u.promotions, u.order_updates, u.recommendations, u.created_at, u.updated_at
             from auth_session s join users u on u.id = s.user_id
             where s.id = $1 and u.id = $2 and u.status = 'active' and s.ended_at is null and s.expires_at > now()",
        )
        .bind(id.uuid())
        .bind(user.uuid())
        .fetch_optional(&mut *self.db.acquire().await?)
        .await?;
        row.map(User::try_from).transpose()
    }

    async fn list(&self, user: UserId, limit: u32) -> Result<Vec<Session>, UserError> {
        const LIST: &str = include_str!("../../sql/list_sessions.sql");
        let mut connection = self.db.acquire().await?;
        let list = sqlx::query_as(LIST).bind(user.uuid()).bind(i64::from(limit));
        let rows: Vec<SessionRow> = list.fetch_all(&mut *connection).await?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    async fn end_one(&self, user: UserId, id: SessionId) -> Result<bool, UserError> {
        const END: &str = include_str!("../../sql/end_session.sql");
        let mut connection = self.db.acquire().await?;
        let end = sqlx::query(END).bind(user.uuid()).bind(id.uuid());
        let ended = end.fetch_optional(&mut *connection).await?.is_some();
        self.sessions_ended.notify_one();
        Ok(ended)
    }

    async fn end_all(&self, user: UserId) -> Result<(), UserError> {
        let mut tx = self.db.begin().await?;
        end_sessions(&mut tx, user, None, "user").await?;
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(())
    }

    async fn delete_expired(&self, limit: u32) -> Result<u64, UserError> {
        let done = sqlx::query(
            "delete from auth_session
             where id in (select id from auth_session where expires_at < now() order by expires_at limit $1)",
        )
        .bind(i64::from(limit))
        .execute(&mut *self.db.acquire().await?)
        .await?;
        Ok(done.rows_affected())
    }
}

fn refusal(row: &PresentedRow) -> Option<Refusal> {
    match *row {
        PresentedRow { ended: true, .. } => Some(Refusal::Ended),
        PresentedRow { used_s_ago: Some(_), .. } => Some(Refusal::Reused),
        PresentedRow { idle: true, .. } => Some(Refusal::Idle),
        PresentedRow { .. } => None,
    }
}

/// Whether the token was used so short a time ago that its client may be repeating the request.
fn is_recent(row: &PresentedRow) -> bool {
    row.used_s_ago.is_some_and(|seconds| seconds < REFRESH_GRACE.as_secs_f64())
}

async fn exchange(
    mut tx: Tx,
    row: PresentedRow,
    presented: TokenDigest,
    next: TokenDigest,
) -> Result<Rotation, UserError> {
    let user = user_of(&mut tx, row.user_id).await?;
    if user.status == Status::Blocked {
        return Ok(Rotation::Refused(Refusal::Blocked));
    }
    sqlx::query("update refresh_token set used_at = now() where digest = $1")
        .bind(presented.0.as_slice())
        .execute(&mut *tx)
        .await?;
    let session = SessionId::new(row.session_id);
    give(&mut tx, session, next).await?;
    sqlx::query("update auth_session set used_at = now() where id = $1").bind(row.session_id).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(Rotation::Rotated { session, user: Box::new(user) })
}

async fn user_of(tx: &mut Tx, id: Uuid) -> Result<User, UserError> {
    let user: UserRow = sqlx::query_as(
        "select id, email, username, firstname, lastname, name, phone, roles, status, promotions, order_updates,
             recommendations, created_at, updated_at
         from users where id = $1",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await?;
    User::try_from(user)
}

/// Whether the token is of the session and was not used yet. A statement of its own: it must see what was committed while
/// the one before it waited for its locks.
async fn is_unused(tx: &mut Tx, session: SessionId, token: TokenDigest) -> Result<bool, UserError> {
    let unused = sqlx::query_scalar(
        "select exists (select from refresh_token where digest = $1 and session_id = $2 and used_at is null)",
    )
    .bind(token.0.as_slice())
    .bind(session.uuid())
    .fetch_one(&mut **tx)
    .await?;
    Ok(unused)
}

async fn give(tx: &mut Tx, session: SessionId, token: TokenDigest) -> Result<(), UserError> {
    sqlx::query(
        "insert into refresh_token (digest, session_id, expires_at)
         values ($1, $2, now() + $3::float8 * interval '1 second')",
    )
    .bind(token.0.as_slice())
    .bind(session.uuid())
    .bind(SESSION_IDLE.as_secs_f64())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn end_reused(tx: &mut Tx, session: SessionId) -> Result<(), UserError> {
    const END: &str = include_str!("../../sql/end_session_reused.sql");
    sqlx::query(END).bind(session.uuid()).execute(&mut **tx).await?;
    Ok(())
}
