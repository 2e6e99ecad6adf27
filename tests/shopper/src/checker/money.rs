//! Invariant I4: captured and refunded amounts match the orders, and the ledger balances. Must not depend on how the
//! evidence is collected.

use std::collections::BTreeMap;

use agora_vocab::OrderId;

use super::{Invariant, LedgerEntry, OrderSeen, PaymentSeen, Violation, violation};

/// States that an order reaches only after payment.
const PAID: [&str; 5] = ["paid", "processing", "shipped", "completed", "refunded"];
/// States in which the shop keeps no money.
const NOTHING_KEPT: [&str; 5] = ["created", "pending", "rejected", "cancelled", "expired"];

/// I4: amounts per order, refunds per payment, payments of unknown orders, balance of each ledger transaction.
pub fn adds_up(orders: &[OrderSeen], payments: &[PaymentSeen], ledger: &[LedgerEntry]) -> Vec<Violation> {
    let mut sums: BTreeMap<OrderId, (i64, i64)> = BTreeMap::new();
    let mut violations = Vec::new();
    for PaymentSeen { id, order, captured, refunded } in payments {
        let sum = sums.entry(*order).or_default();
        *sum = (sum.0 + captured, sum.1 + refunded);
        if refunded > captured {
            violations
                .push(violation(Invariant::I4, format!("payment {id}: {refunded} refunded of {captured} captured")));
        }
    }
    violations.extend(orders.iter().filter_map(|order| off_by(order, sums.remove(&order.id).unwrap_or_default())));
    if !orders.is_empty() {
        let kept = sums.into_iter().filter(|(_, (captured, refunded))| captured != refunded);
        violations.extend(kept.map(|(order, _)| violation(Invariant::I4, format!("payment of unknown order {order}"))));
    }
    violations.extend(unbalanced(ledger));
    violations
}

fn off_by(order: &OrderSeen, (captured, refunded): (i64, i64)) -> Option<Violation> {
    let OrderSeen { id, status, total, .. } = order;
    let net = captured - refunded;
    let wrong = |expected: &str| {
        Some(violation(
            Invariant::I4,
            format!("order {id}, {status}, total {total}: {captured} captured, {refunded} refunded, {expected}"),
        ))
    };
    match status.as_str() {
        "refunded" if net != 0 => wrong("not refunded completely"),
        // A late second payment is captured and refunded, so the captured sum may exceed the total; the net must not.
        paid if PAID.contains(&paid) && captured < *total => wrong("less than the total captured"),
        paid if PAID.contains(&paid) && net > *total => wrong("more than the total kept"),
        other if NOTHING_KEPT.contains(&other) && net != 0 => wrong("expected net 0"),
        _ => None,
    }
}

fn unbalanced(ledger: &[LedgerEntry]) -> Vec<Violation> {
    let mut sums: BTreeMap<(i64, &str), i64> = BTreeMap::new();
    for LedgerEntry { transaction, currency, amount } in ledger {
        *sums.entry((*transaction, currency)).or_default() += amount;
    }
    sums.into_iter()
        .filter(|(_, sum)| *sum != 0)
        .map(|((transaction, currency), sum)| {
            violation(Invariant::I4, format!("ledger transaction {transaction} is off by {sum} {currency}"))
        })
        .collect()
}
