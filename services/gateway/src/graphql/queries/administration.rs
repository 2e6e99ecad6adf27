//! The queries of the staff. The services refuse them to others.

use agora_api::{Route, catalog, notification, order, payment, user};
use async_graphql::{Context, ID, Object};
use serde::de::DeserializeOwned;

use crate::graphql::{
    caller::caller,
    cost,
    fault::Answer,
    types::{
        accounts::UserPage,
        catalog::{TermPage, WarehousePage},
        notifications::NotificationPage,
        orders::{Coupon, CouponPage, OrderPage, ShippingMethodPage, TaxRulePage, TopProducts},
        payments::PaymentLog,
    },
};

#[derive(Debug, Default)]
pub struct AdministrationQuery;

#[Object]
impl AdministrationQuery {
    /// All users, newest first. `status`: `active` or `blocked`.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn users(
        &self,
        context: &Context<'_>,
        status: Option<String>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<UserPage> {
        let call = caller(context).call(user::routes::LIST_ALL, []).query("status", status);
        Some(call.page(limit, cursor).json().await)
    }

    /// The orders of all users, or of one, newest first.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn all_orders(
        &self,
        context: &Context<'_>,
        user_id: Option<ID>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<OrderPage> {
        let call = caller(context).call(order::routes::LIST_ALL, []).query("userId", user_id.map(|id| id.0));
        Some(call.page(limit, cursor).json().await)
    }

    /// The notifications of all users, or of one, newest first.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn all_notifications(
        &self,
        context: &Context<'_>,
        user_id: Option<ID>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<NotificationPage> {
        let call = caller(context).call(notification::routes::LIST_ALL, []).query("userId", user_id.map(|id| id.0));
        Some(call.page(limit, cursor).json().await)
    }

    /// What happened to a payment, oldest entry first.
    #[graphql(complexity = "cost::list(child_complexity)")]
    async fn payment_log(&self, context: &Context<'_>, id: ID) -> Answer<PaymentLog> {
        Some(caller(context).call(payment::routes::LOG, [&id]).json().await)
    }

    /// What sold most.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn top_products(&self, context: &Context<'_>, #[graphql(default = 10)] limit: i32) -> Answer<TopProducts> {
        Some(caller(context).call(order::routes::TOP_PRODUCTS, []).query("limit", Some(limit)).json().await)
    }

    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn coupons(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<CouponPage> {
        named(context, order::routes::LIST_COUPONS, limit, cursor).await
    }

    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn coupon(&self, context: &Context<'_>, code: String) -> Answer<Coupon> {
        Some(caller(context).call(order::routes::READ_COUPON, [&code]).json().await)
    }

    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn shipping_methods(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<ShippingMethodPage> {
        named(context, order::routes::LIST_SHIPPING_METHODS, limit, cursor).await
    }

    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn tax_rules(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<TaxRulePage> {
        named(context, order::routes::LIST_TAX_RULES, limit, cursor).await
    }

    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn suppliers(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<TermPage> {
        named(context, catalog::routes::LIST_SUPPLIERS, limit, cursor).await
    }

    /// The places where warehouses stand.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn locations(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<TermPage> {
        named(context, catalog::routes::LIST_LOCATIONS, limit, cursor).await
    }

    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn warehouses(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<WarehousePage> {
        named(context, catalog::routes::LIST_WAREHOUSES, limit, cursor).await
    }
}

/// A page of a list that is sorted by names.
async fn named<T: DeserializeOwned>(
    context: &Context<'_>,
    route: Route,
    limit: i32,
    cursor: Option<String>,
) -> Answer<T> {
    Some(caller(context).call(route, []).page(limit, cursor).json().await)
}
