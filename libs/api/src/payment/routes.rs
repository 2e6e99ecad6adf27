//! Routes of the payment service.

use crate::{
    Policy::{self, Service, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC {
        /// Pays an order.
        CREATE = Post "/api/v1/payments" User;
        /// A page of the user's payments, newest first.
        LIST = Get "/api/v1/payments" User;
        READ = Get "/api/v1/payments/{id}" User;
        /// Refunds a payment in full or in part.
        REFUND = Post "/api/v1/payments/refund" Policy::ADMIN;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL {
        /// Pays an order for the order service; idempotent by payment.
        PAY = Post "/internal/v1/pay" Service;
        /// The outcome of a payment; an unknown one becomes voided.
        SETTLE = Post "/internal/v1/settle" Service;
        /// Voids a payment unless it has a result.
        VOID = Post "/internal/v1/void" Service;
        /// Refunds the remaining amount of a payment.
        REFUND_REMAINING = Post "/internal/v1/refund" Service;
    }
}
