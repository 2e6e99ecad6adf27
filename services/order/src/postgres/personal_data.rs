//! Personal fields of orders, as far as their users are erased.

use std::time::Duration;

use agora_outbox::delete_results_of_scope;
use agora_vocab::{OrderId, UserId};
use async_trait::async_trait;
use uuid::Uuid;

use super::PgOrders;
use crate::ports::{PersonalData, StoreError};

#[async_trait]
impl PersonalData for PgOrders {
    async fn erase_ended_orders(&self, limit: u16, pause: Duration) -> Result<Option<Vec<OrderId>>, StoreError> {
        const LOCK: &str = include_str!("../../sql/lock_erased_customer.sql");
        const ERASE: &str = include_str!("../../sql/erase_orders.sql");
        const POSTPONE: &str = include_str!("../../sql/postpone_erasure.sql");
        let mut tx = self.db.begin().await?;
        let due: Option<Uuid> = sqlx::query_scalar(LOCK).fetch_optional(&mut *tx).await?;
        let Some(user) = due else { return Ok(None) };
        let erase = sqlx::query_scalar(ERASE).bind(user).bind(i64::from(limit));
        let orders: Vec<Uuid> = erase.fetch_all(&mut *tx).await?;
        delete_results_of_scope(&mut tx, &UserId::new(user).to_string()).await?;
        if orders.len() < usize::from(limit) {
            sqlx::query(POSTPONE).bind(user).bind(pause).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(Some(orders.into_iter().map(OrderId::new).collect()))
    }
}
