//! The repairs of one child: whether another client undoes them, and when the next one is due. Pure.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

/// A field that differs again within this time of its repair was changed back.
const RETURN_SECONDS_MAX: i64 = 60;
/// After this number of repairs that were undone, the field is contested.
const REPAIRS_MAX: u32 = 3;
/// Delay of the first repair of a contested field; it doubles with each further one.
const DELAY_SECONDS: i64 = 5;
const DELAY_SECONDS_MAX: i64 = 300;
/// Doublings from the first delay to beyond the longest.
const DOUBLINGS_MAX: u32 = 6;

/// Streaks of repairs that were undone, by the path of the field.
#[derive(Clone, Debug, Default)]
pub struct Repairs(BTreeMap<String, Streak>);

/// Repairs of one field, each of which was undone.
#[derive(Clone, Debug)]
struct Streak {
    repairs: u32,
    last: OffsetDateTime,
    contested: bool,
    manager: String,
}

impl Streak {
    fn delay(&self) -> Duration {
        let Some(undone) = self.repairs.checked_sub(REPAIRS_MAX) else { return Duration::ZERO };
        let seconds = DELAY_SECONDS << undone.min(DOUBLINGS_MAX);
        Duration::seconds(seconds.min(DELAY_SECONDS_MAX))
    }

    /// Whether the last repair has lasted.
    fn has_ended(&self, now: OffsetDateTime) -> bool {
        now - self.last > self.delay() + Duration::seconds(RETURN_SECONDS_MAX)
    }
}

/// A field that another client changes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    pub field: String,
    /// Field manager of the other client.
    pub manager: String,
}

impl Repairs {
    /// Whether these fields, which differ now, are to be repaired now. Otherwise the repair waits, because another client
    /// undoes it.
    pub fn are_due(&mut self, fields: &[String], now: OffsetDateTime) -> bool {
        self.0.retain(|_, streak| !streak.has_ended(now));
        let mut due = fields.is_empty();
        for field in fields {
            match self.0.get_mut(field) {
                Some(streak) if streak.repairs >= REPAIRS_MAX => {
                    streak.contested = true;
                    due |= now >= streak.last + streak.delay();
                }
                _ => due = true,
            }
        }
        due
    }

    /// `manager` is the client that changed the fields.
    pub fn record(&mut self, fields: &[String], manager: &str, now: OffsetDateTime) {
        for field in fields {
            let new = Streak { repairs: 0, last: now, contested: false, manager: String::new() };
            let streak = self.0.entry(field.clone()).or_insert(new);
            streak.repairs += 1;
            streak.last = now;
            manager.clone_into(&mut streak.manager);
        }
    }

    /// A contested field, until a repair of it has lasted.
    pub fn contest(&mut self, now: OffsetDateTime) -> Option<Contest> {
        self.0.retain(|_, streak| !streak.has_ended(now));
        let contested = self.0.iter().find(|(_, streak)| streak.contested);
        contested.map(|(field, streak)| Contest { field: field.clone(), manager: streak.manager.clone() })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{Duration, Repairs};

    #[test]
    fn a_field_that_is_back_after_three_repairs_is_contested_until_a_repair_lasts() {
        let field = ["spec.type".to_owned()];
        let mut now = datetime!(2026-01-01 00:00 UTC);
        let mut repairs = Repairs::default();
        for _ in 0..3 {
            assert!(repairs.are_due(&field, now));
            repairs.record(&field, "helm", now);
            assert_eq!(repairs.contest(now), None);
            now += Duration::SECOND;
        }
        assert!(!repairs.are_due(&field, now), "the fourth repair waits");
        assert_eq!(repairs.contest(now).unwrap().manager, "helm");
        assert!(repairs.are_due(&["spec.other".to_owned()], now), "another field does not wait");
        now += Duration::seconds(5);
        assert!(repairs.are_due(&field, now));
        repairs.record(&field, "helm", now);
        assert!(repairs.contest(now).is_some(), "still contested after the repair");
        assert!(!repairs.are_due(&field, now + Duration::seconds(9)), "the delay has doubled");
        now += Duration::seconds(71);
        assert_eq!(repairs.contest(now), None, "the repair has lasted");
        assert!(repairs.are_due(&field, now));
    }

    #[test]
    fn changes_that_are_far_apart_are_no_contest() {
        let field = ["data.key".to_owned()];
        let mut now = datetime!(2026-01-01 00:00 UTC);
        let mut repairs = Repairs::default();
        for _ in 0..10 {
            assert!(repairs.are_due(&field, now));
            repairs.record(&field, "kubectl-edit", now);
            now += Duration::seconds(61);
        }
        assert_eq!(repairs.contest(now), None);
    }
}
