//! The invariant checker: each invariant is a pure function of a request history and the final state of the shop.
//!
//! Must not depend on how history and evidence are collected. For every invariant the tests contain a mutation that it
//! detects.

mod events;
mod evidence;
mod leftovers;
mod money;
mod orders;
mod stock;

use std::fmt;

use serde::Serialize;

pub use evidence::{Applied, EventSeen, Evidence, LedgerEntry, Leftovers, OrderSeen, PaymentSeen, StockSeen};

use crate::history::Record;

/// An invariant of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Invariant {
    /// An acknowledged order exists, exactly once.
    I1,
    /// At most one order and one capture per idempotency key; an unknown outcome resolves to one answer.
    I2,
    /// Units: received = on hand + sold - returned, and 0 ≤ reserved ≤ on hand.
    I3,
    /// Money: captured = totals of orders ever paid, refunded ≤ captured, what was cancelled or refunded nets 0, and
    /// each transaction of the ledger sums to 0.
    I4,
    /// Every committed event reached its topic, and took effect once per consumer.
    I5,
    /// Per aggregate, events in order and without gaps.
    I6,
    /// Read your writes: an acknowledged order can be read immediately, and no read returns an older version than
    /// before.
    I7,
    /// Without load, every order reaches a state in which the shop does not have to act.
    I8,
    /// No object is left over, missing or duplicated, and no secret is visible.
    I10,
}

/// A violation of an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The violated invariant.
    pub invariant: Invariant,
    /// Description that contains the ids of the objects involved.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// Returns every violation. An invariant whose evidence is empty is not checked.
pub fn check(history: &[Record], evidence: &Evidence) -> Vec<Violation> {
    let Evidence { orders, payments, stock, ledger, outbox, topics, applied, leftovers } = evidence;
    [
        orders::acknowledged_exist_once(history, orders),
        orders::keys_act_once(history, orders, payments),
        stock::units_are_conserved(stock),
        money::adds_up(orders, payments, ledger),
        events::delivered_and_applied_once(outbox, topics, applied),
        events::in_order_per_aggregate(topics),
        orders::own_writes_are_read(history),
        orders::none_is_unfinished(orders),
        leftovers::none_left(leftovers),
    ]
    .concat()
}

fn violation(invariant: Invariant, what: impl Into<String>) -> Violation {
    Violation { invariant, what: what.into() }
}

#[cfg(test)]
mod tests;
