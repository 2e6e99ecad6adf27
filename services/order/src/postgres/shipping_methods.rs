//! The ports `ShippingMethods` and `Rules` in PostgreSQL.

use agora_chassis::BoxError;
use agora_outbox::{DedupKey, Outcome, claim_key};
use agora_postgres::constraint;
use agora_vocab::{Country, Money, Page, PageSize};
use async_trait::async_trait;
use time::OffsetDateTime;

use super::{PgPrices, prices, tax_rules};
use crate::{
    domain::{
        MethodCode, NewShippingMethod, PriceRules, SHIPPING_METHODS_MAX, ShippingChange, ShippingMethod, ShippingTerms,
    },
    ports::{Rules, SettingError, ShippingMethods, StoreError},
};

#[async_trait]
impl Rules for PgPrices {
    async fn price_rules(&self) -> Result<PriceRules, StoreError> {
        const ACTIVE: &str = include_str!("../../sql/active_shipping_methods.sql");
        let mut connection = self.db.acquire().await?;
        let methods = sqlx::query_as(ACTIVE).bind(i64::from(SHIPPING_METHODS_MAX));
        let methods: Vec<MethodRow> = methods.fetch_all(&mut *connection).await?;
        let shipping_methods = methods.into_iter().map(MethodRow::into_method).collect::<Result<_, _>>()?;
        let tax_rules = tax_rules::active(&mut connection).await?;
        Ok(PriceRules { shipping_methods, tax_rules })
    }
}

#[async_trait]
impl ShippingMethods for PgPrices {
    async fn shipping_method(&self, code: &MethodCode) -> Result<Option<ShippingMethod>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_shipping_method.sql");
        let mut connection = self.db.acquire().await?;
        let find = sqlx::query_as(FIND).bind(code.as_str());
        let row: Option<MethodRow> = find.fetch_optional(&mut *connection).await?;
        row.map(MethodRow::into_method).transpose()
    }

    async fn shipping_methods(&self, after: &str, size: PageSize) -> Result<Page<ShippingMethod>, StoreError> {
        const PAGE: &str = include_str!("../../sql/page_of_shipping_methods.sql");
        let mut connection = self.db.acquire().await?;
        let page = sqlx::query_as(PAGE).bind(after).bind(i64::from(size.get()) + 1);
        let rows: Vec<MethodRow> = page.fetch_all(&mut *connection).await?;
        let items = rows.into_iter().map(MethodRow::into_method).collect::<Result<_, _>>()?;
        Ok(prices::page(items, size, |method: &ShippingMethod| method.code.as_str().to_owned()))
    }

    async fn add_shipping_method(
        &self,
        new: &NewShippingMethod,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ShippingMethod>, SettingError> {
        const INSERT: &str = include_str!("../../sql/insert_shipping_method.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let insert = sqlx::query_as(INSERT)
            .bind(new.code.as_str())
            .bind(&new.terms.name)
            .bind(new.terms.price.amount)
            .bind(new.terms.price.currency.as_str().to_owned())
            .bind(new.terms.free_from)
            .bind(countries(&new.terms))
            .bind(new.terms.active)
            .bind(i64::from(SHIPPING_METHODS_MAX));
        let row: Option<MethodRow> = insert.fetch_optional(&mut *tx).await.map_err(refused)?;
        let row = row.ok_or(SettingError::TooMany { limit: SHIPPING_METHODS_MAX })?;
        prices::done(tx, row.into_method()?, dedup_key).await
    }

    async fn change_shipping_method(
        &self,
        code: &MethodCode,
        change: &ShippingChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ShippingMethod>, SettingError> {
        const LOCK: &str = include_str!("../../sql/lock_shipping_method.sql");
        const UPDATE: &str = include_str!("../../sql/update_shipping_method.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let lock = sqlx::query_as(LOCK).bind(code.as_str());
        let row: Option<MethodRow> = lock.fetch_optional(&mut *tx).await.map_err(StoreError::from)?;
        let method = row.ok_or(SettingError::NotFound)?.into_method()?;
        let terms = method.changed(change.clone()).map_err(SettingError::Invalid)?;
        let update = sqlx::query_as(UPDATE)
            .bind(code.as_str())
            .bind(&terms.name)
            .bind(terms.price.amount)
            .bind(terms.price.currency.as_str().to_owned())
            .bind(terms.free_from)
            .bind(countries(&terms))
            .bind(terms.active);
        let row: MethodRow = update.fetch_one(&mut *tx).await.map_err(StoreError::from)?;
        prices::done(tx, row.into_method()?, dedup_key).await
    }
}

fn countries(terms: &ShippingTerms) -> Vec<String> {
    terms.countries.iter().map(|country| country.as_str().to_owned()).collect()
}

fn refused(error: sqlx::Error) -> SettingError {
    match constraint(&error) {
        Some("shipping_method_pk") => SettingError::Taken,
        _ => SettingError::Store(error.into()),
    }
}

#[derive(sqlx::FromRow)]
struct MethodRow {
    code: String,
    name: String,
    price_minor: i64,
    currency: String,
    free_from_minor: Option<i64>,
    countries: Vec<String>,
    active: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl MethodRow {
    fn into_method(self) -> Result<ShippingMethod, StoreError> {
        self.read().map_err(StoreError::Broken)
    }

    fn read(self) -> Result<ShippingMethod, BoxError> {
        let Self { code, name, price_minor, currency, free_from_minor, countries, active, created_at, updated_at } =
            self;
        let terms = ShippingTerms {
            name,
            price: Money::new(price_minor, currency.parse()?)?,
            free_from: free_from_minor,
            countries: countries.into_iter().map(Country::stored).collect(),
            active,
        };
        Ok(ShippingMethod { code: MethodCode::stored(code), terms, created_at, updated_at })
    }
}
