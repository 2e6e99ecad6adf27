//! Spans of events that are handled, by the semantic conventions of OpenTelemetry for messaging. Where spans are not exported
//! they have the fields that log lines need.

use agora_chassis::trace;
use agora_events::Envelope;
use agora_kafka::Incoming;
use tracing::{Span, field::Empty};

/// The span of several events that are handled at once.
pub(crate) fn of_batch(consumer: &'static str, events: usize) -> Span {
    if !trace::is_exported() {
        return tracing::info_span!(parent: None, "handle", consumer, events);
    }
    tracing::info_span!(
        parent: None,
        "handle",
        consumer,
        otel.name = format!("process {consumer}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "kafka",
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        messaging.consumer.group.name = consumer,
        messaging.batch.message_count = events,
    )
}

/// The span of one event.
pub(crate) fn of_event(consumer: &'static str, message: &Incoming, envelope: &Envelope) -> Span {
    let id = envelope.id;
    if !trace::is_exported() {
        return tracing::info_span!("handle", event.id = %id, event.kind = envelope.kind, order_id = Empty, user_id = Empty);
    }
    let topic = message.partition.topic.name();
    tracing::info_span!(
        "handle",
        event.id = %id,
        event.kind = envelope.kind,
        order_id = Empty,
        user_id = Empty,
        otel.name = format!("process {topic}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "kafka",
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        messaging.consumer.group.name = consumer,
        messaging.destination.name = topic,
        messaging.destination.partition.id = message.partition.number,
        messaging.kafka.offset = message.offset,
        messaging.kafka.message.key = envelope.key,
        messaging.message.id = %id,
    )
}
