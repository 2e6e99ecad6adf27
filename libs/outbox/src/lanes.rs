//! What a consumer holds of each partition: messages wait their turn, one at a time is handled, done ones are committed.
//!
//! Knows order and amounts; must not talk to the broker or a handler.

use std::collections::{BTreeMap, VecDeque};

use agora_kafka::{Incoming, Partition};

/// A partition that has so many messages waiting is paused,
const WAITING_MAX: usize = 64;
/// and resumed when it is down to so many.
const WAITING_LOW: usize = 16;

/// The partitions that messages have come from.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<Partition, Lane>,
    made: u64,
}

#[derive(Debug, Default)]
struct Lane {
    /// Tells this lane from an earlier one of a partition that was lost and came back.
    number: u64,
    waiting: VecDeque<Incoming>,
    busy: bool,
    paused: bool,
    /// The offset to commit.
    next: Option<i64>,
}

/// A message whose turn it is, and the lane that is told when it is done with.
#[derive(Debug)]
pub(crate) struct Turn {
    pub lane: u64,
    pub message: Incoming,
}

/// A turn that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub lane: u64,
    pub partition: Partition,
    pub offset: i64,
    /// Whether it may be committed; otherwise it was given up because the process ends.
    pub done: bool,
}

impl Lanes {
    /// Puts a message last in its lane; the partition to pause, if too many wait now.
    pub fn accept(&mut self, message: Incoming) -> Option<Partition> {
        let partition = message.partition;
        let lane = self.lanes.entry(partition).or_insert_with(|| {
            self.made += 1;
            Lane { number: self.made, ..Lane::default() }
        });
        lane.waiting.push_back(message);
        let pause = lane.waiting.len() >= WAITING_MAX && !lane.paused;
        lane.paused |= pause;
        pause.then_some(partition)
    }

    /// The first waiting message of every lane that is not busy; each of these lanes is busy from now on.
    pub fn turns(&mut self) -> Vec<Turn> {
        let idle = self.lanes.values_mut().filter(|lane| !lane.busy);
        idle.filter_map(|lane| {
            let message = lane.waiting.pop_front()?;
            lane.busy = true;
            Some(Turn { lane: lane.number, message })
        })
        .collect()
    }

    /// Ends a turn; the partition to resume, if few wait now. Says nothing of a lane that was lost meanwhile.
    pub fn over(&mut self, over: Over) -> Option<Partition> {
        let lane = self.lanes.get_mut(&over.partition).filter(|lane| lane.number == over.lane)?;
        // A turn that was given up keeps its lane busy: nothing may overtake it.
        if !over.done {
            return None;
        }
        lane.busy = false;
        lane.next = Some(over.offset + 1);
        let resume = lane.paused && lane.waiting.len() <= WAITING_LOW;
        lane.paused &= !resume;
        resume.then_some(over.partition)
    }

    /// Forgets a partition that is another member's now.
    pub fn lose(&mut self, partition: Partition) {
        self.lanes.remove(&partition);
    }

    /// What is to be committed and was not yet.
    pub fn commits(&mut self) -> Vec<(Partition, i64)> {
        self.lanes.iter_mut().filter_map(|(partition, lane)| Some((*partition, lane.next.take()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use agora_events::topics;

    use super::*;

    const P0: Partition = Partition { topic: topics::ORDER, number: 0 };
    const P1: Partition = Partition { topic: topics::ORDER, number: 1 };

    fn message(partition: Partition, offset: i64) -> Incoming {
        Incoming { partition, offset, key: None, payload: Vec::new() }
    }

    fn over(turn: &Turn, done: bool) -> Over {
        Over { lane: turn.lane, partition: turn.message.partition, offset: turn.message.offset, done }
    }

    #[test]
    fn one_message_of_a_partition_has_its_turn_at_a_time_and_partitions_do_not_wait_for_each_other() {
        let mut lanes = Lanes::default();
        for (partition, offset) in [(P0, 5), (P0, 6), (P1, 9)] {
            lanes.accept(message(partition, offset));
        }
        let first = lanes.turns();
        let places: Vec<_> = first.iter().map(|turn| (turn.message.partition, turn.message.offset)).collect();
        assert_eq!(places, [(P0, 5), (P1, 9)]);
        assert!(lanes.turns().is_empty(), "both are busy");

        lanes.over(over(&first[0], true));

        assert_eq!(lanes.turns()[0].message.offset, 6);
        assert_eq!(lanes.commits(), [(P0, 6)]);
        assert_eq!(lanes.commits(), []);
    }

    #[test]
    fn a_turn_that_was_given_up_is_not_committed_and_nothing_overtakes_it() {
        let mut lanes = Lanes::default();
        lanes.accept(message(P0, 1));
        lanes.accept(message(P0, 2));
        let turn = lanes.turns().remove(0);
        lanes.over(over(&turn, false));
        assert!(lanes.turns().is_empty());
        assert!(lanes.commits().is_empty());
    }

    #[test]
    fn a_partition_is_paused_when_many_wait_and_resumed_when_few_do() {
        let mut lanes = Lanes::default();
        let mut pauses = 0;
        for offset in 0..100 {
            pauses += i32::from(lanes.accept(message(P0, offset)).is_some());
        }
        assert_eq!(pauses, 1);
        let mut resumed_with = Vec::new();
        for left in (0..100).rev() {
            let turn = lanes.turns().remove(0);
            if lanes.over(over(&turn, true)).is_some() {
                resumed_with.push(left);
            }
        }
        assert_eq!(resumed_with, [WAITING_LOW]);
    }

    #[test]
    fn what_a_lost_partition_had_under_way_is_not_committed_when_it_comes_back() {
        let mut lanes = Lanes::default();
        lanes.accept(message(P0, 7));
        let turn = lanes.turns().remove(0);
        lanes.lose(P0);
        lanes.accept(message(P0, 3));
        lanes.over(over(&turn, true));
        assert!(lanes.commits().is_empty());
        assert_eq!(lanes.turns()[0].message.offset, 3);
    }

    proptest::proptest! {
        #[test]
        fn whatever_finishes_first_each_partition_is_handled_and_committed_in_order(
            arrivals in proptest::collection::vec(0..3_i32, 1..300),
            endings in proptest::collection::vec(0..8_usize, 600),
        ) {
            let (mut lanes, mut under_way) = (Lanes::default(), Vec::new());
            let (mut arrived, mut handled) = ([0_i64; 3], [0_i64; 3]);
            let mut arrivals = arrivals.into_iter();
            for ending in endings {
                if let Some(number) = arrivals.next() {
                    let at = usize::try_from(number).expect("small");
                    lanes.accept(message(Partition { topic: topics::ORDER, number }, arrived[at]));
                    arrived[at] += 1;
                }
                under_way.extend(lanes.turns());
                if under_way.is_empty() {
                    continue;
                }
                let turn: Turn = under_way.swap_remove(ending % under_way.len());
                let at = usize::try_from(turn.message.partition.number).expect("small");
                proptest::prop_assert_eq!(turn.message.offset, handled[at]);
                handled[at] += 1;
                lanes.over(over(&turn, true));
                if ending == 0 {
                    for (partition, next) in lanes.commits() {
                        proptest::prop_assert_eq!(next, handled[usize::try_from(partition.number).expect("small")]);
                    }
                }
            }
        }
    }
}
