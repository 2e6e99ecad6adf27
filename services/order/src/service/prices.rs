//! Use cases of what decides prices, for administrators and for new orders.

use std::sync::Arc;

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Country, Page, PageSize, UserId};

use super::{Error, KnownRules};
use crate::{
    domain::{
        Coupon, CouponChange, CouponCode, CouponRefused, FieldError, MethodCode, NewCoupon, NewShippingMethod,
        NewTaxRule, PriceRules, ShippingChange, ShippingMethod, TaxCategory, TaxChange, TaxRule,
    },
    ports::{PriceStore, Redeemable, SettingError},
};

/// Coupons, shipping methods and tax rules.
#[derive(Clone)]
pub struct PriceService {
    pub store: Arc<dyn PriceStore>,
    pub known: Arc<KnownRules>,
}

impl PriceService {
    /// What applies to a new order; up to a second old if another process has changed it.
    pub(super) async fn rules(&self) -> Result<Arc<PriceRules>, Error> {
        Ok(self.known.get(&*self.store).await?)
    }

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

    /// Returns a shipping method; [`Error::NotFound`] if none has the code.
    pub async fn shipping_method(&self, code: &MethodCode) -> Result<ShippingMethod, Error> {
        self.store.shipping_method(code).await?.ok_or(Error::NotFound)
    }

    /// Returns a page by code, after the code `after`.
    pub async fn shipping_methods(&self, after: &str, size: PageSize) -> Result<Page<ShippingMethod>, Error> {
        Ok(self.store.shipping_methods(after, size).await?)
    }

    /// Creates a shipping method. A duplicate of `dedup_key` returns the first result.
    pub async fn create_shipping_method(
        &self,
        new: &NewShippingMethod,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ShippingMethod>, Error> {
        let made = self.store.add_shipping_method(new, dedup_key).await;
        self.known.clear();
        Ok(made?)
    }

    /// Changes a shipping method. Orders that exist keep their price.
    pub async fn change_shipping_method(
        &self,
        code: &MethodCode,
        change: &ShippingChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ShippingMethod>, Error> {
        let changed = self.store.change_shipping_method(code, change, dedup_key).await;
        self.known.clear();
        Ok(changed?)
    }

    /// Returns the tax rule of a country and category, or [`Error::NotFound`].
    pub async fn tax_rule(&self, country: &Country, category: TaxCategory) -> Result<TaxRule, Error> {
        self.store.tax_rule(country, category).await?.ok_or(Error::NotFound)
    }

    /// Returns a page by country and category, after the place `after`: a country, a slash and a category.
    pub async fn tax_rules(&self, after: &str, size: PageSize) -> Result<Page<TaxRule>, Error> {
        Ok(self.store.tax_rules(after, size).await?)
    }

    /// Creates a tax rule. A duplicate of `dedup_key` returns the first result.
    pub async fn create_tax_rule(&self, new: &NewTaxRule, dedup_key: &DedupKey) -> Result<Outcome<TaxRule>, Error> {
        let made = self.store.add_tax_rule(new, dedup_key).await;
        self.known.clear();
        Ok(made?)
    }

    /// Changes a tax rule. Orders that exist keep their tax.
    pub async fn change_tax_rule(
        &self,
        country: &Country,
        category: TaxCategory,
        change: &TaxChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<TaxRule>, Error> {
        let changed = self.store.change_tax_rule(country, category, change, dedup_key).await;
        self.known.clear();
        Ok(changed?)
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
            SettingError::TooMany { limit } => Self::TooManySettings { limit },
            SettingError::Invalid(wrong) => Self::Invalid(wrong),
            SettingError::Store(error) => error.into(),
        }
    }
}
