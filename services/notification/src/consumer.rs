//! Consumes the events that users are notified of, in two groups by priority, and the dead letters of every service. Depends on the
//! use cases, not on SQL. Each effect is idempotent by its id, so that no event needs a row in the inbox.

mod carts;
mod orders;
mod products;
mod users;
mod webhooks;

use agora_events::{
    DeadLetter as DeadLetterData, DeadLetterEvent, DeadLetterMetadata, Envelope, Topic, cart_line::CartLineEvent,
    order::OrderEvent, payment::PaymentEvent, promotional::PromotionalEvent, recommendation::RecommendationEvent,
    topics, user::UserEvent,
};
use agora_outbox::Failure;
use agora_topology::NOTIFICATION_GROUPS;
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    domain::{Content, DeadLetter, DeadLetterKind, Kind, LetterState, NewNotification, Origin, Priority},
    ports::StoreError,
    service::{Effects, Error, NotificationService},
};

/// The consumer groups and the topics that each reads. A backlog of promotions does not delay an order's mail.
pub const GROUPS: [(&str, &[Topic]); 2] = [
    (NOTIFICATION_GROUPS[0], &[topics::USER, topics::ORDER, topics::PAYMENT]),
    (NOTIFICATION_GROUPS[1], &[topics::PROMOTIONAL, topics::RECOMMENDATION, topics::CART, topics::DEAD_LETTER]),
];

/// Handles a batch of events. Idempotent: after a failure, the same events may be handled again.
pub async fn handle(service: NotificationService, envelopes: Vec<Envelope>) -> Result<(), Failure> {
    let mut effects = Effects::default();
    for envelope in &envelopes {
        add(&mut effects, envelope)?;
    }
    if effects == Effects::default() { Ok(()) } else { service.apply(effects).await.map_err(failure) }
}

/// Adds what an event changes. An event of an unknown type changes nothing.
fn add(effects: &mut Effects, envelope: &Envelope) -> Result<(), Failure> {
    let malformed = |error: serde_json::Error| Failure::Poison(error.into());
    effects.webhooks.extend(webhooks::of(envelope).map_err(malformed)?);
    if let Some(event) = envelope.event::<UserEvent>().map_err(malformed)? {
        users::add(effects, envelope, event)?;
    } else if let Some(event) = envelope.event::<OrderEvent>().map_err(malformed)? {
        effects.notifications.extend(orders::of_order(envelope, event));
    } else if let Some(event) = envelope.event::<PaymentEvent>().map_err(malformed)? {
        effects.notifications.extend(orders::of_payment(envelope, &event));
    } else if let Some(event) = envelope.event::<PromotionalEvent>().map_err(malformed)? {
        effects.campaigns.push(products::of_promotion(envelope, event));
    } else if let Some(event) = envelope.event::<RecommendationEvent>().map_err(malformed)? {
        effects.notifications.extend(products::of_recommendation(envelope, event));
    } else if let Some(event) = envelope.event::<CartLineEvent>().map_err(malformed)? {
        effects.notifications.push(carts::of_line(envelope, event));
    } else if let Some(DeadLetterEvent::Dead(letter)) = envelope.event().map_err(malformed)? {
        // The entry of a mail is written with the event.
        effects.dead_letters.push(dead_letter(envelope, letter)?);
    }
    Ok(())
}

/// A notification about an event.
fn notification(
    envelope: &Envelope,
    user: agora_vocab::UserId,
    (kind, priority): (Kind, Priority),
    content: Content,
    metadata: serde_json::Value,
) -> NewNotification {
    let metadata = match metadata {
        serde_json::Value::Object(metadata) => metadata,
        _ => serde_json::Map::new(),
    };
    NewNotification { source: envelope.id, user, kind, priority, content, metadata, at: envelope.time }
}

/// One event is one failure: its id is the entry's.
fn dead_letter(envelope: &Envelope, letter: DeadLetterData) -> Result<DeadLetter, Failure> {
    let DeadLetterData { original_message, metadata } = letter;
    let DeadLetterMetadata { consumer, original_topic, partition, offset, reason, headers } = metadata;
    let payload = original_message.map(|text| BASE64_STANDARD.decode(text)).transpose();
    let headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(DeadLetter {
        id: envelope.id,
        kind: DeadLetterKind::Message,
        consumer,
        origin: Some(Origin { topic: original_topic, partition, offset, headers }),
        payload: payload.map_err(|error| Failure::Poison(error.into()))?,
        notification: None,
        reason,
        state: LetterState::Open,
        decided_by: None,
        decided_at: None,
        note: None,
        created_at: envelope.time,
    })
}

/// An unavailable database is retried; any other error is tried a few times and dead-letters the event.
fn failure(error: Error) -> Failure {
    match error {
        Error::Store(StoreError::Unavailable(_) | StoreError::Running) => Failure::Again(error.into()),
        error => Failure::Defect(error.into()),
    }
}
