//! An order's history: each change as it is kept for ever, and the order rebuilt from nothing else.

use agora_events::order::OrderEvent;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Order, Standing};

/// A change of an order that is to be written: its place in the history, and the fact to publish if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The place in the history, from 1: the order's version after the change.
    pub seq: i64,
    /// The fact and its place among the published ones; a change of the payment's state alone publishes nothing, since
    /// the payment service has published it already.
    pub fact: Option<(i64, OrderEvent)>,
    /// The change itself.
    pub entry: Entry,
}

/// A change as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The order was made.
    Created(Box<Order>),
    /// It stands elsewhere now.
    Changed(Standing),
}

impl Record {
    /// The first change of an order.
    pub fn created(order: &Order) -> Self {
        Self { seq: 1, fact: Some((1, order.fact())), entry: Entry::Created(Box::new(order.clone())) }
    }

    /// The change from one version of an order to its next.
    pub fn changed(before: &Order, after: &Order) -> Self {
        let fact = (after.facts > before.facts).then(|| (after.facts, after.fact()));
        Self { seq: after.version, fact, entry: Entry::Changed(after.standing) }
    }

    /// What the history calls it: the fact's type, or `payment.changed`.
    pub fn kind(&self) -> &'static str {
        match &self.fact {
            Some((_, fact)) => agora_events::Event::kind(fact),
            None => "payment.changed",
        }
    }
}

impl Order {
    /// The same order standing elsewhere, one version later.
    #[must_use]
    pub fn moved_to(&self, standing: Standing, at: OffsetDateTime) -> Self {
        let published = i64::from(standing.status != self.standing.status);
        Self { standing, version: self.version + 1, facts: self.facts + published, updated_at: at, ..self.clone() }
    }
}

/// The order that a history tells of; `None` if it does not start with a creation or has a gap.
pub fn rebuild(history: impl IntoIterator<Item = (i64, Entry, OffsetDateTime)>) -> Option<Order> {
    let mut order: Option<Order> = None;
    for (seq, entry, at) in history {
        order = Some(match (entry, order) {
            (Entry::Created(order), None) if seq == 1 => *order,
            (Entry::Changed(standing), Some(order)) if seq == order.version + 1 => order.moved_to(standing, at),
            _ => return None,
        });
    }
    order
}
