//! `users`.

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::Tx;
use agora_vocab::{Email, UserId};
use async_trait::async_trait;

use super::{NumberedRow, PgUsers, UserRow, control::end_sessions};
use crate::{
    domain::{Credentials, PasswordHash, Phone, PreferencesChange, Profile, Text, User, Username},
    ports::{NewAccount, UserError, Users},
};

#[derive(sqlx::FromRow)]
struct CredentialsRow {
    #[sqlx(flatten)]
    user: UserRow,
    password_hash: String,
}

#[async_trait]
impl Users for PgUsers {
    async fn register(&self, account: &NewAccount, dedup_key: &DedupKey) -> Result<Outcome<User>, UserError> {
        let mut tx = self.db.begin().await?;
        if let Some(stored) = claim_key::<UserRow>(&mut tx, dedup_key).await? {
            return Ok(Outcome::Duplicate(stored.try_into()?));
        }
        let NewAccount { id, email, profile, roles, preferences, hash } = account;
        let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let row: UserRow = sqlx::query_as(
            "insert into users (id, email, username, firstname, lastname, name, phone, roles, password_hash, event_seq,
                 promotions, order_updates, recommendations)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11, $12)
             returning id, email, username, firstname, lastname, name, phone, roles, status,
                 promotions, order_updates, recommendations, created_at, updated_at",
        )
        .bind(id.uuid())
        .bind(email.as_str())
        .bind(profile.username.as_ref().map(Username::as_str))
        .bind(profile.firstname.as_ref().map(Text::as_str))
        .bind(profile.lastname.as_ref().map(Text::as_str))
        .bind(profile.name.as_ref().map(Text::as_str))
        .bind(profile.phone.as_ref().map(Phone::as_str))
        .bind(roles)
        .bind(hash.as_str())
        .bind(preferences.promotions)
        .bind(preferences.order_updates)
        .bind(preferences.recommendations)
        .fetch_one(&mut *tx)
        .await?;
        store_result(&mut tx, dedup_key, &row).await?;
        let user = User::try_from(row)?;
        self.emit(&mut tx, user.id, 1, &user.registered()).await?;
        tx.commit().await?;
        Ok(Outcome::Applied(user))
    }

    async fn find(&self, id: UserId) -> Result<Option<User>, UserError> {
        let row: Option<UserRow> = sqlx::query_as(
            "select id, email, username, firstname, lastname, name, phone, roles, status,
                 promotions, order_updates, recommendations, created_at, updated_at
             from users where id = $1 and status <> 'erased'",
        )
        .bind(id.uuid())
        .fetch_optional(&mut *self.db.acquire().await?)
        .await?;
        row.map(User::try_from).transpose()
    }

    async fn credentials(&self, email: &Email) -> Result<Option<Credentials>, UserError> {
        let row: Option<CredentialsRow> = sqlx::query_as(
            "select id, email, username, firstname, lastname, name, phone, roles, status,
                 promotions, order_updates, recommendations, created_at, updated_at, password_hash
             from users where email = $1 and password_hash <> ''",
        )
        .bind(email.as_str())
        .fetch_optional(&mut *self.db.acquire().await?)
        .await?;
        let Some(CredentialsRow { user, password_hash }) = row else { return Ok(None) };
        Ok(Some(Credentials { user: user.try_into()?, hash: PasswordHash::new(password_hash) }))
    }

    async fn update(
        &self,
        id: UserId,
        change: &Profile,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<User>>, UserError> {
        let mut tx = self.db.begin().await?;
        if let Some(stored) = claim_key::<UserRow>(&mut tx, dedup_key).await? {
            return Ok(Some(Outcome::Duplicate(stored.try_into()?)));
        }
        let Profile { firstname, lastname, username, name, phone } = change;
        let row: Option<NumberedRow> = sqlx::query_as(
            "update users
             set username = coalesce($2, username), firstname = coalesce($3, firstname),
                 lastname = coalesce($4, lastname), name = coalesce($5, name), phone = coalesce($6, phone),
                 updated_at = now(), event_seq = event_seq + 1
             where id = $1 and status <> 'erased'
             returning id, email, username, firstname, lastname, name, phone, roles, status,
                 promotions, order_updates, recommendations, created_at, updated_at, event_seq",
        )
        .bind(id.uuid())
        .bind(username.as_ref().map(Username::as_str))
        .bind(firstname.as_ref().map(Text::as_str))
        .bind(lastname.as_ref().map(Text::as_str))
        .bind(name.as_ref().map(Text::as_str))
        .bind(phone.as_ref().map(Phone::as_str))
        .fetch_optional(&mut *tx)
        .await?;
        self.updated(tx, row, dedup_key).await
    }

    async fn set_preferences(
        &self,
        id: UserId,
        change: PreferencesChange,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<User>>, UserError> {
        const SET: &str = include_str!("../../sql/set_preferences.sql");
        let mut tx = self.db.begin().await?;
        if let Some(stored) = claim_key::<UserRow>(&mut tx, dedup_key).await? {
            return Ok(Some(Outcome::Duplicate(stored.try_into()?)));
        }
        let PreferencesChange { promotions, order_updates, recommendations } = change;
        let set = sqlx::query_as(SET).bind(id.uuid()).bind(promotions).bind(order_updates).bind(recommendations);
        let row: Option<NumberedRow> = set.fetch_optional(&mut *tx).await?;
        self.updated(tx, row, dedup_key).await
    }

    async fn rehash(&self, id: UserId, from: &PasswordHash, to: &PasswordHash) -> Result<(), UserError> {
        sqlx::query("update users set password_hash = $3 where id = $1 and password_hash = $2")
            .bind(id.uuid())
            .bind(from.as_str())
            .bind(to.as_str())
            .execute(&mut *self.db.acquire().await?)
            .await?;
        Ok(())
    }

    async fn make_admin(&self, id: UserId, password: Option<&PasswordHash>) -> Result<(), UserError> {
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "update users
             set roles = case when 'admin' = any (roles) then roles else array_append(roles, 'admin') end,
                 status = 'active', password_hash = coalesce($2, password_hash), updated_at = now()
             where id = $1 and status <> 'erased'",
        )
        .bind(id.uuid())
        .bind(password.map(PasswordHash::as_str))
        .execute(&mut *tx)
        .await?;
        if password.is_some() {
            end_sessions(&mut tx, id, None, "password").await?;
        }
        tx.commit().await?;
        self.sessions_ended.notify_one();
        Ok(())
    }
}

impl PgUsers {
    /// Ends a change of a user: stores its result, appends its event and commits. `None` if there is no such user.
    async fn updated(
        &self,
        mut tx: Tx,
        row: Option<NumberedRow>,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<User>>, UserError> {
        let Some(NumberedRow { user: row, event_seq }) = row else { return Ok(None) };
        store_result(&mut tx, dedup_key, &row).await?;
        let user = User::try_from(row)?;
        self.emit(&mut tx, user.id, event_seq, &user.updated()).await?;
        tx.commit().await?;
        Ok(Some(Outcome::Applied(user)))
    }
}
