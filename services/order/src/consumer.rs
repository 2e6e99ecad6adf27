//! Facts of payment and catalogue that an order hears: the same use cases as the commands that bring the same news.

use agora_events::{Envelope, Topic, catalog::InventoryEvent, payment::PaymentEvent, topics};
use agora_outbox::{DedupKey, Failure};

use crate::{
    domain::PaymentOutcome,
    usecases::{Error, Ordering},
};

/// The consumer group, and the name under which the inbox knows it.
pub const CONSUMER: &str = "order";
/// What it reads.
pub const TOPICS: &[Topic] = &[topics::PAYMENT, topics::INVENTORY];

/// Handles a fact; one of a type that this build does not know is passed over.
pub async fn handle(ordering: Ordering, envelope: Envelope) -> Result<(), Failure> {
    if let Some(event) = envelope.event::<PaymentEvent>().map_err(poison)? {
        return paid(&ordering, event).await.or_else(judge);
    }
    if let Some(InventoryEvent::ReservationExpired(expired)) = envelope.event::<InventoryEvent>().map_err(poison)? {
        let dedup_key = DedupKey::Event { consumer: CONSUMER, id: envelope.id };
        return ordering.reservation_expired(expired.order_id, expired.hold, &dedup_key).await.or_else(judge);
    }
    Ok(())
}

async fn paid(ordering: &Ordering, event: PaymentEvent) -> Result<(), Error> {
    let (payment, outcome) = match event {
        PaymentEvent::Captured(payment) => (payment, PaymentOutcome::Captured),
        PaymentEvent::Declined(payment) => (payment, PaymentOutcome::Declined),
        PaymentEvent::Failed(payment) => (payment, PaymentOutcome::Failed),
        PaymentEvent::Voided(payment) => (payment, PaymentOutcome::Voided),
        PaymentEvent::Refunded(refund) => {
            let whole = refund.refunded == refund.captured;
            let outcome = if whole { PaymentOutcome::Refunded } else { PaymentOutcome::PartiallyRefunded };
            let result = (refund.result_id, outcome);
            return ordering.payment_published(refund.order_id, refund.payment_id, result).await;
        }
    };
    ordering.payment_published(payment.order_id, payment.payment_id, (payment.result_id, outcome)).await
}

/// Whether the same fact may succeed later.
fn judge(error: Error) -> Result<(), Failure> {
    match error {
        Error::Unavailable(_) | Error::Running => Err(Failure::Again(error.into())),
        _ => Err(Failure::Poison(error.into())),
    }
}

fn poison(error: serde_json::Error) -> Failure {
    Failure::Poison(error.into())
}
