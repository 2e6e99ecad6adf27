//! Bodies of payments, and the internal commands by which an order pays, asks, voids and refunds.

pub mod routes;

use agora_vocab::{Money, OrderId, PaymentId, RefundId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// `GET /payments?orderId=&limit=&cursor=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentsQuery {
    /// Only payments of this order.
    #[serde(alias = "order_id")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub order_id: Option<OrderId>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPayment {
    /// The order to pay.
    pub order_id: OrderId,
    /// What the payer believes it costs; refused if it costs something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    pub method: String,
    /// `automatic` (the default), or `manual`: the amount is only authorised, and captured or voided later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_method: Option<String>,
    /// The provider's token of the card; never a card number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Masked: a token can be charged.
impl std::fmt::Debug for NewPayment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPayment").field("order_id", &self.order_id).field("token", &"…").finish_non_exhaustive()
    }
}

/// A payment as its payer and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    pub id: PaymentId,
    /// The order that it pays.
    pub order_id: OrderId,
    /// The order's state as the order service last reported it; null if the service was unreachable.
    pub order_status: Option<String>,
    pub user_id: UserId,
    /// `pending`, `action_required`, `authorised`, `captured`, `declined`, `failed`, `voided`, `partially_refunded` or
    /// `refunded`.
    pub status: String,
    pub amount: Money,
    /// How much of it is held or was captured.
    pub authorised: Money,
    /// How much of it was captured.
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
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// What a payer must do before the payment can go on, for example 3-D Secure. Afterwards `POST /payments/{id}/confirm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NextAction {
    /// `redirect`, or the provider's own name of the action.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where the payer must go, as a reference relative to this request; null if the provider's own scripts lead the payer.
    pub url: Option<String>,
}

/// `POST /payments/challenges/{reference}`: the answer of the payer's bank, only with the simulated provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChallengeAnswer {
    pub approve: bool,
}

/// `POST /payments/{id}/capture`: without `amount`, the whole authorised amount; the rest is released.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capture {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

/// An entry of a payment's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `created`, `authorised`, `captured`, `declined`, `failed`, `voided`, `pending`, `refund_requested`,
    /// `refund_succeeded`, `refund_failed`, `provider_event` or `note`.
    pub kind: String,
    pub amount: Option<Money>,
    /// The provider's reference.
    pub reference_id: Option<String>,
    pub message: Option<String>,
}

/// A difference between the ledger and the provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// `missing_here`, `missing_there` or `amount_differs`.
    pub category: String,
    /// `capture` or `refund`.
    pub kind: String,
    /// The provider's reference of the charge or refund.
    pub reference_id: String,
    /// What the ledger contains.
    pub here: Option<Money>,
    /// What the provider reports.
    pub there: Option<Money>,
    /// When the money moved.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// The answer to a message of the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Received {
    pub received: bool,
}

/// `POST /payments/refund`: one of `payment_id` and `order_id`; without `amount`, all that is left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRefund {
    /// The payment to give back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<PaymentId>,
    /// Or the order whose payment to give back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    pub id: RefundId,
    /// The payment that it gives back.
    pub payment_id: PaymentId,
    /// The order that was paid.
    pub order_id: OrderId,
    /// `pending`, `succeeded` or `failed`.
    pub status: String,
    pub amount: Money,
    /// How much of the payment is given back in all.
    pub refunded: Money,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Internal `POST /internal/v1/pay`: repeated with the same payment id.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pay {
    pub payment_id: PaymentId,
    /// The order that it pays.
    pub order_id: OrderId,
    pub user_id: UserId,
    pub total: Money,
    pub method: String,
    /// The provider's token of the card.
    pub token: String,
}

/// Masked: a token can be charged.
impl std::fmt::Debug for Pay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pay").field("payment_id", &self.payment_id).field("token", &"…").finish_non_exhaustive()
    }
}

/// Internal `POST /internal/v1/settle` (asks for the final state; an unknown id is written as `voided`) and
/// `POST /internal/v1/void`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentRef {
    pub payment_id: PaymentId,
    /// The order that it pays.
    pub order_id: OrderId,
    pub user_id: UserId,
    pub total: Money,
}

/// Internal `POST /internal/v1/refund`: what is left of the payment goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundOrder {
    /// The payment to give back.
    pub payment_id: PaymentId,
    /// The order that was paid.
    pub order_id: OrderId,
}

/// Internal `POST /internal/v1/refund-part`: an amount of the payment goes back, or what is left if that is less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundPart {
    pub payment_id: PaymentId,
    /// The order that was paid.
    pub order_id: OrderId,
    /// The refund's id, the same in every repetition.
    pub refund_id: RefundId,
    pub amount: Money,
}

/// The answer to `refund-part`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RefundState {
    pub refund_id: RefundId,
    /// `pending`, `succeeded`, `failed`, or `nothing_left` if the whole payment went back before.
    pub status: String,
}

/// The answer to `pay`, `settle`, `void` and `refund`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PaymentState {
    pub payment_id: PaymentId,
    /// `pending`, `captured`, `declined`, `failed`, `voided`, `partially_refunded` or `refunded`.
    pub status: String,
    /// The result's own id, once there is a result.
    pub result_id: Option<agora_vocab::CommandId>,
}
