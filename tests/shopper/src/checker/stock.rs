//! Invariant I3: units of stock are neither created nor lost. Must not depend on how the evidence is collected.

use super::{Invariant, StockSeen, Violation, violation};

/// I3: received = on hand + sold - returned, 0 ≤ reserved ≤ on hand, and reserved = sum of reservations.
pub fn units_are_conserved(stock: &[StockSeen]) -> Vec<Violation> {
    let wrong = |seen: &StockSeen| {
        let StockSeen { product, received, on_hand, reserved, held, sold, returned } = *seen;
        let what = if received != on_hand + sold - returned {
            format!("{received} received, {on_hand} on hand, {sold} sold, {returned} returned")
        } else if !(0..=on_hand).contains(&reserved) {
            format!("{reserved} reserved of {on_hand}")
        } else if reserved != held {
            format!("{reserved} reserved, {held} in active reservations")
        } else {
            return None;
        };
        Some(violation(Invariant::I3, format!("product {product}: {what}")))
    };
    stock.iter().filter_map(wrong).collect()
}
