//! Carts of guests: their creation, their end, and their merge into a user's cart. The domain decides what is merged.

use agora_outbox::{DedupKey, DedupRecord, NewEvents, Outcome, find_result, write_once};
use agora_postgres::Connection;
use async_trait::async_trait;
use sqlx::types::Json;

use super::{
    ATTEMPTS_MAX, PgCarts,
    carts::{self, GUEST_CART_DAYS},
};
use crate::{
    domain::{Cart, Contents, QuoteResult, View},
    ports::{CartError, GuestCarts, NewGuestCart, StoreError},
};

const ROWS_PER_SWEEP: i64 = 1_000;

#[async_trait]
impl GuestCarts for PgCarts {
    async fn create_guest_cart(
        &self,
        new: &NewGuestCart,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<NewGuestCart>, StoreError> {
        const CREATE: &str = "with created as (insert into guest_cart (id, token_hash) select $1, $2 \
            where $3::dedup_record is null or dedup_is_new($3) returning id) select dedup_complete($3) from created";
        let mut connection = self.db.acquire().await?;
        let create =
            sqlx::query(CREATE).bind(new.id.uuid()).bind(new.token.0.to_vec()).bind(DedupRecord::of(dedup_key, new)?);
        if write_once(&mut connection, create, &NewEvents::new(), &[]).await?.is_some() {
            return Ok(Outcome::Applied(*new));
        }
        // Nothing was written: the request is a duplicate.
        find_result(&mut connection, dedup_key).await?.map(Outcome::Duplicate).ok_or(StoreError::Running)
    }

    async fn created_guest_cart(&self, dedup_key: &DedupKey) -> Result<Option<NewGuestCart>, StoreError> {
        let mut connection = self.db.acquire().await?;
        Ok(find_result(&mut connection, dedup_key).await?)
    }

    async fn merge(
        &self,
        found: Contents,
        guest: &Contents,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<View>>, CartError> {
        let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
        let (owner, mut contents) = (found.cart.owner, found);
        for _ in 0..ATTEMPTS_MAX {
            let (cart, view) = contents.merge(guest.clone(), quote);
            if self.save_merge(&mut connection, &cart, &guest.cart, (&view, dedup_key)).await? {
                return Ok(Some(Outcome::Applied(view)));
            }
            // Nothing was written: the request may be a duplicate.
            if let Some(stored) = find_result(&mut connection, dedup_key).await.map_err(StoreError::from)? {
                return Ok(Some(Outcome::Duplicate(stored)));
            }
            if !is_unchanged(&mut connection, &guest.cart).await? {
                return Ok(None);
            }
            contents = carts::find_of(&mut connection, owner).await?;
        }
        Err(StoreError::Running.into())
    }

    async fn sweep_guest_carts(&self) -> Result<u64, StoreError> {
        const DELETE_EXPIRED: &str = include_str!("../../sql/delete_expired_guest_carts.sql");
        let delete = sqlx::query(DELETE_EXPIRED).bind(GUEST_CART_DAYS).bind(ROWS_PER_SWEEP);
        Ok(delete.execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }
}

impl PgCarts {
    /// Writes the user's cart and its event, deletes the guest's cart, and stores the view as the result of the key. `false`,
    /// and nothing written, if one of the carts has changed or if the key is used.
    async fn save_merge(
        &self,
        connection: &mut Connection,
        cart: &Cart,
        guest: &Cart,
        (view, dedup_key): (&View, &DedupKey),
    ) -> Result<bool, StoreError> {
        const MERGE: &str = include_str!("../../sql/merge_guest_cart.sql");
        let events = self.updated(cart, None, dedup_key)?;
        let merge = sqlx::query(MERGE)
            .bind(cart.id.uuid())
            .bind(cart.version)
            .bind(Json(cart.stored_lines()))
            .bind(guest.id.uuid())
            .bind(guest.version)
            .bind(events.rows())
            .bind(DedupRecord::of(dedup_key, view)?);
        Ok(write_once(connection, merge, &events, &[]).await?.is_some())
    }
}

/// Whether a guest's cart is stored in this version.
async fn is_unchanged(connection: &mut Connection, cart: &Cart) -> Result<bool, StoreError> {
    const IS_UNCHANGED: &str = "select exists (select from guest_cart where id = $1 and version = $2)";
    let is_unchanged = sqlx::query_scalar(IS_UNCHANGED).bind(cart.id.uuid()).bind(cart.version);
    Ok(is_unchanged.fetch_one(connection).await?)
}
