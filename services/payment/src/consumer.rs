//! `order-events`: a cancelled order's money goes back, or is never taken. The order's saga commands the same; this is
//! the second door, for when the saga's command was lost with its database.

use agora_events::{Envelope, Topic, order::OrderEvent, topics};
use agora_outbox::Failure;

use crate::usecases::{Error, Pay};

/// What it reads.
pub const TOPICS: &[Topic] = &[topics::ORDER];
/// The group's and the inbox's name.
pub const CONSUMER: &str = "payment";

/// Handles one fact; repeats are no-ops by the payment's state.
pub async fn handle(pay: &Pay, envelope: Envelope) -> Result<(), Failure> {
    let event: Option<OrderEvent> = envelope.event().map_err(|error| Failure::Poison(Box::new(error)))?;
    match event {
        Some(OrderEvent::Cancelled(order)) => match order.payment_id {
            Some(payment) => pay.order_cancelled(payment).await.map_err(failure),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Nothing about a payment makes the fact unreadable: what fails is tried again.
fn failure(error: Error) -> Failure {
    match error {
        // The shop took money by a provider that it no longer has: a person must see to it.
        Error::NoProvider => Failure::Poison(Box::new(error)),
        error => Failure::Again(Box::new(error)),
    }
}
