//! The latest events of this process, so that a client that comes again misses none. Bounded in number and bytes.

use std::{collections::VecDeque, sync::Arc};

use agora_vocab::UserId;
use uuid::Uuid;

use super::{
    cursor::{Cursor, Place},
    public_event::Message,
};

/// Most events that are kept, and the bytes of their texts.
const EVENTS_MAX: usize = 20_000;
const BYTES_MAX: usize = 8 << 20;

/// Processes read the same events in different order. At a process that a cursor is not of, events that were written up to
/// this long before the cursor's, in milliseconds, are sent again: the client may not have received them.
const OVERLAP_MS: i64 = 5_000;

#[derive(Debug, Default)]
pub struct History {
    events: VecDeque<Arc<Message>>,
    bytes: usize,
}

impl History {
    pub fn push(&mut self, message: Arc<Message>) {
        self.bytes += message.json.len();
        self.events.push_back(message);
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.json.len();
        }
    }

    /// The events of a user after a cursor, in order; `None` if that event is not kept, or is not the user's.
    pub fn after(&self, cursor: &Cursor, user: UserId, process: Uuid) -> Option<Vec<Arc<Message>>> {
        match cursor.place {
            Some(Place { process: of, number }) if of == process => self.after_number(cursor.event, number, user),
            _ => self.after_event(cursor.event, user),
        }
    }

    fn after_number(&self, event: Uuid, number: u64, user: UserId) -> Option<Vec<Arc<Message>>> {
        let at = self.events.binary_search_by_key(&number, |message| message.number).ok()?;
        let found = self.events.get(at).filter(|found| found.event == event && found.user == user)?;
        Some(self.of(user, |message| message.number > found.number))
    }

    fn after_event(&self, event: Uuid, user: UserId) -> Option<Vec<Arc<Message>>> {
        let found = self.events.iter().rfind(|message| message.event == event && message.user == user)?;
        let since_ms = found.sent_at_ms - OVERLAP_MS;
        Some(self.of(user, |message| {
            message.number > found.number || (message.sent_at_ms >= since_ms && message.event != event)
        }))
    }

    fn of(&self, user: UserId, wanted: impl Fn(&Message) -> bool) -> Vec<Arc<Message>> {
        self.events.iter().filter(|message| message.user == user && wanted(message)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agora_vocab::UserId;
    use uuid::Uuid;

    use super::{BYTES_MAX, EVENTS_MAX, History};
    use crate::push::{
        cursor::{Cursor, Place},
        public_event::Message,
    };

    const PROCESS: Uuid = Uuid::from_u128(99);

    fn user(n: u128) -> UserId {
        UserId::new(Uuid::from_u128(n))
    }

    fn message(number: u64, of: u128, sent_at_ms: i64) -> Arc<Message> {
        let event = Uuid::from_u128(u128::from(number) + 1000);
        let json = "x".repeat(100);
        let (kind, cursor) = ("order.paid".to_owned(), String::new());
        Arc::new(Message { user: user(of), event, kind, number, sent_at_ms, cursor, json })
    }

    fn numbers(found: Option<Vec<Arc<Message>>>) -> Option<Vec<u64>> {
        found.map(|messages| messages.iter().map(|message| message.number).collect())
    }

    fn cursor(number: u64, process: Option<Uuid>) -> Cursor {
        let place = process.map(|process| Place { process, number });
        Cursor { event: Uuid::from_u128(u128::from(number) + 1000), place }
    }

    #[test]
    fn gw18_a_client_goes_on_after_its_last_event_with_its_own_events_alone() {
        let mut history = History::default();
        for (number, of) in [(1, 1), (2, 1), (3, 2), (4, 1), (5, 2), (6, 1)] {
            history.push(message(number, of, 1_000));
        }
        let after = |cursor: Cursor, of| numbers(history.after(&cursor, user(of), PROCESS));
        assert_eq!(after(cursor(2, Some(PROCESS)), 1), Some(vec![4, 6]));
        assert_eq!(after(cursor(6, Some(PROCESS)), 1), Some(vec![]));
        assert_eq!(after(cursor(3, Some(PROCESS)), 1), None, "another user's event");
        assert_eq!(after(cursor(7, Some(PROCESS)), 1), None, "an event that is not known");
        let forged = Cursor { event: Uuid::from_u128(5), ..cursor(2, Some(PROCESS)) };
        assert_eq!(after(forged, 1), None);
    }

    #[test]
    fn gw18_at_another_process_events_that_may_have_been_missed_are_sent_again() {
        let mut history = History::default();
        for (number, sent_at_ms) in [(1, 1_000), (2, 59_000), (3, 60_000), (4, 59_500), (5, 61_000)] {
            history.push(message(number, 1, sent_at_ms));
        }
        let after = |cursor: Cursor| numbers(history.after(&cursor, user(1), PROCESS));
        let expected = Some(vec![2, 4, 5]);
        assert_eq!(after(cursor(3, None)), expected);
        assert_eq!(after(cursor(3, Some(Uuid::from_u128(7)))), expected);
    }

    #[test]
    fn gw18_the_history_is_bounded_and_an_event_that_left_it_is_not_known() {
        let mut history = History::default();
        let count = u64::try_from(EVENTS_MAX).unwrap() + 10;
        for number in 0..count {
            history.push(message(number, 1, 0));
        }
        assert_eq!(history.events.len(), EVENTS_MAX);
        assert_eq!(numbers(history.after(&cursor(9, Some(PROCESS)), user(1), PROCESS)), None);
        for number in count..count + 3 {
            let json = "x".repeat(BYTES_MAX / 2);
            history.push(Arc::new(Message { json, ..Arc::into_inner(message(number, 1, 0)).unwrap() }));
        }
        assert!(history.bytes <= BYTES_MAX, "{}", history.bytes);
        assert_eq!(history.bytes, history.events.iter().map(|message| message.json.len()).sum::<usize>());
    }
}
