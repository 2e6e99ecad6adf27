//! `addresses`.

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::Connection;
use agora_vocab::{Address, AddressId, Country, UserId};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PgUsers;
use crate::{
    domain::{ADDRESSES_MAX, BookEntry},
    ports::{Addresses, UserError},
};

#[derive(sqlx::FromRow, Serialize, Deserialize)]
struct AddressRow {
    id: Uuid,
    recipient: Option<String>,
    street: String,
    city: String,
    state: Option<String>,
    postal_code: Option<String>,
    country: String,
}

#[async_trait]
impl Addresses for PgUsers {
    async fn list(&self, owner: UserId) -> Result<Vec<BookEntry>, UserError> {
        entries(&mut *self.db.acquire().await?, owner).await
    }

    async fn find(&self, owner: UserId, id: AddressId) -> Result<Option<BookEntry>, UserError> {
        let row: Option<AddressRow> = sqlx::query_as(
            "select id, recipient, street, city, state, postal_code, country
             from addresses where id = $1 and user_id = $2",
        )
        .bind(id.uuid())
        .bind(owner.uuid())
        .fetch_optional(&mut *self.db.acquire().await?)
        .await?;
        Ok(row.map(BookEntry::from))
    }

    async fn add(
        &self,
        owner: UserId,
        entry: &BookEntry,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<BookEntry>, UserError> {
        // Locked, so that of two concurrent requests only one takes the last free entry.
        const LOCK: &str = "select id from users where id = $1 and status <> 'erased' for update";
        let mut tx = self.db.begin().await?;
        if let Some(stored) = claim_key::<AddressRow>(&mut tx, dedup_key).await? {
            return Ok(Outcome::Duplicate(stored.into()));
        }
        let known: Option<Uuid> = sqlx::query_scalar(LOCK).bind(owner.uuid()).fetch_optional(&mut *tx).await?;
        let held: i64 = sqlx::query_scalar("select count(*) from addresses where user_id = $1")
            .bind(owner.uuid())
            .fetch_one(&mut *tx)
            .await?;
        if known.is_none() {
            return Err(UserError::NoOwner);
        }
        if held >= entries_max() {
            return Err(UserError::BookFull);
        }
        let Address { recipient, street, city, state, postal_code, country } = &entry.address;
        let row: AddressRow = sqlx::query_as(
            "insert into addresses (id, user_id, recipient, street, city, state, postal_code, country)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             returning id, recipient, street, city, state, postal_code, country",
        )
        .bind(entry.id.uuid())
        .bind(owner.uuid())
        .bind(recipient.as_deref())
        .bind(street)
        .bind(city)
        .bind(state.as_deref())
        .bind(postal_code.as_deref())
        .bind(country.as_str())
        .fetch_one(&mut *tx)
        .await?;
        store_result(&mut tx, dedup_key, &row).await?;
        tx.commit().await?;
        Ok(Outcome::Applied(row.into()))
    }

    async fn replace(
        &self,
        owner: UserId,
        entry: &BookEntry,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<BookEntry>>, UserError> {
        let mut tx = self.db.begin().await?;
        if let Some(stored) = claim_key::<AddressRow>(&mut tx, dedup_key).await? {
            return Ok(Some(Outcome::Duplicate(stored.into())));
        }
        let Address { recipient, street, city, state, postal_code, country } = &entry.address;
        let row: Option<AddressRow> = sqlx::query_as(
            "update addresses
             set recipient = $3, street = $4, city = $5, state = $6, postal_code = $7, country = $8
             where id = $1 and user_id = $2
             returning id, recipient, street, city, state, postal_code, country",
        )
        .bind(entry.id.uuid())
        .bind(owner.uuid())
        .bind(recipient.as_deref())
        .bind(street)
        .bind(city)
        .bind(state.as_deref())
        .bind(postal_code.as_deref())
        .bind(country.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        store_result(&mut tx, dedup_key, &row).await?;
        tx.commit().await?;
        Ok(Some(Outcome::Applied(row.into())))
    }

    async fn remove(
        &self,
        owner: UserId,
        id: AddressId,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<()>>, UserError> {
        let mut tx = self.db.begin().await?;
        if claim_key::<()>(&mut tx, dedup_key).await?.is_some() {
            return Ok(Some(Outcome::Duplicate(())));
        }
        let removed = sqlx::query("delete from addresses where id = $1 and user_id = $2")
            .bind(id.uuid())
            .bind(owner.uuid())
            .execute(&mut *tx)
            .await?;
        if removed.rows_affected() == 0 {
            return Ok(None);
        }
        store_result(&mut tx, dedup_key, &()).await?;
        tx.commit().await?;
        Ok(Some(Outcome::Applied(())))
    }
}

/// All entries of a user, oldest first.
pub(super) async fn entries(connection: &mut Connection, owner: UserId) -> Result<Vec<BookEntry>, UserError> {
    let rows: Vec<AddressRow> = sqlx::query_as(
        "select id, recipient, street, city, state, postal_code, country
         from addresses where user_id = $1 order by id limit $2",
    )
    .bind(owner.uuid())
    .bind(entries_max())
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(BookEntry::from).collect())
}

fn entries_max() -> i64 {
    i64::try_from(ADDRESSES_MAX).unwrap_or(i64::MAX)
}

impl From<AddressRow> for BookEntry {
    fn from(row: AddressRow) -> Self {
        let AddressRow { id, recipient, street, city, state, postal_code, country } = row;
        let address = Address { recipient, street, city, state, postal_code, country: Country::stored(country) };
        Self { id: AddressId::new(id), address }
    }
}
