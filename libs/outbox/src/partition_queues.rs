//! The messages that a consumer holds of each partition: one batch at a time is in flight, handled offsets are committed.
//!
//! Contains order and limits. Must not call the broker or a handler.

use std::collections::{BTreeMap, VecDeque};

use agora_kafka::{Incoming, Partition};

/// A partition with this many waiting messages is paused,
const WAITING_MAX: usize = 64;
/// and resumed at this many.
const WAITING_LOW: usize = 16;

/// One queue for each partition that messages were received from.
#[derive(Debug, Default)]
pub(crate) struct PartitionQueues {
    queues: BTreeMap<Partition, PartitionQueue>,
    made: u64,
}

#[derive(Debug, Default)]
struct PartitionQueue {
    /// Distinguishes the queue from an earlier one of the same partition, which was revoked and assigned again.
    number: u64,
    waiting: VecDeque<Incoming>,
    in_flight: bool,
    paused: bool,
    /// The next offset to commit.
    next: Option<i64>,
}

/// The messages of a queue that are being handled, in order; never empty.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub queue: u64,
    pub messages: Vec<Incoming>,
}

/// The end of handling a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub queue: u64,
    pub partition: Partition,
    /// The offset of the last message that was handled.
    pub offset: Option<i64>,
    /// Whether all messages were handled; `false` if the process shuts down before.
    pub handled: bool,
}

impl PartitionQueues {
    /// Appends a message to its queue. Returns the partition to pause if too many messages wait.
    pub fn accept(&mut self, message: Incoming) -> Option<Partition> {
        let partition = message.partition;
        let queue = self.queues.entry(partition).or_insert_with(|| {
            self.made += 1;
            PartitionQueue { number: self.made, ..PartitionQueue::default() }
        });
        queue.waiting.push_back(message);
        let pause = queue.waiting.len() >= WAITING_MAX && !queue.paused;
        queue.paused |= pause;
        pause.then_some(partition)
    }

    /// Takes the waiting messages of each queue that has none in flight, the oldest first and at most `limit` of a queue.
    pub fn take_ready(&mut self, limit: usize) -> Vec<InFlight> {
        let ready = self.queues.values_mut().filter(|queue| !queue.in_flight && !queue.waiting.is_empty());
        ready
            .map(|queue| {
                queue.in_flight = true;
                let count = queue.waiting.len().min(limit);
                InFlight { queue: queue.number, messages: queue.waiting.drain(..count).collect() }
            })
            .collect()
    }

    /// Records the end of a batch. Returns the partition to resume if few messages wait. Ignores a queue that was
    /// revoked in the meantime.
    pub fn complete(&mut self, completion: Completion) -> Option<Partition> {
        let queue = self.queues.get_mut(&completion.partition).filter(|queue| queue.number == completion.queue)?;
        queue.next = completion.offset.map(|offset| offset + 1).or(queue.next);
        // An unfinished message blocks its queue, so that no later message overtakes it.
        if !completion.handled {
            return None;
        }
        queue.in_flight = false;
        let resume = queue.paused && queue.waiting.len() <= WAITING_LOW;
        queue.paused &= !resume;
        resume.then_some(completion.partition)
    }

    /// Drops the queues of revoked partitions.
    pub fn revoke(&mut self, partitions: &[Partition]) {
        self.queues.retain(|partition, _| !partitions.contains(partition));
    }

