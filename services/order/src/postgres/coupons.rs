//! The port `Coupons` in PostgreSQL.

use std::time::Duration;

use agora_chassis::BoxError;
use agora_outbox::{DedupKey, Outcome, claim_key};
use agora_postgres::{Tx, constraint};
use agora_vocab::{Money, Page, PageSize, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;

use super::{PgPrices, prices};
use crate::{
    domain::{Coupon, CouponChange, CouponCode, CouponTerms, CouponValue, NewCoupon},
    ports::{Coupons, Redeemable, SettingError, StoreError},
};

/// Wrong codes of a user within [`GUESS_WINDOW`], after which no code is looked up until the window ends.
const GUESSES_MAX: i32 = 20;
const GUESS_WINDOW: Duration = Duration::from_hours(1);

const FIND: &str = include_str!("../../sql/find_coupon.sql");

#[async_trait]
impl Coupons for PgPrices {
    async fn redeemable(&self, user: UserId, code: &CouponCode) -> Result<Redeemable, StoreError> {
        const LOCK_USER: &str = "select pg_advisory_xact_lock(hashtextextended('coupon ' || $1::text, 0))";
        const PAUSE: &str = include_str!("../../sql/guess_pause.sql");
        let mut tx = self.db.begin().await?;
        sqlx::query(LOCK_USER).bind(user.uuid()).execute(&mut *tx).await?;
        let pause = sqlx::query_scalar(PAUSE).bind(user.uuid()).bind(GUESSES_MAX).bind(GUESS_WINDOW.as_secs_f64());
        let pause: Option<i32> = pause.fetch_optional(&mut *tx).await?;
        if let Some(seconds) = pause {
            return Ok(Redeemable::TooManyGuesses { retry_after: seconds.unsigned_abs() });
        }
        let found: Option<CouponRow> = sqlx::query_as(FIND).bind(code.as_str()).fetch_optional(&mut *tx).await?;
        let found = found.map(CouponRow::into_coupon).transpose()?;
        if let Some(coupon) = found.filter(|coupon| coupon.terms.active) {
            return Ok(Redeemable::Found(Box::new(coupon)));
        }
        count_wrong_code(&mut tx, user).await?;
        tx.commit().await?;
        Ok(Redeemable::Unknown)
    }

    async fn coupon(&self, code: &CouponCode) -> Result<Option<Coupon>, StoreError> {
        let mut connection = self.db.acquire().await?;
        let row: Option<CouponRow> = sqlx::query_as(FIND).bind(code.as_str()).fetch_optional(&mut *connection).await?;
        row.map(CouponRow::into_coupon).transpose()
    }

    async fn coupons(&self, after: &str, size: PageSize) -> Result<Page<Coupon>, StoreError> {
        const PAGE: &str = include_str!("../../sql/page_of_coupons.sql");
        let mut connection = self.db.acquire().await?;
        let page = sqlx::query_as(PAGE).bind(after).bind(i64::from(size.get()) + 1);
        let rows: Vec<CouponRow> = page.fetch_all(&mut *connection).await?;
        let items = rows.into_iter().map(CouponRow::into_coupon).collect::<Result<_, _>>()?;
        Ok(prices::page(items, size, |coupon: &Coupon| coupon.code.as_str().to_owned()))
    }

    async fn add_coupon(&self, new: &NewCoupon, dedup_key: &DedupKey) -> Result<Outcome<Coupon>, SettingError> {
        const INSERT: &str = include_str!("../../sql/insert_coupon.sql");
        let NewCoupon { code, value, terms } = new;
        let (basis_points, amount) = match *value {
            CouponValue::Percent { basis_points } => (Some(basis_points), None),
            CouponValue::Fixed { amount } => (None, Some(amount)),
        };
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let insert = sqlx::query_as(INSERT)
            .bind(code.as_str())
            .bind(basis_points)
            .bind(amount.map(|amount| amount.amount))
            .bind(amount.map(|amount| amount.currency.as_str().to_owned()))
            .bind(terms.minimum_total.map(|minimum| minimum.amount))
            .bind(terms.minimum_total.map(|minimum| minimum.currency.as_str().to_owned()))
            .bind(terms.valid_from)
            .bind(terms.valid_until)
            .bind(terms.uses_max)
            .bind(terms.uses_per_user_max)
            .bind(terms.active);
        let row: CouponRow = insert.fetch_one(&mut *tx).await.map_err(refused)?;
        prices::done(tx, row.into_coupon()?, dedup_key).await
    }

    async fn change_coupon(
        &self,
        code: &CouponCode,
        change: &CouponChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Coupon>, SettingError> {
        const LOCK: &str = include_str!("../../sql/lock_coupon.sql");
        const UPDATE: &str = include_str!("../../sql/update_coupon.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let lock = sqlx::query_as(LOCK).bind(code.as_str());
        let row: Option<CouponRow> = lock.fetch_optional(&mut *tx).await.map_err(StoreError::from)?;
        let coupon = row.ok_or(SettingError::NotFound)?.into_coupon()?;
        let terms = coupon.changed(change).map_err(SettingError::Invalid)?;
        let update = sqlx::query_as(UPDATE)
            .bind(code.as_str())
            .bind(terms.minimum_total.map(|minimum| minimum.amount))
            .bind(terms.minimum_total.map(|minimum| minimum.currency.as_str().to_owned()))
            .bind(terms.valid_from)
            .bind(terms.valid_until)
            .bind(terms.uses_max)
            .bind(terms.uses_per_user_max)
            .bind(terms.active);
        let row: CouponRow = update.fetch_one(&mut *tx).await.map_err(StoreError::from)?;
        prices::done(tx, row.into_coupon()?, dedup_key).await
    }
}

async fn count_wrong_code(tx: &mut Tx, user: UserId) -> Result<(), StoreError> {
    let window = GUESS_WINDOW.as_secs_f64();
    let count = sqlx::query(include_str!("../../sql/count_wrong_code.sql")).bind(user.uuid()).bind(window);
    count.execute(&mut **tx).await?;
    let delete = sqlx::query(include_str!("../../sql/delete_old_guesses.sql")).bind(window);
    delete.execute(&mut **tx).await?;
    Ok(())
}

fn refused(error: sqlx::Error) -> SettingError {
    match constraint(&error) {
        Some("coupon_pk") => SettingError::Taken,
        _ => SettingError::Store(error.into()),
    }
}

#[derive(sqlx::FromRow)]
struct CouponRow {
    code: String,
    basis_points: Option<i32>,
    amount_minor: Option<i64>,
    currency: Option<String>,
    minimum_minor: Option<i64>,
    minimum_currency: Option<String>,
    valid_from: Option<OffsetDateTime>,
    valid_until: Option<OffsetDateTime>,
    uses_max: Option<i32>,
    uses_per_user_max: Option<i32>,
    uses: i32,
    active: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl CouponRow {
    fn into_coupon(self) -> Result<Coupon, StoreError> {
        self.read().map_err(StoreError::Broken)
    }

    fn read(self) -> Result<Coupon, BoxError> {
        let Self { code, basis_points, amount_minor, currency, minimum_minor, minimum_currency, .. } = self;
        let value = match (basis_points, money(amount_minor, currency)?) {
            (Some(basis_points), None) => CouponValue::Percent { basis_points },
            (None, Some(amount)) => CouponValue::Fixed { amount },
            _ => return Err("a coupon has a share or an amount".into()),
        };
        let terms = CouponTerms {
            minimum_total: money(minimum_minor, minimum_currency)?,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            uses_max: self.uses_max,
            uses_per_user_max: self.uses_per_user_max,
            active: self.active,
        };
        let code = CouponCode::stored(code);
        Ok(Coupon { code, value, terms, uses: self.uses, created_at: self.created_at, updated_at: self.updated_at })
    }
}

/// An amount of two columns that are both null or both given.
fn money(minor: Option<i64>, currency: Option<String>) -> Result<Option<Money>, BoxError> {
    minor.zip(currency).map(|(minor, currency)| Ok(Money::new(minor, currency.parse()?)?)).transpose()
}
