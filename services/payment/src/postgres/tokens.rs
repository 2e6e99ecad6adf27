//! Encrypted tokens, for the rotation of keys.

use agora_vocab::{OrderId, PaymentId};
use async_trait::async_trait;
use uuid::Uuid;

use super::PgPayments;
use crate::{
    domain::SealedToken,
    ports::{SealedTokens, StoreError, StoredToken},
};

#[async_trait]
impl SealedTokens for PgPayments {
    async fn tokens_without(&self, prefix: &[u8], limit: u16) -> Result<Vec<StoredToken>, StoreError> {
        const FIND: &str = include_str!("../../sql/tokens_without.sql");
        let find = sqlx::query_as(FIND).bind(prefix).bind(i64::from(limit));
        let rows: Vec<(Uuid, Uuid, Vec<u8>)> = find.fetch_all(&mut *self.db.acquire().await?).await?;
        let stored = |(payment, order, token)| StoredToken {
            payment: PaymentId::new(payment),
            order: OrderId::new(order),
            token: SealedToken::new(token),
        };
        Ok(rows.into_iter().map(stored).collect())
    }

    async fn replace_token(&self, stored: &StoredToken, token: &SealedToken) -> Result<(), StoreError> {
        const REPLACE: &str = "update payment set sealed_token = $3 where id = $1 and sealed_token = $2";
        let replace = sqlx::query(REPLACE).bind(stored.payment.uuid()).bind(stored.token.bytes()).bind(token.bytes());
        replace.execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }
}
