//! The store of what decides the price of an order besides its products: coupons, shipping methods and tax rules. Every method is one transaction and uses the
//! clock of the database.

use agora_outbox::{DedupKey, Outcome, StoreError};
use agora_vocab::{Country, Page, PageSize, UserId};
use async_trait::async_trait;

use crate::domain::{
    Coupon, CouponChange, CouponCode, FieldError, MethodCode, NewCoupon, NewShippingMethod, NewTaxRule, PriceRules,
    ShippingChange, ShippingMethod, TaxCategory, TaxChange, TaxRule,
};

/// Everything that decides prices.
pub trait PriceStore: Rules + Coupons + ShippingMethods + TaxRules {}

impl<T: Rules + Coupons + ShippingMethods + TaxRules> PriceStore for T {}

/// What applies to every new order.
#[async_trait]
pub trait Rules: Send + Sync {
    async fn price_rules(&self) -> Result<PriceRules, StoreError>;
}

/// Coupons. A use is claimed by [`super::Orders::create`].
#[async_trait]
pub trait Coupons: Send + Sync {
    /// Finds the active coupon that a user names. Counts wrong codes: a user who sent too many gets no answer for a while. Of
    /// concurrent calls of a user, each counts those before it.
    async fn redeemable(&self, user: UserId, code: &CouponCode) -> Result<Redeemable, StoreError>;

    async fn coupon(&self, code: &CouponCode) -> Result<Option<Coupon>, StoreError>;

    /// Returns a page by code, after the code `after`.
    async fn coupons(&self, after: &str, size: PageSize) -> Result<Page<Coupon>, StoreError>;

    async fn add_coupon(&self, new: &NewCoupon, dedup_key: &DedupKey) -> Result<Outcome<Coupon>, SettingError>;

    async fn change_coupon(
        &self,
        code: &CouponCode,
        change: &CouponChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Coupon>, SettingError>;
}

/// Shipping methods that admins define.
#[async_trait]
pub trait ShippingMethods: Send + Sync {
    async fn shipping_method(&self, code: &MethodCode) -> Result<Option<ShippingMethod>, StoreError>;

    /// Returns a page by code, after the code `after`.
    async fn shipping_methods(&self, after: &str, size: PageSize) -> Result<Page<ShippingMethod>, StoreError>;

    async fn add_shipping_method(
        &self,
        new: &NewShippingMethod,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ShippingMethod>, SettingError>;

    async fn change_shipping_method(
        &self,
        code: &MethodCode,
        change: &ShippingChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ShippingMethod>, SettingError>;
}

/// Tax rules, one per country and category at most.
#[async_trait]
pub trait TaxRules: Send + Sync {
    async fn tax_rule(&self, country: &Country, category: TaxCategory) -> Result<Option<TaxRule>, StoreError>;

    /// Returns a page by country and category, after the place `after`: a country, a slash and a category.
    async fn tax_rules(&self, after: &str, size: PageSize) -> Result<Page<TaxRule>, StoreError>;

    async fn add_tax_rule(&self, new: &NewTaxRule, dedup_key: &DedupKey) -> Result<Outcome<TaxRule>, SettingError>;

    async fn change_tax_rule(
        &self,
        country: &Country,
        category: TaxCategory,
        change: &TaxChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<TaxRule>, SettingError>;
}

/// Result of [`Coupons::redeemable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemable {
    Found(Box<Coupon>),
    /// No active coupon has the code.
    Unknown,
    /// The user has sent too many wrong codes.
    TooManyGuesses {
        /// Seconds until another code is looked up.
        retry_after: u32,
    },
}

/// Why a setting was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("no such setting")]
    NotFound,
    /// Another one has the code.
    #[error("the code is taken")]
    Taken,
    /// The shop has the greatest number of them.
    #[error("there are {limit} already")]
    TooMany { limit: u16 },
    /// Invalid fields of the result.
    #[error("invalid fields")]
    Invalid(Vec<FieldError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
