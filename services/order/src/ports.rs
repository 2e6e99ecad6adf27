//! Ports of the order service: the store and the other services.
//!
//! Each method is atomic. Depends on `domain` only; must not depend on SQL, HTTP or wire types.

mod histories;
mod personal_data;
mod prices;
mod reports;
mod services;
mod store;

pub use agora_outbox::StoreError;

pub use self::{
    histories::Histories,
    personal_data::PersonalData,
    prices::{Coupons, PriceStore, Redeemable, Rules, SettingError, ShippingMethods, TaxRules},
    reports::Reports,
    services::{
        Addresses, CallFailed, Carts, Catalog, Checkout, CheckoutError, NewHold, Payable, Payments, Report, Reserving,
        ReturnedUnits,
    },
    store::{
        ApplyError, CreateError, IdempotencyLeases, Issued, Listing, OrderReads, OrderStore, Orders, RequestLease,
        SagaSnapshot, Sagas,
    },
};
