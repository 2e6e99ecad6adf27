//! The document of the topics, in AsyncAPI 3.0.

use agora_events::{
    Envelope, Topic,
    schema::{DescribedEvent, Events, all},
    topics,
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::schemas::{NamedSchemas, prose, value};

/// The document.
///
/// # Errors
/// Two types have one name.
pub(crate) fn document() -> Result<Value, String> {
    let described = all();
    let mut schemas = NamedSchemas::default();
    schemas.add(&[(Envelope::name().into_owned(), Envelope::schema())])?;
    let mut messages = Map::new();
    for Events { events, schemas: of_events, .. } in &described {
        schemas.add(of_events)?;
        for event in events {
            messages.insert(event.kind.to_owned(), message(event)?);
        }
    }
    let channels: Map<String, Value> =
        topics::ALL.into_iter().map(|topic| (topic.name().to_owned(), channel(topic, &described))).collect();
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Agora: events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events that the services write to Kafka. Events of one key keep their order. A consumer gets an \
                event at least once: it deduplicates by `id`, ignores unknown fields and skips unknown types.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations(),
        "components": { "messages": messages, "schemas": schemas.into_json() },
    }))
}

fn message(event: &DescribedEvent) -> Result<Value, String> {
    let DescribedEvent { kind, version, documentation, data } = event;
    let own = json!({
        "type": "object",
        "properties": { "type": { "const": kind }, "version": { "const": version }, "data": value(data)? },
        "required": ["type", "version", "data"],
    });
    Ok(json!({
        "name": kind,
        "summary": prose(documentation),
        "contentType": "application/json",
        "payload": { "allOf": [{ "$ref": "#/components/schemas/Envelope" }, own] },
        "bindings": { "kafka": { "key": { "type": "string" } } },
    }))
}

fn channel(topic: Topic, described: &[Events]) -> Value {
    let of_topic = || described.iter().filter(move |events| events.topic == topic);
    let kinds = of_topic().flat_map(|events| &events.events).map(|event| event.kind);
    let messages: Map<String, Value> =
        kinds.map(|kind| (kind.to_owned(), json!({ "$ref": format!("#/components/messages/{kind}") }))).collect();
    let texts: Vec<String> = of_topic().map(|events| prose(&events.documentation)).collect();
    json!({
        "address": format!("{{isolationKey}}.{topic}"),
        "description": texts.join(" "),
        "parameters": {
            "isolationKey": { "description": "`spec.isolationKey` of the Marketplace." },
        },
        "messages": messages,
    })
}

/// Which service sends and which receives the events of which topic.
fn operations() -> Value {
    let services = agora_topology::ALL.iter();
    services
        .flat_map(|service| {
            let sent = service.publishes.iter().map(move |topic| operation(service.name, "send", *topic));
            sent.chain(service.consumes.iter().map(move |topic| operation(service.name, "receive", *topic)))
        })
        .collect()
}

fn operation(service: &str, action: &str, topic: Topic) -> (String, Value) {
    let verb = if action == "send" { "sends" } else { "receives" };
    let operation = json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{topic}") },
        "summary": format!("The service {service} {verb} events of {topic}."),
    });
    (format!("{service}-{verb}-{topic}"), operation)
}
