//! Routes of the payment service.

use crate::{
    Policy::{self, Open, Service, User},
    WEBHOOK_BODY_BYTES_MAX,
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Account {
        /// Pays an order.
        CREATE in Checkout = Post "/api/v1/payments" User;
        /// A page of the user's payments, newest first.
        LIST = Get "/api/v1/payments" User;
        READ = Get "/api/v1/payments/{id}" User;
        /// Refunds a payment in full or in part.
        REFUND in Admin = Post "/api/v1/payments/refund" Policy::FINANCE;
        /// Goes on with a payment after its payer has acted.
        CONFIRM in Checkout = Post "/api/v1/payments/{id}/confirm" User;
        /// Captures an authorised payment in full or in part.
        CAPTURE in Admin = Post "/api/v1/payments/{id}/capture" Policy::FINANCE;
        /// Voids a payment that is not captured.
        VOID_UNCAPTURED in Admin = Post "/api/v1/payments/{id}/void" Policy::FINANCE;
        /// What happened to a payment, oldest entry first.
        LOG in Admin = Get "/api/v1/payments/{id}/log" Policy::PAYMENTS;
        /// Differences between the ledger and the provider.
        DIFFERENCES in Admin = Get "/api/v1/payments/reconciliation" Policy::FINANCE;
        /// Answers a challenge of the simulated provider.
        CHALLENGE in Checkout = Post "/api/v1/payments/challenges/{reference}" User;
        /// A message of the provider, which its signature admits.
        WEBHOOK in Exempt = Post "/api/v1/payments/webhooks/{provider}" Open, WEBHOOK_BODY_BYTES_MAX;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// Pays an order for the order service; idempotent by payment.
        PAY = Post "/internal/v1/pay" Service(&["order"]);
        /// The outcome of a payment; an unknown one becomes voided.
        SETTLE = Post "/internal/v1/settle" Service(&["order"]);
        /// Voids a payment unless it has a result.
        VOID = Post "/internal/v1/void" Service(&["order"]);
        /// Refunds the remaining amount of a payment.
        REFUND_REMAINING = Post "/internal/v1/refund" Service(&["order"]);
        /// Refunds an amount of a payment; idempotent by refund.
        REFUND_PART = Post "/internal/v1/refund-part" Service(&["order"]);
    }
}
