//! Invariant I10: no object is left over, missing or duplicated, and no secret is visible. Must not depend on how the
//! evidence is collected.

use std::collections::BTreeSet;

use super::{Invariant, Leftovers, Violation, violation};

/// I10: the existing child objects are the expected ones, no object waits for a finalizer, and no secret is visible.
pub fn none_left(leftovers: &Leftovers) -> Vec<Violation> {
    let Leftovers { expected, found, waiting, leaks } = leftovers;
    let count = |names: &[String], name: &String| names.iter().filter(|other| *other == name).count();
    let all: BTreeSet<&String> = expected.iter().chain(found).collect();
    let children = all.into_iter().filter_map(|name| match (count(expected, name), count(found, name)) {
        (0, _) => Some(format!("{name} is an orphan")),
        (_, 0) => Some(format!("{name} is missing")),
        (_, 1) => None,
        (_, many) => Some(format!("{name} exists {many} times")),
    });
    children
        .chain(waiting.iter().map(|name| format!("{name} waits for a finalizer")))
        .chain(leaks.iter().map(|place| format!("a secret is visible in {place}")))
        .map(|what| violation(Invariant::I10, what))
        .collect()
}
