//! The queries of shoppers: the catalog, and what belongs to the client.

use agora_api::{cart, catalog, notification, order, payment, recommendation, search, user};
use async_graphql::{Context, ID, InputObject, Object};
use serde_json::json;

use crate::graphql::{
    caller::{Caller, caller},
    cost,
    fault::{Answer, Fault},
    scalars::Long,
    types::{
        accounts::{AddressPage, SessionPage, User},
        carts::Cart,
        catalog::{Product, ProductPage, StockLevels, Term, TermPage, Variant},
        notifications::NotificationPage,
        orders::{Order, OrderPage},
        payments::{Payment, PaymentPage},
        search::{Recommendations, SearchResult, Suggestions},
    },
};

#[derive(Debug, Default)]
pub struct CatalogQuery;

#[Object]
impl CatalogQuery {
    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn product(&self, context: &Context<'_>, id: ID) -> Answer<Product> {
        Some(caller(context).call(catalog::routes::READ, [&id]).json().await)
    }

    /// A page of products. `sort`: `name`, `price`, `-price`, `createdAt` or `-createdAt`.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn products(
        &self,
        context: &Context<'_>,
        filter: Option<ProductFilter>,
        sort: Option<String>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<ProductPage> {
        Some(products(caller(context), Listing { filter: filter.unwrap_or_default(), sort, limit, cursor }).await)
    }

    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn variant(&self, context: &Context<'_>, product_id: ID, id: ID) -> Answer<Variant> {
        Some(caller(context).call(catalog::routes::READ_VARIANT, [&product_id, &id]).json().await)
    }

    /// Units of up to 100 products that can be ordered now.
    #[graphql(complexity = "cost::page(100, child_complexity)")]
    async fn stock(&self, context: &Context<'_>, ids: Vec<ID>) -> Answer<StockLevels> {
        Some(caller(context).call(catalog::routes::STOCK, []).body(&json!({ "ids": ids })).json().await)
    }

    /// Products by text and filters, with the values of the filters.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn search(
        &self,
        context: &Context<'_>,
        filter: Option<SearchFilter>,
        sort: Option<String>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<SearchResult> {
        let SearchFilter { q, category, brand, min_price, max_price, in_stock } = filter.unwrap_or_default();
        let call = caller(context).call(search::routes::SEARCH, []).query("q", q).query("category", category);
        let call = call
            .query("brand", brand)
            .query("minPrice", min_price.map(|price| price.0))
            .query("maxPrice", max_price.map(|price| price.0));
        Some(call.query("inStock", in_stock).query("sort", sort).page(limit, cursor).json().await)
    }

