//! Routes of the payment service.

use super::{
    Capture, ChallengeAnswer, Difference, LogEntry, NewPayment, NewRefund, Pay, Payment, PaymentRef, PaymentState,
    PaymentsQuery, Received, Refund, RefundOrder, RefundPart, RefundState,
};
use crate::{
    IdempotencyKey, IfAny, JsonObject, List,
    Policy::{self, Open, Service, User},
    ProviderSignature, RequiredIdempotencyKey, WEBHOOK_BODY_BYTES_MAX,
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Account {
        /// Pays an order.
        CREATE in Checkout = Post "/api/v1/payments" User
            => with RequiredIdempotencyKey (NewPayment) -> 201 Payment;
        /// A page of the user's payments, newest first.
        LIST = Get "/api/v1/payments" User
            => with PaymentsQuery () -> 200 List<Payment>;
        READ = Get "/api/v1/payments/{id}" User
            => () -> 200 Payment;
        /// Refunds a payment in full or in part.
        REFUND in Admin = Post "/api/v1/payments/refund" Policy::FINANCE
            => with RequiredIdempotencyKey (NewRefund) -> 201 Refund;
        /// Goes on with a payment after its payer has acted.
        CONFIRM in Checkout = Post "/api/v1/payments/{id}/confirm" User
            => with IdempotencyKey () -> 200 Payment;
        /// Captures an authorised payment in full or in part.
        CAPTURE in Admin = Post "/api/v1/payments/{id}/capture" Policy::FINANCE
            => with IdempotencyKey (IfAny<Capture>) -> 200 Payment;
        /// Voids a payment that is not captured.
        VOID_UNCAPTURED in Admin = Post "/api/v1/payments/{id}/void" Policy::FINANCE
            => with IdempotencyKey () -> 200 Payment;
        /// What happened to a payment, oldest entry first.
        LOG in Admin = Get "/api/v1/payments/{id}/log" Policy::PAYMENTS
            => () -> 200 List<LogEntry>;
        /// Differences between the ledger and the provider.
        DIFFERENCES in Admin = Get "/api/v1/payments/reconciliation" Policy::FINANCE
            => () -> 200 List<Difference>;
        /// Answers a challenge of the simulated provider.
        CHALLENGE in Checkout = Post "/api/v1/payments/challenges/{reference}" User
            => (ChallengeAnswer) -> 204;
        /// A message of the provider, which its signature admits.
        WEBHOOK in Exempt = Post "/api/v1/payments/webhooks/{provider}" Open, WEBHOOK_BODY_BYTES_MAX
            => with ProviderSignature (JsonObject) -> 200 Received;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// Pays an order for the order service; idempotent by payment.
        PAY = Post "/internal/v1/pay" Service(&["order"])
            => (Pay) -> 200 PaymentState;
        /// The outcome of a payment; an unknown one becomes voided.
        SETTLE = Post "/internal/v1/settle" Service(&["order"])
            => (PaymentRef) -> 200 PaymentState;
        /// Voids a payment unless it has a result.
        VOID = Post "/internal/v1/void" Service(&["order"])
            => (PaymentRef) -> 200 PaymentState;
        /// Refunds the remaining amount of a payment.
        REFUND_REMAINING = Post "/internal/v1/refund" Service(&["order"])
            => (RefundOrder) -> 200 PaymentState;
        /// Refunds an amount of a payment; idempotent by refund.
        REFUND_PART = Post "/internal/v1/refund-part" Service(&["order"])
            => (RefundPart) -> 200 RefundState;
    }
}
