//! Pages of accounts, their status, and changed passwords; each change ends sessions in the same transaction.

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::Tx;
use agora_vocab::{Page, Role, SessionId, UserId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{NumberedRow, PgUsers, UserRow, personal_data::has_other_admin};
use crate::{
    domain::{PasswordHash, Status, User, revoked},
    ports::{AccountControl, Listing, UserError},
};

#[async_trait]
impl AccountControl for PgUsers {
    async fn page(&self, Listing { size, before, status }: &Listing) -> Result<Page<User>, UserError> {
        const PAGE: &str = include_str!("../../sql/page_of_users.sql");
        let rows: Vec<UserRow> = sqlx::query_as(PAGE)
            .bind(before.map_or(Uuid::max(), UserId::uuid))
            .bind(status.map(Status::as_str))
            .bind(i64::from(size.get()) + 1)
            .fetch_all(&mut *self.db.acquire().await?)
            .await?;
        let more = rows.len() > usize::from(size.get());
        let items = rows.into_iter().take(size.get().into()).map(User::try_from).collect::<Result<Vec<_>, _>>()?;
        let next = items.last().filter(|_| more).map(|user| user.id.to_string());
        Ok(Page { items, total: None, next })
    }

    async fn many(&self, ids: &[UserId]) -> Result<Vec<User>, UserError> {
        const FIND: &str = include_str!("../../sql/users_by_id.sql");
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let rows: Vec<UserRow> = sqlx::query_as(FIND).bind(ids).fetch_all(&mut *self.db.acquire().await?).await?;
        rows.into_iter().map(User::try_from).collect()
    }

    async fn set_status(
        &self,
        id: UserId,
        status: Status,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<User>>, UserError> {
        const SET: &str = include_str!("../../sql/set_status.sql");
        let mut tx = self.db.begin().await?;
        if let Some(stored) = claim_key::<UserRow>(&mut tx, dedup_key).await? {
            return Ok(Some(Outcome::Duplicate(stored.try_into()?)));
        }
        let blocked = status == Status::Blocked;
        let set = sqlx::query_as(SET).bind(id.uuid()).bind(status.as_str()).bind(if blocked { 2_i64 } else { 1 });
        let row: Option<NumberedRow> = set.fetch_optional(&mut *tx).await?;
        let Some(NumberedRow { user: row, event_seq }) = row else { return Ok(None) };
        store_result(&mut tx, dedup_key, &row).await?;
        let user = User::try_from(row)?;
        if blocked {
            end_sessions(&mut tx, id, None, "blocked").await?;
            self.emit(&mut tx, id, event_seq - 1, &user.updated()).await?;
            self.emit(&mut tx, id, event_seq, &revoked(id, "blocked")).await?;
        } else {
            self.emit(&mut tx, id, event_seq, &user.updated()).await?;
        }
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(Some(Outcome::Applied(user)))
    }

    async fn set_roles(
        &self,
        id: UserId,
        roles: &[Role],
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<User>>, UserError> {
        const IS_ADMIN: &str =
            "select 'admin' = any (roles) from users where id = $1 and status <> 'erased' for update";
        const SET: &str = include_str!("../../sql/set_roles.sql");
        let mut tx = self.db.begin().await?;
        if let Some(stored) = claim_key::<UserRow>(&mut tx, dedup_key).await? {
            return Ok(Some(Outcome::Duplicate(stored.try_into()?)));
        }
        let is_admin: Option<bool> = sqlx::query_scalar(IS_ADMIN).bind(id.uuid()).fetch_optional(&mut *tx).await?;
        let Some(is_admin) = is_admin else { return Ok(None) };
        if is_admin && !roles.contains(&Role::Admin) && !has_other_admin(&mut tx, id).await? {
            return Err(UserError::LastAdmin);
        }
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let set = sqlx::query_as(SET).bind(id.uuid()).bind(names);
        let NumberedRow { user: row, event_seq } = set.fetch_one(&mut *tx).await?;
        store_result(&mut tx, dedup_key, &row).await?;
        end_sessions(&mut tx, id, None, "roles").await?;
        self.emit(&mut tx, id, event_seq, &revoked(id, "roles-changed")).await?;
        let user = User::try_from(row)?;
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(Some(Outcome::Applied(user)))
    }

    async fn set_password(
        &self,
        id: UserId,
        from: &PasswordHash,
        to: &PasswordHash,
        keep: SessionId,
    ) -> Result<bool, UserError> {
        const SET: &str = include_str!("../../sql/set_password.sql");
        let mut tx = self.db.begin().await?;
        let set = sqlx::query_scalar(SET).bind(id.uuid()).bind(from.as_str()).bind(to.as_str());
        let event_seq: Option<i64> = set.fetch_optional(&mut *tx).await?;
        let Some(event_seq) = event_seq else { return Ok(false) };
        end_sessions(&mut tx, id, Some(keep), "password").await?;
        self.emit(&mut tx, id, event_seq, &revoked(id, "password-changed")).await?;
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(true)
    }
}

/// Ends the sessions of a user but `keep`.
pub(super) async fn end_sessions(
    tx: &mut Tx,
    user: UserId,
    keep: Option<SessionId>,
    reason: &'static str,
) -> Result<(), UserError> {
    const END: &str = include_str!("../../sql/end_sessions.sql");
    let end = sqlx::query(END).bind(user.uuid()).bind(keep.map(SessionId::uuid)).bind(reason);
    end.execute(&mut **tx).await?;
    Ok(())
}
