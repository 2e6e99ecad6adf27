//! Invariants I1, I2, I7 and I8: orders exist once, idempotency keys act once, reads are not stale, no order is
//! unfinished. Must not depend on how the evidence is collected.

use std::collections::{BTreeMap, BTreeSet};

use agora_vocab::{OrderId, UserId};

use super::{Invariant, OrderSeen, PaymentSeen, Violation, violation};
use crate::history::{Action, Outcome, Record};

/// I1: every acknowledged order exists exactly once. Not checked without orders.
pub fn acknowledged_exist_once(history: &[Record], orders: &[OrderSeen]) -> Vec<Violation> {
    if orders.is_empty() {
        return Vec::new();
    }
    let mut counts: BTreeMap<OrderId, usize> = BTreeMap::new();
    for order in orders {
        *counts.entry(order.id).or_default() += 1;
    }
    let acknowledged: BTreeSet<OrderId> = history
        .iter()
        .filter(|r| r.action == Action::Order && r.outcome == Outcome::Ok)
        .filter_map(|r| r.order)
        .collect();
    let lost = acknowledged
        .iter()
        .filter(|order| !counts.contains_key(order))
        .map(|order| violation(Invariant::I1, format!("order {order} was acknowledged and does not exist")));
    let doubled = counts
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(order, count)| violation(Invariant::I1, format!("order {order} exists {count} times")));
    lost.chain(doubled).collect()
}

/// I2: at most one order and one unrefunded capture per idempotency key.
pub fn keys_act_once(history: &[Record], orders: &[OrderSeen], payments: &[PaymentSeen]) -> Vec<Violation> {
    let mut by_key: BTreeMap<(Action, &str), Vec<&Record>> = BTreeMap::new();
    let mut order_keys: BTreeMap<UserId, BTreeSet<&str>> = BTreeMap::new();
    for record in history {
        let Some(key) = record.key.as_deref() else { continue };
        by_key.entry((record.action, key)).or_default().push(record);
        if let (Action::Order, Some(user)) = (record.action, record.user) {
            order_keys.entry(user).or_default().insert(key);
        }
    }
    let mut violations: Vec<Violation> =
        by_key.iter().filter_map(|((action, key), records)| contradiction(*action, key, records)).collect();
    let mut made: BTreeMap<UserId, usize> = BTreeMap::new();
    for order in orders {
        *made.entry(order.user).or_default() += 1;
    }
    violations.extend(made.iter().filter_map(|(user, made)| {
        let keys = order_keys.get(user).map_or(0, BTreeSet::len);
        (*made > keys)
            .then(|| violation(Invariant::I2, format!("user {user} has {made} orders for {keys} idempotency keys")))
    }));
    let mut captures: BTreeMap<OrderId, usize> = BTreeMap::new();
    for payment in payments.iter().filter(|payment| payment.captured > payment.refunded) {
        *captures.entry(payment.order).or_default() += 1;
    }
    violations.extend(
        captures
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(order, count)| violation(Invariant::I2, format!("order {order} was captured {count} times"))),
    );
    violations
}

/// Contradictory responses to one key: two different objects, or success and rejection.
fn contradiction(action: Action, key: &str, records: &[&Record]) -> Option<Violation> {
    let final_ones = || records.iter().filter(|record| record.outcome != Outcome::Unknown);
    let subject = |record: &Record| match action {
        Action::Order => record.order.map(OrderId::uuid),
        _ => record.payment.map(agora_vocab::PaymentId::uuid),
    };
    let made: BTreeSet<_> = final_ones().filter(|r| r.outcome == Outcome::Ok).filter_map(|r| subject(r)).collect();
    let is_sold = matches!(action, Action::Order | Action::Pay | Action::Refund);
    let accepted = final_ones().any(|record| record.outcome == Outcome::Ok);
    let refused = final_ones().find(|record| record.outcome == Outcome::Failed);
    match refused {
        _ if made.len() > 1 => Some(violation(
            Invariant::I2,
            format!("{action:?} with key {key} created {} objects: {made:?}", made.len()),
        )),
        Some(refused) if accepted && is_sold => Some(violation(
            Invariant::I2,
            format!("{action:?} with key {key} was accepted and rejected ({:?} {:?})", refused.status, refused.code),
        )),
        _ => None,
    }
}

/// I7, for requests that started after the response that acknowledged the order.
pub fn own_writes_are_read(history: &[Record]) -> Vec<Violation> {
    let mut by_order: BTreeMap<OrderId, Vec<&Record>> = BTreeMap::new();
    for record in history {
        if let (Action::Order | Action::Read | Action::Cancel, Some(order)) = (record.action, record.order) {
            by_order.entry(order).or_default().push(record);
        }
    }
    by_order.into_iter().flat_map(|(order, records)| stale_reads(order, &records)).collect()
}

fn stale_reads(order: OrderId, records: &[&Record]) -> Vec<Violation> {
    // In order of time: `known` is the latest version in responses that ended before the current request started.
    let mut by_end: Vec<&Record> = records.iter().copied().filter(|r| r.outcome == Outcome::Ok).collect();
    by_end.sort_by_key(|record| record.ended_us());
    let mut by_start = records.to_vec();
    by_start.sort_by_key(|record| record.started_us);
    let (mut ended, mut known): (usize, Option<i64>) = (0, None);
    let mut violations = Vec::new();
    for record in by_start {
        while ended < by_end.len() && by_end[ended].ended_us() < record.started_us {
            known = known.max(by_end[ended].version.or(Some(0)));
            ended += 1;
        }
        let Some(known) = known else { continue };
        if record.outcome == Outcome::Failed && record.status == Some(404) {
            violations.push(violation(Invariant::I7, format!("order {order} was not found after its acknowledgement")));
        }
        if let Some(version) = record.version.filter(|&version| version < known && record.action == Action::Read) {
            violations.push(violation(
                Invariant::I7,
                format!("a read of order {order} returned version {version} after {known}"),
            ));
        }
    }
    violations
}

/// I8: no order is in a state in which the shop has to act. An order that waits for its payment is finished in this
/// sense.
pub fn none_is_unfinished(orders: &[OrderSeen]) -> Vec<Violation> {
    orders
        .iter()
        .filter(|order| order.status == "created" || order.payment_status == "processing")
        .map(|order| {
            let OrderSeen { id, status, payment_status, .. } = order;
            violation(Invariant::I8, format!("order {id} is still {status}, its payment {payment_status}"))
        })
        .collect()
}
