//! Public HTTP API of reports: `/api/v1/admin/reports`.

use agora_api::{LimitQuery, order as api};
use agora_web::{Json, PageQuery, Problem, Query, Routes};
use axum::extract::State;

use super::wire::wire;
use crate::{
    domain::{Customer, ReportedOrder, TopProduct},
    service::ReportService,
};

/// Products in the report unless the client asks for another number.
const TOP_PRODUCTS: u16 = 10;

pub fn routes(service: ReportService) -> Routes {
    use api::routes::{LATEST_ORDERS as LATEST, TOP_PRODUCTS as TOP};
    Routes::new().on(TOP, top_products).on(LATEST, latest_orders).with_state(service)
}

async fn top_products(
    State(service): State<ReportService>,
    Query(LimitQuery { limit }): Query<LimitQuery>,
) -> Result<Json<api::TopProducts>, Problem> {
    let asked = limit.is_some();
    let size = PageQuery { limit, ..PageQuery::default() }.parse()?.size.get();
    let top = service.top_products(if asked { size } else { TOP_PRODUCTS }).await?;
    let items = top.items.into_iter().map(product).collect();
    Ok(Json(api::TopProducts { items, refreshed_at: top.refreshed_at }))
}

async fn latest_orders(State(service): State<ReportService>) -> Result<Json<api::LatestOrders>, Problem> {
    let items = service.latest_orders().await?.into_iter().map(reported).collect();
    Ok(Json(api::LatestOrders { items }))
}

fn product(product: TopProduct) -> api::TopProduct {
    let TopProduct { product, name, brand, category, supplier, units, orders, revenue } = product;
    api::TopProduct { product_id: product, name, brand, category, supplier, units, orders, revenue }
}

fn reported(reported: ReportedOrder) -> api::ReportedOrder {
    let ReportedOrder { order, customer } = reported;
    let user = customer.map(|Customer { email, name }| api::ReportedUser { email, name });
    api::ReportedOrder { order: wire(&order), user }
}
