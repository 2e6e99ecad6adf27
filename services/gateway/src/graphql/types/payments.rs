//! Payments and refunds.

use async_graphql::{ComplexObject, Context, ID, SimpleObject};
use serde::Deserialize;

use super::orders::Order;
use crate::graphql::{
    fault::Answer,
    loaders::linked,
    scalars::{DateTime, Money},
};

/// A payment as its payer and the staff see it.
#[derive(Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    pub id: ID,
    pub order_id: ID,
    /// The order's state as the order service last reported it; null if the service was unreachable.
    pub order_status: Option<String>,
    pub user_id: ID,
    pub status: String,
    pub amount: Money,
    /// How much of it is held or was captured.
    pub authorised: Money,
    pub captured: Money,
    /// How much of it went back.
    pub refunded: Money,
    pub method: String,
    /// `automatic` or `manual`.
    pub capture_method: String,
    /// What the payer must do, while the status is `action_required`.
    pub next_action: Option<NextAction>,
    /// The provider's reference.
    pub reference_id: Option<String>,
    /// The bank's authorisation.
    pub authorization_code: Option<String>,
    /// The provider's code for the outcome.
    pub response_code: Option<String>,
    /// The provider's words for the outcome.
    pub response_message: Option<String>,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

#[ComplexObject]
impl Payment {
    /// The order that it pays.
    async fn order(&self, context: &Context<'_>) -> Answer<Order> {
        linked(context, &self.order_id).await
    }
}

/// What a payer must do before the payment can go on.
#[derive(Clone, Deserialize, SimpleObject)]
pub struct NextAction {
    /// `redirect`, or the provider's own name of the action.
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// Where the payer must go; null if the provider's own scripts lead the payer.
    pub url: Option<String>,
}

#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    pub id: ID,
    pub payment_id: ID,
    pub order_id: ID,
    /// `pending`, `succeeded` or `failed`.
    pub status: String,
    pub amount: Money,
    /// How much of the payment is given back in all.
    pub refunded: Money,
    pub created_at: DateTime,
}

/// An entry of a payment's log.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct PaymentLogEntry {
    pub at: DateTime,
    pub kind: String,
    pub amount: Option<Money>,
    /// The provider's reference.
    pub reference_id: Option<String>,
    pub message: Option<String>,
}

super::pages! {
    PaymentPage of Payment;
    PaymentLog of PaymentLogEntry;
}
