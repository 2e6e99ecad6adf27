//! Bodies of reports about all orders.

use agora_vocab::{Money, ProductId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Order;

/// Answer of `GET /admin/reports/top-products`: the products that sold most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TopProducts {
    /// Most units first; a product that sold in two currencies is listed for each.
    pub items: Vec<TopProduct>,
    /// Later orders are not counted.
    #[serde(with = "time::serde::rfc3339")]
    pub refreshed_at: OffsetDateTime,
}

/// Sales of a product in one currency, of orders that are paid and not refunded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TopProduct {
    pub product_id: ProductId,
    /// Name, brand, category and supplier in its latest order.
    pub name: String,
    pub brand: Option<String>,
    pub category: Option<String>,
    pub supplier: Option<String>,
    pub units: i64,
    /// Number of orders with the product.
    pub orders: i64,
    pub revenue: Money,
}

/// `GET /admin/reports/latest-orders`: the latest 100 orders, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LatestOrders {
    pub items: Vec<ReportedOrder>,
}

/// An order with the user that placed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportedOrder {
    #[serde(flatten)]
    pub order: Order,
    /// Null until order has heard of the user, seconds after their registration, and of an erased account.
    pub user: Option<ReportedUser>,
}

/// The user of a reported order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportedUser {
    pub email: String,
    pub name: Option<String>,
}
