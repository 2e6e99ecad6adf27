//! Orders with their lines, parcels and returns, and what an order may use: coupons, shipping methods, tax rules.

use agora_api::{Route, order};
use async_graphql::{ComplexObject, Context, ID, SimpleObject};
use serde::Deserialize;

use super::{
    accounts::{PostalAddress, User},
    catalog::Product,
};
use crate::graphql::{
    cost,
    fault::Answer,
    loaders::{ListedById, linked},
    scalars::{DateTime, Long, Money},
};

/// An order as its owner and the staff see it.
#[derive(Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: ID,
    /// What people call it: `A-1000001`.
    pub number: String,
    pub user_id: ID,
    pub status: String,
    pub payment_status: String,
    /// The payment under way or made.
    pub payment_id: Option<ID>,
    #[graphql(complexity = "cost::lines(child_complexity)")]
    pub items: Vec<OrderProduct>,
    pub total: Money,
    /// What a coupon takes off the items' sum.
    pub discount: Option<Money>,
    pub coupon_code: Option<String>,
    pub shipping_method: Option<String>,
    /// A part of the total.
    pub shipping_price: Option<Money>,
    /// The tax that the prices of the items include.
    pub tax: Option<Tax>,
    pub shipping_address: Option<PostalAddress>,
    #[graphql(complexity = "cost::lines(child_complexity)")]
    #[serde(default)]
    pub shipments: Vec<Shipment>,
    #[graphql(complexity = "cost::lines(child_complexity)")]
    #[serde(default)]
    pub returns: Vec<Return>,
    /// Rises by one with each change.
    pub version: Long,
    /// Until when it can be paid.
    pub expires_at: DateTime,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

#[ComplexObject]
impl Order {
    /// The same as `id`.
    #[graphql(name = "_id")]
    async fn same_id(&self) -> &ID {
        &self.id
    }

    /// Who placed it; for support.
    async fn user(&self, context: &Context<'_>) -> Answer<User> {
        linked(context, &self.user_id).await
    }

    /// The same as `items`.
    #[graphql(complexity = "cost::lines(child_complexity)")]
    async fn products(&self) -> &Vec<OrderProduct> {
        &self.items
    }
}

impl ListedById for Order {
    const LIST: Route = order::routes::LIST;

    fn object_id(&self) -> &ID {
        &self.id
    }
}

/// A line of an order, as it was when the order was made.
#[derive(Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct OrderProduct {
    pub product_id: ID,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub name: String,
    pub quantity: i64,
    /// What one unit cost.
    #[serde(rename = "price")]
    pub unit_price: Money,
    /// `unitPrice` × `quantity`.
    pub total: Money,
    /// Its part of the order's discount.
    pub discount: Option<Money>,
    pub tax: Option<Money>,
    pub brand: Option<String>,
    pub category: Option<String>,
    pub supplier: Option<String>,
    pub seller_id: ID,
}

#[ComplexObject]
impl OrderProduct {
    /// The same as `productId`.
    #[graphql(name = "_id")]
    async fn same_id(&self) -> &ID {
        &self.product_id
    }

    /// What one unit cost as a decimal number, to be shown. `unitPrice` is exact.
    async fn price(&self) -> f64 {
        self.unit_price.as_decimal()
    }

    /// The product as it is now; null if it does not exist any more.
    async fn product(&self, context: &Context<'_>) -> Answer<Product> {
        linked(context, &self.product_id).await
    }
}

/// The tax of an order, by the rule that applied when it was made.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Tax {
    pub country: String,
    /// Share of the net price.
    pub basis_points: i32,
    /// Whether the prices of the items include it.
    pub included: bool,
    pub rounding: String,
    pub amount: Money,
}

/// A parcel with units of an order.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Shipment {
    pub id: ID,
    pub seller_id: ID,
    /// `shipped` or `delivered`.
    pub status: String,
    pub carrier: String,
    pub tracking_number: Option<String>,
    #[graphql(complexity = "cost::lines(child_complexity)")]
    pub items: Vec<ShippedItem>,
    pub created_at: DateTime,
    pub delivered_at: Option<DateTime>,
}

/// Units of one line of an order.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct ShippedItem {
    pub product_id: ID,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub quantity: i64,
}

/// Units that the owner of an order sends back.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Return {
    pub id: ID,
    /// `requested`, `accepted`, `rejected`, `received` or `refunded`.
    pub status: String,
    #[graphql(complexity = "cost::lines(child_complexity)")]
    pub items: Vec<ShippedItem>,
    pub reason: String,
    /// The price of the units, which goes back when they are received.
    pub amount: Money,
    /// Whether the units went into stock again; null until they are received.
    pub resellable: Option<bool>,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Coupon {
    pub code: String,
    /// `percent` or `fixed`.
    pub kind: String,
    /// The share of the items' sum, of `percent`.
    pub basis_points: Option<i32>,
    /// What is taken off, of `fixed`.
    pub amount: Option<Money>,
    /// Least sum of the items.
    pub minimum_total: Option<Money>,
    pub valid_from: Option<DateTime>,
    pub valid_until: Option<DateTime>,
    pub uses_max: Option<i32>,
    pub uses_per_user_max: Option<i32>,
    /// Orders that use it, without those that ended before their payment.
    pub uses: i32,
    pub active: bool,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct ShippingMethod {
    pub code: String,
    pub name: String,
    pub price: Money,
    /// Sum of the items less the discount from which it costs nothing.
    pub free_from: Option<Money>,
    /// ISO 3166-1 codes; every country if empty.
    pub countries: Vec<String>,
    pub active: bool,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

/// The tax that prices include in orders to a country.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct TaxRule {
    pub country: String,
    /// Share of the net price.
    pub basis_points: i32,
    /// `half_up` or `half_even`.
    pub rounding: String,
    pub active: bool,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

/// The products that sold most.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct TopProducts {
    pub items: Vec<TopProduct>,
    /// Later orders are not counted.
    pub refreshed_at: DateTime,
}

/// Sales of a product in one currency, of orders that are paid and not refunded.
#[derive(Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct TopProduct {
    pub product_id: ID,
    pub name: String,
    pub brand: Option<String>,
    pub category: Option<String>,
    pub supplier: Option<String>,
    pub units: Long,
    /// Number of orders with the product.
    pub orders: Long,
    pub revenue: Money,
}

#[ComplexObject]
impl TopProduct {
    /// The product as it is now; null if it does not exist any more.
    async fn product(&self, context: &Context<'_>) -> Answer<Product> {
        linked(context, &self.product_id).await
    }
}

super::pages! {
    OrderPage of Order;
    CouponPage of Coupon;
    ShippingMethodPage of ShippingMethod;
    TaxRulePage of TaxRule;
}
