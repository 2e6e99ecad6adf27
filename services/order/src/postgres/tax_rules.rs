//! The port `TaxRules` in PostgreSQL.

use agora_chassis::BoxError;
use agora_outbox::{DedupKey, Outcome, claim_key};
use agora_postgres::{Connection, constraint};
use agora_vocab::{Country, Page, PageSize};
use async_trait::async_trait;
use time::OffsetDateTime;

use super::{PgPrices, prices};
use crate::{
    domain::{NewTaxRule, TaxCategory, TaxChange, TaxRule, TaxTerms},
    ports::{SettingError, StoreError, TaxRules},
};

#[async_trait]
impl TaxRules for PgPrices {
    async fn tax_rule(&self, country: &Country, category: TaxCategory) -> Result<Option<TaxRule>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_tax_rule.sql");
        let mut connection = self.db.acquire().await?;
        let find = sqlx::query_as(FIND).bind(country.as_str()).bind(category.as_str());
        let row: Option<RuleRow> = find.fetch_optional(&mut *connection).await?;
        row.map(RuleRow::into_rule).transpose()
    }

    async fn tax_rules(&self, after: &str, size: PageSize) -> Result<Page<TaxRule>, StoreError> {
        const PAGE: &str = include_str!("../../sql/page_of_tax_rules.sql");
        let mut connection = self.db.acquire().await?;
        let page = sqlx::query_as(PAGE).bind(after).bind(i64::from(size.get()) + 1);
        let rows: Vec<RuleRow> = page.fetch_all(&mut *connection).await?;
        let items = rows.into_iter().map(RuleRow::into_rule).collect::<Result<_, _>>()?;
        let place = |rule: &TaxRule| format!("{}/{}", rule.country.as_str(), rule.category.as_str());
        Ok(prices::page(items, size, place))
    }

    async fn add_tax_rule(&self, new: &NewTaxRule, dedup_key: &DedupKey) -> Result<Outcome<TaxRule>, SettingError> {
        const INSERT: &str = include_str!("../../sql/insert_tax_rule.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let insert = sqlx::query_as(INSERT)
            .bind(new.country.as_str())
            .bind(new.category.as_str())
            .bind(new.terms.basis_points)
            .bind(new.terms.rounding.as_str())
            .bind(new.terms.active);
        let row: RuleRow = insert.fetch_one(&mut *tx).await.map_err(refused)?;
        prices::done(tx, row.into_rule()?, dedup_key).await
    }

    async fn change_tax_rule(
        &self,
        country: &Country,
        category: TaxCategory,
        change: &TaxChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<TaxRule>, SettingError> {
        const LOCK: &str = include_str!("../../sql/lock_tax_rule.sql");
        const UPDATE: &str = include_str!("../../sql/update_tax_rule.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let lock = sqlx::query_as(LOCK).bind(country.as_str()).bind(category.as_str());
        let row: Option<RuleRow> = lock.fetch_optional(&mut *tx).await.map_err(StoreError::from)?;
        let rule = row.ok_or(SettingError::NotFound)?.into_rule()?;
        let terms = rule.changed(change).map_err(SettingError::Invalid)?;
        let update = sqlx::query_as(UPDATE)
            .bind(country.as_str())
            .bind(category.as_str())
            .bind(terms.basis_points)
            .bind(terms.rounding.as_str())
            .bind(terms.active);
        let row: RuleRow = update.fetch_one(&mut *tx).await.map_err(StoreError::from)?;
        prices::done(tx, row.into_rule()?, dedup_key).await
    }
}

/// The active rules.
pub(super) async fn active(connection: &mut Connection) -> Result<Vec<TaxRule>, StoreError> {
    const ACTIVE: &str = include_str!("../../sql/active_tax_rules.sql");
    let rows: Vec<RuleRow> = sqlx::query_as(ACTIVE).fetch_all(connection).await?;
    rows.into_iter().map(RuleRow::into_rule).collect()
}

fn refused(error: sqlx::Error) -> SettingError {
    match constraint(&error) {
        Some("tax_rule_pk") => SettingError::Taken,
        _ => SettingError::Store(error.into()),
    }
}

#[derive(sqlx::FromRow)]
struct RuleRow {
    country: String,
    category: String,
    basis_points: i32,
    rounding: String,
    active: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl RuleRow {
    fn into_rule(self) -> Result<TaxRule, StoreError> {
        self.read().map_err(StoreError::Broken)
    }

    fn read(self) -> Result<TaxRule, BoxError> {
        let Self { country, category, basis_points, rounding, active, created_at, updated_at } = self;
        let terms = TaxTerms { basis_points, rounding: rounding.parse()?, active };
        Ok(TaxRule { country: Country::stored(country), category: category.parse()?, terms, created_at, updated_at })
    }
}
