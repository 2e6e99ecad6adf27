//! `payment-events`: what became of payments. Never a token, never a card.

use agora_vocab::{CommandId, Money, OrderId, PaymentId, RefundId, UserId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of `payment-events`, keyed by payment.
    PaymentEvent on crate::topics::PAYMENT;
    /// The money is held and not taken yet; nothing changes for the order.
    "payment.authorised" => Authorised(Payment),
    /// The money was taken.
    "payment.captured" => Captured(Payment),
    /// The provider said no.
    "payment.declined" => Declined(Payment),
    /// The attempt failed without a decision of the payer's bank.
    "payment.failed" => Failed(Payment),
    /// The payment was called off before any money moved.
    "payment.voided" => Voided(Payment),
    /// Money went back, all or a part.
    "payment.refunded" => Refunded(Refund),
}

/// A payment after the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    pub payment_id: PaymentId,
    /// The order that it pays.
    pub order_id: OrderId,
    pub user_id: UserId,
    pub amount: Money,
    /// The result's own id: the order takes each result once, whichever way it comes.
    pub result_id: CommandId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    pub refund_id: RefundId,
    /// The payment that it gives back.
    pub payment_id: PaymentId,
    /// The order that was paid.
    pub order_id: OrderId,
    /// Who had paid.
    pub user_id: UserId,
    /// How much went back this time.
    pub amount: Money,
    /// How much went back in all.
    pub refunded: Money,
    /// How much had been taken.
    pub captured: Money,
    /// The result's own id.
    pub result_id: CommandId,
}
