//! Use cases of what decides prices, for administrators and for new orders.

use std::sync::Arc;

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Page, PageSize, UserId};

use super::Error;
use crate::{
    domain::{Coupon, CouponChange, CouponCode, CouponRefused, FieldError, NewCoupon},
    ports::{PriceStore, Redeemable, SettingError},
};

/// Coupons.
#[derive(Clone)]
pub struct PriceService {
    pub store: Arc<dyn PriceStore>,
}

impl PriceService {
    /// The coupon that a user names for an order. A wrong code counts as a guess.
    pub(super) async fn redeemable(&self, user: UserId, code: &CouponCode) -> Result<Coupon, Error> {
        match self.store.redeemable(user, code).await? {
            Redeemable::Found(coupon) if coupon.is_used_up() => Err(Error::CouponExhausted),
            Redeemable::Found(coupon) => Ok(*coupon),
            Redeemable::Unknown => Err(refused_coupon(CouponRefused::Unknown)),
            Redeemable::TooManyGuesses { retry_after } => Err(Error::TooManyGuesses { retry_after }),
        }
    }

    /// Returns a coupon; [`Error::NotFound`] if none has the code.
    pub async fn coupon(&self, code: &CouponCode) -> Result<Coupon, Error> {
        self.store.coupon(code).await?.ok_or(Error::NotFound)
    }

    /// Returns a page by code, after the code `after`.
    pub async fn coupons(&self, after: &str, size: PageSize) -> Result<Page<Coupon>, Error> {
        Ok(self.store.coupons(after, size).await?)
    }

    /// Creates a coupon. A duplicate of `dedup_key` returns the first result.
    pub async fn create_coupon(&self, new: &NewCoupon, dedup_key: &DedupKey) -> Result<Outcome<Coupon>, Error> {
        Ok(self.store.add_coupon(new, dedup_key).await?)
    }

    /// Changes when and how often a coupon can be used. Orders that exist keep their discount.
    pub async fn change_coupon(
        &self,
        code: &CouponCode,
        change: &CouponChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Coupon>, Error> {
        Ok(self.store.change_coupon(code, change, dedup_key).await?)
    }
}

/// The error of an order whose coupon does not apply.
pub(super) fn refused_coupon(refused: CouponRefused) -> Error {
    Error::Invalid(vec![FieldError::new("couponCode", refused.to_string())])
}

impl From<SettingError> for Error {
    fn from(error: SettingError) -> Self {
        match error {
            SettingError::NotFound => Self::NotFound,
            SettingError::Taken => Self::CodeTaken,
            SettingError::Invalid(wrong) => Self::Invalid(wrong),
            SettingError::Store(error) => error.into(),
        }
    }
}
