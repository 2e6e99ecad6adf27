//! Kafka consumer of payment and inventory events. Calls the same use cases as the internal HTTP API.

use agora_events::{Envelope, Topic, catalog::InventoryEvent, payment::PaymentEvent, topics};
use agora_outbox::{DedupKey, Failure};

use crate::{
    domain::PaymentOutcome,
    usecases::{Error, OrderService},
};

/// Kafka consumer group, also the consumer name in the inbox.
pub const CONSUMER: &str = "order";
/// Topics that the service consumes.
pub const TOPICS: &[Topic] = &[topics::PAYMENT, topics::INVENTORY];

/// Handles one event. Returns `Ok` without effect for an unknown event type.
pub async fn handle(service: OrderService, envelope: Envelope) -> Result<(), Failure> {
    if let Some(event) = envelope.event::<PaymentEvent>().map_err(poison)? {
        return paid(&service, event).await.or_else(classify);
    }
    if let Some(InventoryEvent::ReservationExpired(expired)) = envelope.event::<InventoryEvent>().map_err(poison)? {
        let dedup_key = DedupKey::Event { consumer: CONSUMER, id: envelope.id };
        return service.reservation_expired(expired.order_id, expired.hold, &dedup_key).await.or_else(classify);
    }
    Ok(())
}

async fn paid(service: &OrderService, event: PaymentEvent) -> Result<(), Error> {
    let (payment, outcome) = match event {
        PaymentEvent::Captured(payment) => (payment, PaymentOutcome::Captured),
        PaymentEvent::Declined(payment) => (payment, PaymentOutcome::Declined),
        PaymentEvent::Failed(payment) => (payment, PaymentOutcome::Failed),
        PaymentEvent::Voided(payment) => (payment, PaymentOutcome::Voided),
        PaymentEvent::Refunded(refund) => {
            let whole = refund.refunded == refund.captured;
            let outcome = if whole { PaymentOutcome::Refunded } else { PaymentOutcome::PartiallyRefunded };
            let result = (refund.result_id, outcome);
            return service.payment_published(refund.order_id, refund.payment_id, result).await;
        }
    };
    service.payment_published(payment.order_id, payment.payment_id, (payment.result_id, outcome)).await
}

/// Classifies an error as retryable or permanent.
fn classify(error: Error) -> Result<(), Failure> {
    match error {
        Error::Unavailable(_) | Error::Running => Err(Failure::Again(error.into())),
        _ => Err(Failure::Poison(error.into())),
    }
}

fn poison(error: serde_json::Error) -> Failure {
    Failure::Poison(error.into())
}
