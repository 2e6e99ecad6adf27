//! Carts of erased users: emptied by their erasure, and once more when what was under way has ended.

use agora_outbox::{DedupKey, delete_results_of_scope};
use agora_vocab::UserId;
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PgCarts,
    carts::{self, Change},
};
use crate::{
    domain::{AccountEvent, Contents},
    ports::{CartError, ErasedCarts, StoreError},
};

/// Retention of an erasure in days: as long as the lines of a checkout from before it.
const KEPT_DAYS: i32 = 30;
const ROWS_PER_SWEEP: i64 = 1_000;
/// Carts that one look takes.
const CARTS_PER_LOOK: i64 = 100;

#[async_trait]
impl ErasedCarts for PgCarts {
    async fn erase_carts(&self, events: &[AccountEvent]) -> Result<(), CartError> {
        for cart in self.store_erased(events).await? {
            self.erase(cart).await?;
        }
        Ok(())
    }

    async fn look_at_erased_carts(&self) -> Result<usize, CartError> {
        let due = self.due_looks().await?;
        for cart in &due {
            self.erase(*cart).await?;
        }
        self.end_looks(&due).await?;
        Ok(due.len())
    }

    async fn sweep_erased_carts(&self) -> Result<u64, StoreError> {
        const DELETE_OLD: &str = include_str!("../../sql/delete_old_erased_carts.sql");
        let sweep = sqlx::query(DELETE_OLD).bind(KEPT_DAYS).bind(ROWS_PER_SWEEP);
        Ok(sweep.execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }
}

impl PgCarts {
    /// Stores the events and returns the carts that are erased by them.
    async fn store_erased(&self, events: &[AccountEvent]) -> Result<Vec<Uuid>, StoreError> {
        const STORE: &str = include_str!("../../sql/store_erased_carts.sql");
        let carts: Vec<Uuid> = events.iter().map(|event| event.user.uuid()).collect();
        let epochs: Vec<i64> = events.iter().map(|event| event.epoch.0.into()).collect();
        let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
        let erased: Vec<bool> = events.iter().map(|event| event.erased).collect();
        let store = sqlx::query_scalar(STORE).bind(carts).bind(epochs).bind(numbers).bind(erased);
        Ok(store.fetch_all(&mut *self.db.acquire().await?).await?)
    }

    async fn due_looks(&self) -> Result<Vec<Uuid>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_erased_carts.sql");
        let find = sqlx::query_scalar(FIND).bind(CARTS_PER_LOOK);
        Ok(find.fetch_all(&mut *self.db.acquire().await?).await?)
    }

    async fn end_looks(&self, carts: &[Uuid]) -> Result<(), StoreError> {
        const END: &str = include_str!("../../sql/end_looks.sql");
        sqlx::query(END).bind(carts).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    /// Empties a user's cart, unless it is empty, and deletes the stored results of the user's requests, which show carts.
    /// The id of a cart is the id of its user.
    async fn erase(&self, cart: Uuid) -> Result<(), CartError> {
        let user = UserId::new(cart);
        let found = {
            let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
            carts::find(&mut connection, user).await?
        };
        if !found.cart.stored_lines().is_empty() {
            let clear = |Contents { mut cart, .. }: Contents| {
                cart.clear();
                Ok(Change { cart, result: (), quoted: None })
            };
            self.update(user.into(), Some(found), &DedupKey::None, clear).await?;
        }
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        delete_results_of_scope(&mut tx, &user.to_string()).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
