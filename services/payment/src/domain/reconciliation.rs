//! Comparison of the ledger with the provider's own report.
//!
//! Pure, as all of `domain`.

use std::collections::{BTreeMap, BTreeSet};

use agora_vocab::Money;
use time::OffsetDateTime;

/// What moved the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MoneyKind {
    /// A captured charge.
    Capture,
    Refund,
}

impl MoneyKind {
    /// The name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
        }
    }
}

/// Money that moved, as one side records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyMovement {
    pub kind: MoneyKind,
    /// The provider's id of the charge or refund.
    pub reference: String,
    pub amount: Money,
    /// When it moved, by the clock of the side that records it.
    pub at: OffsetDateTime,
}

/// How the two sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Both sides record the same amount.
    Matched,
    /// The provider moved money that the ledger does not contain.
    MissingHere,
    /// The ledger contains money that the provider did not move.
    MissingThere,
    /// Both record it, with another amount or currency.
    AmountDiffers,
}

impl Category {
    pub const ALL: [Self; 4] = [Self::Matched, Self::MissingHere, Self::MissingThere, Self::AmountDiffers];

    /// The name in the database and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::MissingHere => "missing_here",
            Self::MissingThere => "missing_there",
            Self::AmountDiffers => "amount_differs",
        }
    }
}

/// One movement that at least one side records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub category: Category,
    pub kind: MoneyKind,
    /// The provider's id of the charge or refund.
    pub reference: String,
    /// What the ledger contains.
    pub here: Option<Money>,
    /// What the provider reports.
    pub there: Option<Money>,
    /// When it moved: a time in the slice that was compared.
    pub at: OffsetDateTime,
}

/// A slice of time: from its beginning to before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub from: OffsetDateTime,
    /// The first moment after the slice.
    pub before: OffsetDateTime,
}

impl Slice {
    /// Whether a time is in the slice.
    pub fn contains(&self, at: OffsetDateTime) -> bool {
        self.from <= at && at < self.before
    }
}

/// Compares the movements of both sides of which at least one is in the slice, by kind and reference. The sides may contain
/// movements outside of it: the clocks differ, and money is recorded after it moved.
pub fn compare(slice: Slice, here: &[MoneyMovement], there: &[MoneyMovement]) -> Vec<Difference> {
    let index = |movements: &[MoneyMovement]| -> BTreeMap<(MoneyKind, String), (Money, OffsetDateTime)> {
        movements.iter().map(|m| ((m.kind, m.reference.clone()), (m.amount, m.at))).collect()
    };
    let (ours, theirs) = (index(here), index(there));
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).cloned().collect();
    keys.into_iter()
        .filter_map(|key| {
            let (our, their) = (ours.get(&key), theirs.get(&key));
            let at = [our, their].into_iter().flatten().map(|(_, at)| *at).find(|at| slice.contains(*at))?;
            let category = match (our, their) {
                (Some((our, _)), Some((their, _))) if our == their => Category::Matched,
                (Some(_), Some(_)) => Category::AmountDiffers,
                (None, _) => Category::MissingHere,
                (_, None) => Category::MissingThere,
            };
            let (kind, reference) = key;
            let (here, there) = (our.map(|(amount, _)| *amount), their.map(|(amount, _)| *amount));
            Some(Difference { category, kind, reference, here, there, at })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use agora_vocab::Currency;
    use time::macros::datetime;

    use super::*;

    const SLICE: Slice = Slice { from: datetime!(2026-01-01 00:00 UTC), before: datetime!(2026-01-01 00:05 UTC) };

    fn movement(reference: &str, amount: i64) -> MoneyMovement {
        let amount = Money { amount, currency: Currency::EUR };
        let (kind, reference) = (MoneyKind::Capture, reference.to_owned());
        MoneyMovement { kind, reference, amount, at: SLICE.from }
    }

    #[test]
    fn every_movement_is_in_one_of_four_categories() {
        let here = [movement("same", 10), movement("ours", 20), movement("other", 30)];
        let there = [movement("same", 10), movement("theirs", 40), movement("other", 31)];
        let found: Vec<_> =
            compare(SLICE, &here, &there).into_iter().map(|found| (found.reference, found.category)).collect();
        let expected = [
            ("other", Category::AmountDiffers),
            ("ours", Category::MissingThere),
            ("same", Category::Matched),
            ("theirs", Category::MissingHere),
        ];
        assert_eq!(found, expected.map(|(reference, category)| (reference.to_owned(), category)));
    }

    #[test]
    fn a_refund_does_not_match_a_capture_with_the_same_reference() {
        let refund = MoneyMovement { kind: MoneyKind::Refund, ..movement("a", 10) };
        let found = compare(SLICE, &[movement("a", 10)], &[refund]);
        assert!(found.iter().all(|found| found.category != Category::Matched) && found.len() == 2);
    }

    #[test]
    fn a_movement_that_the_other_side_records_in_another_slice_matches() {
        let later = MoneyMovement { at: SLICE.before, ..movement("a", 10) };
        let found = compare(SLICE, &[movement("a", 10)], std::slice::from_ref(&later));
        assert!(matches!(&found[..], [one] if one.category == Category::Matched && SLICE.contains(one.at)));
        assert_eq!(compare(SLICE, &[], &[later]), [], "it is compared with its own slice");
    }
}
