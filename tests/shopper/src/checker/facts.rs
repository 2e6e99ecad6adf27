//! Units of stock, events, and what is left behind (I3, I5, I6, I10).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Applied, EventSeen, Invariant, Residue, StockSeen, Violation, violation};

/// I3.
pub fn units_are_conserved(stock: &[StockSeen]) -> Vec<Violation> {
    let wrong = |seen: &StockSeen| {
        let StockSeen { product, received, on_hand, reserved, held, sold, returned } = *seen;
        let what = if received != on_hand + sold - returned {
            format!("{received} received, {on_hand} on hand, {sold} sold, {returned} returned")
        } else if !(0..=on_hand).contains(&reserved) {
            format!("{reserved} reserved of {on_hand}")
        } else if reserved != held {
            format!("{reserved} reserved, {held} held by live reservations")
        } else {
            return None;
        };
        Some(violation(Invariant::I3, format!("product {product}: {what}")))
    };
    stock.iter().filter_map(wrong).collect()
}

/// I5. Not judged without topics, or for a consumer of which nothing is told.
pub fn arrive_and_act_once(outbox: &[EventSeen], topics: &[EventSeen], applied: &[Applied]) -> Vec<Violation> {
    if topics.is_empty() {
        return Vec::new();
    }
    let place = |event: &EventSeen| (event.topic.clone(), event.key.clone(), event.seq);
    let arrived: BTreeSet<_> = topics.iter().map(place).collect();
    let lost = outbox.iter().filter(|event| !arrived.contains(&place(event))).map(|event| {
        let EventSeen { topic, key, seq, .. } = event;
        violation(Invariant::I5, format!("event #{seq} of {topic} {key} was committed and never arrived"))
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
                violation(Invariant::I5, format!("event {event} of {topic} took effect {times} times in {consumer}"))
            })
            .collect::<Vec<_>>()
    });
    lost.chain(wrong).collect()
}

/// I6: repeats are allowed, the first sight of each event must be in its aggregate's order.
pub fn keep_their_order(topics: &[EventSeen]) -> Vec<Violation> {
    let mut last: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut violations = Vec::new();
    for EventSeen { topic, key, seq, id: _ } in topics {
        let last = last.entry((topic, key)).or_default();
        if *seq > *last + 1 {
            violations.push(violation(Invariant::I6, format!("{topic} {key}: event #{seq} comes after #{last}")));
        }
        *last = (*last).max(*seq);
    }
    violations
}

/// I10.
pub fn nothing_is_left(residue: &Residue) -> Vec<Violation> {
    let Residue { expected, found, waiting, leaks } = residue;
    let count = |names: &[String], name: &String| names.iter().filter(|other| *other == name).count();
    let all: BTreeSet<&String> = expected.iter().chain(found).collect();
    let children = all.into_iter().filter_map(|name| match (count(expected, name), count(found, name)) {
        (0, _) => Some(format!("{name} is an orphan")),
        (_, 0) => Some(format!("{name} is missing")),
        (_, 1) => None,
        (_, many) => Some(format!("{name} is there {many} times")),
    });
    children
        .chain(waiting.iter().map(|name| format!("{name} waits for a finalizer")))
        .chain(leaks.iter().map(|place| format!("a secret stands in {place}")))
        .map(|what| violation(Invariant::I10, what))
        .collect()
}
