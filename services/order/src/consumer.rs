//! Kafka consumer of payment, inventory and user events. Calls the same use cases as the internal HTTP API.

use agora_events::{
    Envelope, Topic,
    catalog::InventoryEvent,
    payment::{Payment, PaymentEvent},
    topics,
    user::{Account, Erasure, UserEvent},
};
use agora_outbox::{DedupKey, Failure};
use agora_vocab::{CommandId, Epoch, OrderId, PaymentId, UserId};

use crate::{
    domain::{Customer, CustomerEvent, PaymentOutcome},
    service::{Error, OrderService, ReportService},
};

/// Kafka consumer group, also the consumer name in the inbox.
pub const CONSUMER: &str = "order";
/// Topics that the service consumes.
pub const TOPICS: &[Topic] = &[topics::PAYMENT, topics::INVENTORY, topics::USER];

/// Handles events. Payment results that the order knows already, as nearly all, are found by one statement.
pub async fn handle(service: OrderService, reports: ReportService, envelopes: Vec<Envelope>) -> Result<(), Failure> {
    let events: Vec<_> = envelopes.iter().map(parse).collect::<Result<_, _>>()?;
    let users: Vec<CustomerEvent> = events.iter().filter_map(Incoming::user).cloned().collect();
    if !users.is_empty() {
        reports.users_changed(&users).await.map_err(failure)?;
    }
    if users.iter().any(|user| user.customer.is_none()) {
        service.erase_ended_orders().await.map_err(failure)?;
    }
    let results: Vec<CommandId> = events.iter().filter_map(Incoming::result).collect();
    let known = service.known_results(&results).await.map_err(failure)?;
    for event in events.into_iter().filter(|event| event.result().is_none_or(|result| !known.contains(&result))) {
        apply(&service, event).await.map_err(failure)?;
    }
    Ok(())
}

/// An event that concerns orders.
enum Incoming {
    Payment { order: OrderId, payment: PaymentId, result: CommandId, outcome: PaymentOutcome },
    ReservationExpired { order: OrderId, hold: i32, dedup_key: DedupKey },
    User(CustomerEvent),
    Other,
}

impl Incoming {
    fn result(&self) -> Option<CommandId> {
        if let Self::Payment { result, .. } = self { Some(*result) } else { None }
    }

    fn user(&self) -> Option<&CustomerEvent> {
        if let Self::User(event) = self { Some(event) } else { None }
    }

    fn paid(paid: &Payment, outcome: PaymentOutcome) -> Self {
        Self::Payment { order: paid.order_id, payment: paid.payment_id, result: paid.result_id, outcome }
    }
}

fn parse(envelope: &Envelope) -> Result<Incoming, Failure> {
    let poison = |error: serde_json::Error| Failure::Poison(error.into());
    if let Some(event) = envelope.event::<PaymentEvent>().map_err(poison)? {
        return Ok(match event {
            PaymentEvent::Authorised(_) => Incoming::Other,
            PaymentEvent::Captured(payment) => Incoming::paid(&payment, PaymentOutcome::Captured),
            PaymentEvent::Declined(payment) => Incoming::paid(&payment, PaymentOutcome::Declined),
            PaymentEvent::Failed(payment) => Incoming::paid(&payment, PaymentOutcome::Failed),
            PaymentEvent::Voided(payment) => Incoming::paid(&payment, PaymentOutcome::Voided),
            PaymentEvent::Refunded(refund) => {
                let whole = refund.refunded == refund.captured;
                let outcome = if whole { PaymentOutcome::Refunded } else { PaymentOutcome::PartiallyRefunded };
                let (order, payment, result) = (refund.order_id, refund.payment_id, refund.result_id);
                Incoming::Payment { order, payment, result, outcome }
            }
        });
    }
    if let Some(event) = envelope.event::<UserEvent>().map_err(poison)? {
        return Ok(match event {
            UserEvent::Registered(account) | UserEvent::Updated(account) => Incoming::User(customer(account, envelope)),
            UserEvent::Erased(Erasure { user_id }) => Incoming::User(erased(user_id, envelope)),
            _ => Incoming::Other,
        });
    }
    let Some(InventoryEvent::ReservationExpired(expired)) = envelope.event::<InventoryEvent>().map_err(poison)? else {
        return Ok(Incoming::Other);
    };
    let dedup_key = DedupKey::Event { consumer: CONSUMER, id: envelope.id };
    Ok(Incoming::ReservationExpired { order: expired.order_id, hold: expired.hold, dedup_key })
}

fn customer(account: Account, envelope: &Envelope) -> CustomerEvent {
    let Account { user_id, email, name, blocked, .. } = account;
    let (epoch, seq) = (Epoch(envelope.epoch), envelope.seq);
    CustomerEvent { user: user_id, customer: Some(Customer { email, name }), blocked, epoch, seq }
}

fn erased(user: UserId, envelope: &Envelope) -> CustomerEvent {
    let (epoch, seq) = (Epoch(envelope.epoch), envelope.seq);
    CustomerEvent { user, customer: None, blocked: true, epoch, seq }
}

async fn apply(service: &OrderService, event: Incoming) -> Result<(), Error> {
    match event {
        Incoming::Payment { order, payment, result, outcome } => {
            service.payment_published(order, payment, (result, outcome)).await
        }
        Incoming::ReservationExpired { order, hold, dedup_key } => {
            service.reservation_expired(order, hold, &dedup_key).await
        }
        Incoming::User(_) | Incoming::Other => Ok(()),
    }
}

/// Retries transient errors; any other error makes the event a dead letter.
fn failure(error: Error) -> Failure {
    match error {
        Error::Unavailable(_) | Error::Running => Failure::Again(error.into()),
        _ => Failure::Poison(error.into()),
    }
}
