//! Reads of payments, with and without a row lock.

use agora_postgres::{Connection, Tx};
use agora_vocab::{OrderId, Page, PageSize, PaymentId, UserId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PgPayments,
    row::{LogRow, PaymentRow},
};
use crate::{
    domain::Payment,
    ports::{Filter, LogEntry, PaymentError, PaymentReads, StoreError},
};

#[async_trait]
impl PaymentReads for PgPayments {
    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        find(&mut *self.db.acquire().await?, id).await
    }

    async fn find_captured(&self, order: OrderId) -> Result<Option<Payment>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_captured.sql");
        let mut connection = self.db.acquire().await?;
        let row: Option<PaymentRow> = sqlx::query_as(FIND).bind(order.uuid()).fetch_optional(&mut *connection).await?;
        row.map(Payment::try_from).transpose()
    }

    async fn page(&self, filter: Filter, limit: PageSize) -> Result<Page<Payment>, StoreError> {
        const ALL: &str = include_str!("../../sql/page_all.sql");
        const OF_USER: &str = include_str!("../../sql/page_of_user.sql");
        const OF_ORDER: &str = include_str!("../../sql/page_of_order.sql");
        let Filter { user, order, before } = filter;
        let user = user.map(UserId::uuid);
        let page = match (user, order) {
            (_, Some(_)) => sqlx::query_as(OF_ORDER),
            (Some(_), None) => sqlx::query_as(OF_USER),
            (None, None) => sqlx::query_as(ALL),
        };
        let page = page.bind(before.map_or(Uuid::max(), PaymentId::uuid)).bind(i64::from(limit.get()) + 1);
        let page = match (user, order) {
            (user, Some(order)) => page.bind(order.uuid()).bind(user),
            (Some(user), None) => page.bind(user),
            (None, None) => page,
        };
        let rows: Vec<PaymentRow> = page.fetch_all(&mut *self.db.acquire().await?).await?;
        let mut items = rows.into_iter().map(Payment::try_from).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > usize::from(limit.get());
        items.truncate(usize::from(limit.get()));
        let next = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(Page { items, total: None, next })
    }

    async fn find_by_reference(&self, reference: &str) -> Result<Option<Payment>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_by_reference.sql");
        let mut connection = self.db.acquire().await?;
        let row: Option<PaymentRow> = sqlx::query_as(FIND).bind(reference).fetch_optional(&mut *connection).await?;
        row.map(Payment::try_from).transpose()
    }

    async fn log(&self, id: PaymentId, limit: u16) -> Result<Vec<LogEntry>, StoreError> {
        const LOG: &str = include_str!("../../sql/payment_log.sql");
        let log = sqlx::query_as(LOG).bind(id.uuid()).bind(i64::from(limit));
        let rows: Vec<LogRow> = log.fetch_all(&mut *self.db.acquire().await?).await?;
        rows.into_iter().map(LogEntry::try_from).collect()
    }
}

/// Reads a payment without a lock.
pub(super) async fn find(connection: &mut Connection, id: PaymentId) -> Result<Option<Payment>, StoreError> {
    const FIND: &str = "select * from payment_record where id = $1";
    let row: Option<PaymentRow> = sqlx::query_as(FIND).bind(id.uuid()).fetch_optional(connection).await?;
    row.map(Payment::try_from).transpose()
}

/// Reads a payment and locks its row until the transaction ends; an unknown id is an error.
pub(super) async fn lock(tx: &mut Tx, id: PaymentId) -> Result<Payment, PaymentError> {
    find_locked(tx, id).await?.ok_or(PaymentError::NotFound(id))
}

/// Reads a payment and locks its row until the transaction ends.
pub(super) async fn find_locked(tx: &mut Tx, id: PaymentId) -> Result<Option<Payment>, StoreError> {
    const LOCK: &str = "select * from payment_record where id = $1 for update";
    let row: Option<PaymentRow> = sqlx::query_as(LOCK).bind(id.uuid()).fetch_optional(&mut **tx).await?;
    row.map(Payment::try_from).transpose()
}
