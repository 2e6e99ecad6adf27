//! `staff_login` and `staff_identity`.

use agora_postgres::Tx;
use agora_vocab::{Role, Secret, UserId};
use async_trait::async_trait;

use super::{NumberedRow, PgUsers, UserRow, control::end_sessions};
use crate::{
    domain::{BegunStaffLogin, STAFF_LOGIN_LIFETIME, StaffIdentity, Status, Text, TokenDigest, User, revoked},
    ports::{StaffAccounts, UserError},
};

#[async_trait]
impl StaffAccounts for PgUsers {
    async fn begin_login(&self, state: TokenDigest, begun: &BegunStaffLogin) -> Result<(), UserError> {
        const BEGIN: &str = "insert into staff_login (state_digest, nonce, code_verifier, expires_at)
             values ($1, $2, $3, now() + $4::float8 * interval '1 second')";
        sqlx::query(BEGIN)
            .bind(state.0.as_slice())
            .bind(begun.nonce.expose())
            .bind(begun.code_verifier.expose())
            .bind(STAFF_LOGIN_LIFETIME.as_secs_f64())
            .execute(&mut *self.db.acquire().await?)
            .await?;
        Ok(())
    }

    async fn take_login(&self, state: TokenDigest) -> Result<Option<BegunStaffLogin>, UserError> {
        const TAKE: &str = include_str!("../../sql/take_staff_login.sql");
        let row: Option<(String, String, bool)> =
            sqlx::query_as(TAKE).bind(state.0.as_slice()).fetch_optional(&mut *self.db.acquire().await?).await?;
        let open = row.filter(|(_, _, is_open)| *is_open);
        Ok(open.map(|(nonce, code_verifier, _)| BegunStaffLogin {
            nonce: Secret::new(nonce),
            code_verifier: Secret::new(code_verifier),
        }))
    }

    async fn enter(&self, identity: &StaffIdentity, new: UserId) -> Result<Option<User>, UserError> {
        const FIND: &str = include_str!("../../sql/find_staff.sql");
        let mut tx = self.db.begin().await?;
        let found: Option<UserRow> =
            sqlx::query_as(FIND).bind(&identity.issuer).bind(&identity.subject).fetch_optional(&mut *tx).await?;
        let Some(found) = found else { return self.create_staff(tx, identity, new).await.map(Some) };
        let user = User::try_from(found)?;
        if user.status == Status::Blocked {
            return Ok(None);
        }
        if user.roles == identity.roles {
            return Ok(Some(user));
        }
        self.change_staff(tx, user.id, &identity.roles).await.map(Some)
    }

    async fn delete_expired_logins(&self) -> Result<u64, UserError> {
        const DELETE: &str = "delete from staff_login where expires_at < now()";
        Ok(sqlx::query(DELETE).execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }
}

impl PgUsers {
    async fn create_staff(&self, mut tx: Tx, identity: &StaffIdentity, new: UserId) -> Result<User, UserError> {
        const INSERT: &str = include_str!("../../sql/insert_staff.sql");
        const IDENTITY: &str = "insert into staff_identity (issuer, subject, user_id) values ($1, $2, $3)";
        let row: UserRow = sqlx::query_as(INSERT)
            .bind(new.uuid())
            .bind(identity.email.as_str())
            .bind(identity.name.as_ref().map(Text::as_str))
            .bind(names(&identity.roles))
            .fetch_one(&mut *tx)
            .await?;
        let known = sqlx::query(IDENTITY).bind(&identity.issuer).bind(&identity.subject).bind(new.uuid());
        known.execute(&mut *tx).await?;
        let user = User::try_from(row)?;
        self.emit(&mut tx, user.id, 1, &user.registered()).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Replaces the roles by those of the provider: a person who left a group there has no session with its role here.
    async fn change_staff(&self, mut tx: Tx, id: UserId, roles: &[Role]) -> Result<User, UserError> {
        const SET: &str = include_str!("../../sql/set_roles.sql");
        let set = sqlx::query_as(SET).bind(id.uuid()).bind(names(roles));
        let NumberedRow { user: row, event_seq } = set.fetch_one(&mut *tx).await?;
        let user = User::try_from(row)?;
        end_sessions(&mut tx, id, None, "roles").await?;
        self.emit(&mut tx, id, event_seq, &revoked(id, "roles-changed")).await?;
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(user)
    }
}

fn names(roles: &[Role]) -> Vec<&'static str> {
    roles.iter().map(|role| role.as_str()).collect()
}
