//! Movements of the ledger, and how they differ from the provider's report.

use std::time::Duration;

use agora_vocab::Money;
use async_trait::async_trait;
use time::OffsetDateTime;

use super::{
    PgPayments,
    row::{money, unknown},
};
use crate::{
    domain::{Category, Difference, MoneyKind, MoneyMovement, Slice},
    ports::{Reconciliation, ReconciliationRun, StoreError},
};

/// The composite type `reconciliation_row`, and a row of `reconciliation_difference`.
#[derive(sqlx::Encode, sqlx::FromRow)]
struct DifferenceRow {
    kind: String,
    reference_id: String,
    category: String,
    here_minor: Option<i64>,
    here_currency: Option<String>,
    there_minor: Option<i64>,
    there_currency: Option<String>,
    moved_at: OffsetDateTime,
}

agora_postgres::composite!(DifferenceRow, "reconciliation_row");

impl From<&Difference> for DifferenceRow {
    fn from(found: &Difference) -> Self {
        let minor = |amount: Option<Money>| amount.map(|amount| amount.amount);
        let currency = |amount: Option<Money>| amount.map(|amount| amount.currency.to_string());
        Self {
            kind: found.kind.as_str().to_owned(),
            reference_id: found.reference.clone(),
            category: found.category.as_str().to_owned(),
            here_minor: minor(found.here),
            here_currency: currency(found.here),
            there_minor: minor(found.there),
            there_currency: currency(found.there),
            moved_at: found.at,
        }
    }
}

impl TryFrom<DifferenceRow> for Difference {
    type Error = StoreError;

    fn try_from(row: DifferenceRow) -> Result<Self, StoreError> {
        let category = Category::ALL.into_iter().find(|category| category.as_str() == row.category);
        Ok(Self {
            category: category.ok_or_else(|| unknown("reconciliation_difference.category", &row.category))?,
            kind: kind(&row.kind),
            reference: row.reference_id,
            here: money(row.here_minor, row.here_currency.as_deref())?,
            there: money(row.there_minor, row.there_currency.as_deref())?,
            at: row.moved_at,
        })
    }
}

fn kind(name: &str) -> MoneyKind {
    if name == MoneyKind::Refund.as_str() { MoneyKind::Refund } else { MoneyKind::Capture }
}

#[derive(sqlx::FromRow)]
struct MovementRow {
    kind: String,
    reference_id: String,
    amount_minor: i64,
    currency: String,
    at: OffsetDateTime,
}

#[async_trait]
impl Reconciliation for PgPayments {
    async fn begin_reconciliation(&self, every: Duration) -> Result<Option<ReconciliationRun>, StoreError> {
        const BEGIN: &str = "update reconciliation_run set begun_at = now() \
            where id and begun_at < now() - $1::interval returning begun_at, compared_until";
        let begin = sqlx::query_as(BEGIN).bind(every);
        let run: Option<(OffsetDateTime, OffsetDateTime)> =
            begin.fetch_optional(&mut *self.db.acquire().await?).await?;
        Ok(run.map(|(now, compared_until)| ReconciliationRun { now, compared_until }))
    }

    async fn movements(&self, slice: Slice, references: &[String]) -> Result<Vec<MoneyMovement>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_movements.sql");
        let find = sqlx::query_as(FIND).bind(slice.from).bind(slice.before).bind(references);
        let rows: Vec<MovementRow> = find.fetch_all(&mut *self.db.acquire().await?).await?;
        let movement = |row: MovementRow| -> Result<MoneyMovement, StoreError> {
            let amount = money(Some(row.amount_minor), Some(&row.currency))?;
            let amount = amount.ok_or_else(|| unknown("ledger_journal.amount_minor", "null"))?;
            Ok(MoneyMovement { kind: kind(&row.kind), reference: row.reference_id, amount, at: row.at })
        };
        rows.into_iter().map(movement).collect()
    }

    async fn store_differences(&self, slice: Slice, differences: &[Difference]) -> Result<(), StoreError> {
        const CLEAR: &str = "delete from reconciliation_difference where moved_at >= $1 and moved_at < $2";
        const INSERT: &str = include_str!("../../sql/insert_differences.sql");
        let rows: Vec<DifferenceRow> = differences.iter().map(DifferenceRow::from).collect();
        let mut tx = self.db.begin().await?;
        sqlx::query(CLEAR).bind(slice.from).bind(slice.before).execute(&mut *tx).await?;
        sqlx::query(INSERT).bind(rows).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    async fn advance_reconciliation(&self, until: OffsetDateTime) -> Result<(), StoreError> {
        const ADVANCE: &str = "update reconciliation_run set compared_until = greatest(compared_until, $1) where id";
        sqlx::query(ADVANCE).bind(until).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn differences(&self, limit: u16) -> Result<Vec<Difference>, StoreError> {
        const FIND: &str = "select * from reconciliation_difference order by moved_at limit $1";
        let find = sqlx::query_as(FIND).bind(i64::from(limit));
        let rows: Vec<DifferenceRow> = find.fetch_all(&mut *self.db.acquire().await?).await?;
        rows.into_iter().map(Difference::try_from).collect()
    }
}
