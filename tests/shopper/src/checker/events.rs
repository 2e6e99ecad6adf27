//! Invariants I5 and I6: delivery, effect and order of events. Must not depend on how the evidence is collected.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Applied, EventSeen, Invariant, Violation, violation};

/// I5: every committed event is on its topic, and every listed consumer applied it once. Not checked without topics.
pub fn delivered_and_applied_once(outbox: &[EventSeen], topics: &[EventSeen], applied: &[Applied]) -> Vec<Violation> {
    if topics.is_empty() {
        return Vec::new();
    }
    let position = |event: &EventSeen| (event.topic.clone(), event.key.clone(), event.seq);
    let arrived: BTreeSet<_> = topics.iter().map(position).collect();
    let lost = outbox.iter().filter(|event| !arrived.contains(&position(event))).map(|event| {
        let EventSeen { topic, key, seq, .. } = event;
        violation(Invariant::I5, format!("event #{seq} of {topic} {key} was committed but is not on the topic"))
    });
    let mut effects: BTreeMap<(&str, &str), BTreeMap<Uuid, u32>> = BTreeMap::new();
    for Applied { consumer, topic, event, times } in applied {
        *effects.entry((consumer, topic)).or_default().entry(*event).or_default() += times;
    }
    let wrong = effects.iter().flat_map(|((consumer, topic), by_event)| {
        let of_topic: BTreeSet<Uuid> =
            topics.iter().filter(|event| event.topic == *topic).filter_map(|event| event.id).collect();
        of_topic
            .into_iter()
            .map(|event| (event, by_event.get(&event).copied().unwrap_or(0)))
            .filter(|(_, times)| *times != 1)
            .map(|(event, times)| {
                violation(Invariant::I5, format!("event {event} of {topic} was applied {times} times by {consumer}"))
            })
            .collect::<Vec<_>>()
    });
    lost.chain(wrong).collect()
}

/// I6: the first delivery of each event is in the order of its aggregate, without gaps; repeated deliveries are
/// allowed.
pub fn in_order_per_aggregate(topics: &[EventSeen]) -> Vec<Violation> {
    let mut last: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut violations = Vec::new();
    for EventSeen { topic, key, seq, id: _ } in topics {
        let last = last.entry((topic, key)).or_default();
        if *seq > *last + 1 {
            violations.push(violation(Invariant::I6, format!("{topic} {key}: event #{seq} follows #{last}")));
        }
        *last = (*last).max(*seq);
    }
    violations
}
