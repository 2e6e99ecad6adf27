//! The queries of the GraphQL demo, with its names. A list has the first 100 items.

use agora_api::{Route, catalog, order, user};
use async_graphql::{Context, ID, Object};
use serde::de::DeserializeOwned;

use crate::graphql::{
    caller::{Caller, caller},
    cost,
    fault::{Answer, Fault},
    types::{
        accounts::{User, UserPage},
        catalog::{Product, ProductPage},
        orders::{Order, OrderPage},
    },
};

/// Items of a list: the demo has no pages.
const ITEMS: i32 = 100;

#[derive(Debug, Default)]
pub struct DemoQuery;

#[Object]
impl DemoQuery {
    /// The newest users; for support.
    #[graphql(complexity = "cost::page(ITEMS, child_complexity)")]
    async fn fetch_all_users(&self, context: &Context<'_>) -> Answer<Vec<User>> {
        Some(list(caller(context), user::routes::LIST_ALL).await.map(|UserPage { items, .. }| items))
    }

    /// A user: the client itself, or any for support.
    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn fetch_user_by_id(&self, context: &Context<'_>, #[graphql(name = "_id")] id: ID) -> Answer<User> {
        Some(caller(context).call(user::routes::READ, [&id]).json().await)
    }

    #[graphql(complexity = "cost::page(ITEMS, child_complexity)")]
    async fn fetch_all_products(&self, context: &Context<'_>) -> Answer<Vec<Product>> {
        Some(list(caller(context), catalog::routes::LIST).await.map(|ProductPage { items, .. }| items))
    }

    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn fetch_product_by_id(&self, context: &Context<'_>, id: ID) -> Answer<Product> {
        Some(caller(context).call(catalog::routes::READ, [&id]).json().await)
    }

    /// The newest orders of all users; for the staff.
    #[graphql(complexity = "cost::page(ITEMS, child_complexity)")]
    async fn fetch_all_orders(&self, context: &Context<'_>) -> Answer<Vec<Order>> {
        Some(list(caller(context), order::routes::LIST_ALL).await.map(|OrderPage { items, .. }| items))
    }

    /// An order of the client, or any for the staff.
    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn fetch_orders_by_id(&self, context: &Context<'_>, id: ID) -> Answer<Order> {
        Some(caller(context).call(order::routes::READ, [&id]).json().await)
    }
}

async fn list<T: DeserializeOwned>(caller: &Caller, route: Route) -> Result<T, Fault> {
    caller.call(route, []).page(ITEMS, None).json().await
}