    /// The offsets to commit that were not returned before.
    pub fn commits(&mut self) -> Vec<(Partition, i64)> {
        self.queues.iter_mut().filter_map(|(partition, queue)| Some((*partition, queue.next.take()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use agora_events::topics;

    use super::*;

    const P0: Partition = Partition { topic: topics::ORDER, number: 0 };
    const P1: Partition = Partition { topic: topics::ORDER, number: 1 };

    fn message(partition: Partition, offset: i64) -> Incoming {
        Incoming { partition, offset, key: None, payload: Vec::new(), sent_at_ms: 0, headers: Vec::new() }
    }

    fn completion(in_flight: &InFlight, handled: bool) -> Completion {
        let InFlight { queue, messages } = in_flight;
        let offset = handled.then(|| messages.last().expect("a message").offset);
        Completion { queue: *queue, partition: messages[0].partition, offset, handled }
    }

    #[test]
    fn one_batch_of_a_partition_is_in_flight_and_partitions_do_not_wait_for_each_other() {
        let mut queues = PartitionQueues::default();
        for (partition, offset) in [(P0, 5), (P0, 6), (P1, 9)] {
            queues.accept(message(partition, offset));
        }
        let first = queues.take_ready(1);
        let places: Vec<_> =
            first.iter().map(|taken| (taken.messages[0].partition, taken.messages[0].offset)).collect();
        assert_eq!(places, [(P0, 5), (P1, 9)]);
        assert!(queues.take_ready(1).is_empty(), "both have a message in flight");

        queues.complete(completion(&first[0], true));

        assert_eq!(queues.take_ready(1)[0].messages[0].offset, 6);
        assert_eq!(queues.commits(), [(P0, 6)]);
        assert_eq!(queues.commits(), []);
    }

    #[test]
    fn an_unfinished_message_is_not_committed_and_not_overtaken() {
        let mut queues = PartitionQueues::default();
        queues.accept(message(P0, 1));
        queues.accept(message(P0, 2));
        let in_flight = queues.take_ready(1).remove(0);
        queues.complete(completion(&in_flight, false));
        assert!(queues.take_ready(1).is_empty());
        assert!(queues.commits().is_empty());
    }

    #[test]
    fn of_an_unfinished_batch_the_handled_messages_are_committed() {
        let mut queues = PartitionQueues::default();
        for offset in 1..=4 {
            queues.accept(message(P0, offset));
        }
        let in_flight = queues.take_ready(3).remove(0);
        assert_eq!(in_flight.messages.iter().map(|message| message.offset).collect::<Vec<_>>(), [1, 2, 3]);
        queues.complete(Completion { offset: Some(2), ..completion(&in_flight, false) });
        assert!(queues.take_ready(3).is_empty());
        assert_eq!(queues.commits(), [(P0, 3)]);
    }

    #[test]
    fn a_partition_is_paused_when_many_messages_wait_and_resumed_when_few_do() {
        let mut queues = PartitionQueues::default();
        let mut pauses = 0;
        for offset in 0..100 {
            pauses += i32::from(queues.accept(message(P0, offset)).is_some());
        }
        assert_eq!(pauses, 1);
        let mut resumed_with = Vec::new();
        for left in (0..100).rev() {
            let in_flight = queues.take_ready(1).remove(0);
            if queues.complete(completion(&in_flight, true)).is_some() {
                resumed_with.push(left);
            }
        }
        assert_eq!(resumed_with, [WAITING_LOW]);
    }

    #[test]
    fn an_offset_from_before_a_revocation_is_not_committed_after_reassignment() {
        let mut queues = PartitionQueues::default();
        queues.accept(message(P0, 7));
        let in_flight = queues.take_ready(1).remove(0);
        queues.revoke(&[P0]);
        queues.accept(message(P0, 3));
        queues.complete(completion(&in_flight, true));
        assert!(queues.commits().is_empty());
        assert_eq!(queues.take_ready(1)[0].messages[0].offset, 3);
    }

    proptest::proptest! {
        #[test]
        fn each_partition_is_handled_and_committed_in_order_for_any_completion_order(
            arrivals in proptest::collection::vec(0..3_i32, 1..300),
            endings in proptest::collection::vec(0..8_usize, 600),
        ) {
            let (mut queues, mut running) = (PartitionQueues::default(), Vec::new());
            let (mut arrived, mut handled) = ([0_i64; 3], [0_i64; 3]);
            let mut arrivals = arrivals.into_iter();
            for ending in endings {
                if let Some(number) = arrivals.next() {
                    let at = usize::try_from(number).expect("small");
                    queues.accept(message(Partition { topic: topics::ORDER, number }, arrived[at]));
                    arrived[at] += 1;
                }
                running.extend(queues.take_ready(1 + ending % 3));
                if running.is_empty() {
                    continue;
                }
                let in_flight: InFlight = running.swap_remove(ending % running.len());
                let at = usize::try_from(in_flight.messages[0].partition.number).expect("small");
                for message in &in_flight.messages {
                    proptest::prop_assert_eq!(message.offset, handled[at]);
                    handled[at] += 1;
                }
                queues.complete(completion(&in_flight, true));
                if ending == 0 {
                    for (partition, next) in queues.commits() {
                        proptest::prop_assert_eq!(next, handled[usize::try_from(partition.number).expect("small")]);
                    }
                }
            }
        }
    }
}
