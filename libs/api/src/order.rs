//! Bodies of orders, and the internal commands by which payments begin and report.

mod coupons;
mod queries;
mod reports;
mod returns;
pub mod routes;
mod shipments;
mod shipping_methods;
mod tax_rules;

use agora_vocab::{AddressId, CommandId, Money, OrderId, PaymentId, ProductId, SellerId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use coupons::{ChangeCoupon, Coupon, Moment, NewCoupon};
pub use queries::{AllOrdersQuery, OrdersQuery};
pub use reports::{LatestOrders, ReportedOrder, ReportedUser, TopProduct, TopProducts};
pub use returns::{NewReturn, ReceiveReturn, Return};
pub use shipments::{NewShipment, Shipment, ShippedItem};
pub use shipping_methods::{ChangeShippingMethod, NewShippingMethod, ShippingMethod};
pub use tax_rules::{ChangeTaxRule, NewTaxRule, ShippingTax, Tax, TaxRule};

use crate::user::PostalAddress;

/// `POST /orders`: without `items`, of the cart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOrder {
    /// What to order; the cart's content if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<NewItem>>,
    /// An entry of the address book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_id: Option<AddressId>,
    /// Or the address itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<PostalAddress>,
    /// Pay at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PayWith>,
    /// The total that the shopper has seen: an order of another total is not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_total: Option<Money>,
    /// A coupon, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// How to deliver; the cheapest method that serves the address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<String>,
}

/// A line of a new order. A price from the client would be ignored, so it is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewItem {
    pub product_id: ProductId,
    pub quantity: i64,
    /// The variant; absent for a product without variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// How to pay.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PayWith {
    pub method: String,
    /// The provider's token of the card; never a card number.
    pub token: String,
}

/// Masked: a token can be charged.
impl std::fmt::Debug for PayWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayWith").field("method", &self.method).field("token", &"…").finish()
    }
}

/// An order as its owner and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: OrderId,
    /// What people call it: `A-1000001`.
    pub number: String,
    pub user_id: UserId,
    pub status: String,
    /// Its payment's state.
    pub payment_status: String,
    /// The payment under way or made.
    pub payment_id: Option<PaymentId>,
    /// What was bought.
    pub items: Vec<Item>,
    /// What it costs.
    pub total: Money,
    /// What a coupon takes off the items' sum; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// The coupon, in capitals; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// How it is delivered; absent if the shop has no shipping methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<String>,
    /// A part of the total; absent if the shop has no shipping methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_price: Option<Money>,
    /// The tax that the prices of the items include; absent without a rule for the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
    /// The tax that the price of the delivery includes; absent without a rule for the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_tax: Option<ShippingTax>,
    /// The tax that the total includes: of the items and of the delivery; absent if neither is taxed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_total: Option<Money>,
    /// Where it goes. Null without one, and once the order has ended if the account of its user was erased.
    pub shipping_address: Option<PostalAddress>,
    /// Its parcels, oldest first; absent if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shipments: Vec<Shipment>,
    /// Its returns, oldest first; absent if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<Return>,
    /// Rises by one with each change.
    pub version: i64,
    /// Until when it can be paid.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A line of an order, frozen when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = OrderItem))]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// The product's name then.
    pub name: String,
    pub quantity: u32,
    /// What one unit cost then.
    pub price: Money,
    /// `price` × `quantity`.
    pub total: Money,
    /// Its part of the order's discount; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// The tax that its total less the discount includes; absent without a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Money>,
    /// The brand then.
    pub brand: Option<String>,
    /// The category then.
    pub category: Option<String>,
    /// The supplier then.
    pub supplier: Option<String>,
    /// Who sold it.
    pub seller_id: SellerId,
}

/// `PATCH /orders/{id}`: `processing`, `shipped`, `completed` or `cancelled`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeStatus {
    /// The new state.
    pub status: String,
}

/// Internal `POST /internal/v1/orders/{id}/begin-payment`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BeginPayment {
    /// The payment that begins.
    pub payment_id: PaymentId,
    pub user_id: UserId,
    /// The amount that the payer expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

/// What there is to pay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentDue {
    /// The order's total.
    pub amount: Money,
}

/// Internal `POST /internal/v1/orders/{id}/payment-result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentResult {
    pub payment_id: PaymentId,
    /// The result's own id: it counts once, whichever way it comes.
    pub result_id: CommandId,
    /// `captured`, `declined`, `failed`, `voided`, `partially_refunded` or `refunded`.
    pub status: String,
}

/// The order's state after a payment's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderState {
    pub status: String,
    /// Its payment's state.
    pub payment_status: String,
}
