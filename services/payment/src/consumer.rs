//! Consumer of `order-events`: voids or refunds the payment of a cancelled order.
//!
//! The order's saga sends the same commands. This consumer is the safety net for commands that were lost in a restore
//! of the order database. Depends on use cases only.

use agora_events::{Envelope, Topic, order::OrderEvent, topics};
use agora_outbox::Failure;

use crate::service::{Error, PaymentService};

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

/// Maps a use-case error: all errors are retried, except a missing provider.
fn failure(error: Error) -> Failure {
    match error {
        // Captured money cannot be refunded without the provider: an operator must replay the dead letter.
        Error::NoProvider => Failure::Poison(Box::new(error)),
        error => Failure::Again(Box::new(error)),
    }
}