    /// Completions of a text that is being typed.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn suggestions(
        &self,
        context: &Context<'_>,
        q: String,
        #[graphql(default = 10)] limit: i32,
    ) -> Answer<Suggestions> {
        let call = caller(context).call(search::routes::COMPLETE, []).query("q", Some(q));
        Some(call.query("limit", Some(limit)).json().await)
    }

    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn categories(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<TermPage> {
        Some(caller(context).call(catalog::routes::LIST_CATEGORIES, []).page(limit, cursor).json().await)
    }

    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn category(&self, context: &Context<'_>, id: ID) -> Answer<Term> {
        Some(caller(context).call(catalog::routes::READ_CATEGORY, [&id]).json().await)
    }

    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn brands(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<TermPage> {
        Some(caller(context).call(catalog::routes::LIST_BRANDS, []).page(limit, cursor).json().await)
    }

    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn brand(&self, context: &Context<'_>, id: ID) -> Answer<Term> {
        Some(caller(context).call(catalog::routes::READ_BRAND, [&id]).json().await)
    }

    /// The cart of a visitor without a login.
    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn guest_cart(&self, context: &Context<'_>, cart_token: String) -> Answer<Cart> {
        Some(caller(context).call(cart::routes::VIEW_GUEST, []).cart_token(cart_token).json().await)
    }
}

/// Conditions that listed products meet.
#[derive(Debug, Default, InputObject)]
struct ProductFilter {
    category: Option<String>,
    /// A text: products that the search finds with it.
    q: Option<String>,
}

/// Conditions that found products meet.
#[derive(Debug, Default, InputObject)]
struct SearchFilter {
    q: Option<String>,
    category: Option<String>,
    brand: Option<String>,
    /// In minor units of the currency.
    min_price: Option<Long>,
    /// In minor units of the currency.
    max_price: Option<Long>,
    /// Only products of which units can be ordered.
    in_stock: Option<bool>,
}

/// A request for one page of products.
struct Listing {
    filter: ProductFilter,
    sort: Option<String>,
    limit: i32,
    cursor: Option<String>,
}

/// As over REST: a text goes to the search; if that cannot answer the first page, the catalog does.
async fn products(caller: &Caller, listing: Listing) -> Result<ProductPage, Fault> {
    let Listing { filter: ProductFilter { category, q }, sort, limit, cursor } = listing;
    let read = |route| {
        let call = caller.call(route, []).query("category", category.as_ref()).query("q", q.as_ref());
        call.query("sort", sort.as_ref()).page(limit, cursor.clone())
    };
    if q.as_ref().is_some_and(|text| !text.trim().is_empty()) {
        match read(search::routes::PRODUCTS).json().await {
            Err(fault) if fault.is_of_the_service() && cursor.is_none() => {}
            answer => return answer,
        }
    }
    read(catalog::routes::LIST).json().await
}

#[derive(Debug, Default)]
pub struct AccountQuery;

#[Object]
impl AccountQuery {
    /// The client itself.
    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn me(&self, context: &Context<'_>) -> Answer<User> {
        Some(caller(context).call(user::routes::READ_OWN, []).json().await)
    }

    /// The client's address book.
    #[graphql(complexity = "cost::list(child_complexity)")]
    async fn addresses(&self, context: &Context<'_>) -> Answer<AddressPage> {
        Some(caller(context).call(user::routes::LIST_ADDRESSES, []).json().await)
    }

    /// The client's sessions with their devices.
    #[graphql(complexity = "cost::list(child_complexity)")]
    async fn sessions(&self, context: &Context<'_>) -> Answer<SessionPage> {
        Some(caller(context).call(user::routes::LIST_SESSIONS, []).json().await)
    }

    /// The client's cart.
    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn cart(&self, context: &Context<'_>) -> Answer<Cart> {
        Some(caller(context).call(cart::routes::VIEW, []).json().await)
    }

    /// The client's orders, newest first.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn orders(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<OrderPage> {
        Some(caller(context).call(order::routes::LIST, []).page(limit, cursor).json().await)
    }

    /// An order of the client, or any for the staff.
    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn order(&self, context: &Context<'_>, id: ID) -> Answer<Order> {
        Some(caller(context).call(order::routes::READ, [&id]).json().await)
    }

    /// The client's payments, newest first.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn payments(
        &self,
        context: &Context<'_>,
        order_id: Option<ID>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<PaymentPage> {
        let call = caller(context).call(payment::routes::LIST, []).query("orderId", order_id.map(|id| id.0));
        Some(call.page(limit, cursor).json().await)
    }

    /// A payment of the client, or any for support and finance.
    #[graphql(complexity = "cost::call(child_complexity)")]
    async fn payment(&self, context: &Context<'_>, id: ID) -> Answer<Payment> {
        Some(caller(context).call(payment::routes::READ, [&id]).json().await)
    }

    /// The client's notifications, newest first.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn notifications(
        &self,
        context: &Context<'_>,
        priority: Option<String>,
        read: Option<bool>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<NotificationPage> {
        let call = caller(context).call(notification::routes::LIST, []).query("priority", priority);
        Some(call.query("read", read).page(limit, cursor).json().await)
    }

    /// Products recommended to the client, best first.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn recommendations(
        &self,
        context: &Context<'_>,
        #[graphql(default = 10)] limit: i32,
    ) -> Answer<Recommendations> {
        Some(caller(context).call(recommendation::routes::LIST, []).query("limit", Some(limit)).json().await)
    }
}
