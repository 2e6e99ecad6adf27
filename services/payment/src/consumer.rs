//! Consumer of `order-events`: voids or refunds the payment of a cancelled order.
//!
//! The order's saga sends the same commands. This consumer is the safety net for commands that were lost in a restore
//! of the order database. Depends on use cases only.

use agora_events::{Envelope, Topic, order::OrderEvent, topics};
use agora_outbox::Failure;

use crate::{
    ports::{PaymentError, StoreError},
    service::{Error, PaymentService},
};

/// The topics to subscribe to.
pub const TOPICS: &[Topic] = &[topics::ORDER];
/// The name of the consumer group and of the inbox.
pub const CONSUMER: &str = "payment";

/// Handles a batch of events in their order. Idempotent by the payments' states.
pub async fn handle(service: PaymentService, envelopes: Vec<Envelope>) -> Result<(), Failure> {
    for envelope in envelopes {
        let event: Option<OrderEvent> = envelope.event().map_err(|error| Failure::Poison(Box::new(error)))?;
        if let Some(OrderEvent::Cancelled(order)) = event
            && let Some(payment) = order.payment_id
        {
            service.order_cancelled(payment).await.map_err(failure)?;
        }
    }
    Ok(())
}

/// Retries what passes by itself. Anything else, such as a state that does not allow the change, is tried a few times.
fn failure(error: Error) -> Failure {
    let passes = match &error {
        // Captured money cannot be refunded without the provider: an operator must replay the dead letter.
        Error::NoProvider => return Failure::Poison(Box::new(error)),
        Error::InProgress { .. }
        | Error::OrderUnavailable(_)
        | Error::OrderRejected(_, Some(_))
        | Error::ProviderUnknown(_)
        | Error::Payment(PaymentError::Busy) => true,
        Error::Payment(PaymentError::Store(error)) => matches!(error, StoreError::Unavailable(_) | StoreError::Running),
        Error::NotFound
        | Error::OrderRejected(_, None)
        | Error::Cipher(_)
        | Error::CaptureRefused
        | Error::Webhook(_)
        | Error::Payment(_) => false,
    };
    if passes { Failure::Again(Box::new(error)) } else { Failure::Defect(Box::new(error)) }
}

#[cfg(test)]
mod tests {
    use agora_vocab::PaymentId;

    use super::*;

    #[test]
    fn an_event_is_retried_for_ever_only_for_what_passes_by_itself() {
        let store = |error: StoreError| Error::Payment(PaymentError::Store(error));
        let again = |error: Error| matches!(failure(error), Failure::Again(_));
        assert!(again(store(StoreError::Unavailable("away".into()))));
        assert!(again(store(StoreError::Running)));
        assert!(!again(store(StoreError::Broken("22021: invalid byte sequence".into()))));
        assert!(!again(Error::NotFound));
        assert!(!again(PaymentError::NotFound(PaymentId::new(uuid::Uuid::nil())).into()));
        assert!(matches!(failure(Error::NoProvider), Failure::Poison(_)));
    }
}
