//! A queue in front of a fixed number of places: sources take turns, so that a source with many requests waits behind itself
//! and not in front of others. Bounded for each source and in all.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::ports::Source;

/// Bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    /// Places that are used at a time.
    pub places: usize,
    /// Requests that wait, of all sources.
    pub waiting: usize,
    /// Requests of one source that wait.
    pub waiting_of_one: usize,
}

/// Clones share the places.
#[derive(Clone, Debug)]
pub(super) struct FairQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: QueueLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Sources with waiting requests, in the order of their turns.
    lanes: VecDeque<(Source, VecDeque<oneshot::Sender<Place>>)>,
}

/// The right to use one place, given to the next in turn when dropped.
#[derive(Debug)]
pub(super) struct Place(Option<FairQueue>);

/// The queue is full.
#[derive(Debug)]
pub(super) struct Full;

impl FairQueue {
    pub fn new(limits: QueueLimits) -> Self {
        let state = Mutex::new(State { free: limits.places, lanes: VecDeque::new() });
        Self(Arc::new(Shared { limits, state }))
    }

    /// Waits for a place.
    pub async fn enter(&self, source: Source) -> Result<Place, Full> {
        let place = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Place(Some(self.clone())));
            }
            state.wait(source, self.0.limits)?
        };
        // The sender is in a lane until it has sent; lanes live as long as the queue.
        place.await.map_err(|_| Full)
    }

    fn leave(self) {
        loop {
            let Some(next) = self.state().next_or_free() else { return };
            let Err(mut unused) = next.send(Place(Some(self.clone()))) else { return };
            // The one that waited has gone; its place is given to another.
            unused.0 = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, source: Source, limits: QueueLimits) -> Result<oneshot::Receiver<Place>, Full> {
        for (_, lane) in &mut self.lanes {
            lane.retain(|waiting| !waiting.is_closed());
        }
        self.lanes.retain(|(_, lane)| !lane.is_empty());
        let waiting: usize = self.lanes.iter().map(|(_, lane)| lane.len()).sum();
        let of_source = self.lanes.iter().position(|(of, _)| *of == source);
        let lane = of_source.map_or(0, |index| self.lanes[index].1.len());
        if waiting >= limits.waiting || lane >= limits.waiting_of_one {
            return Err(Full);
        }
        let (sender, receiver) = oneshot::channel();
        match of_source {
            Some(index) => self.lanes[index].1.push_back(sender),
            None => self.lanes.push_back((source, VecDeque::from([sender]))),
        }
        Ok(receiver)
    }

    /// The next in turn; without one, the place becomes free.
    fn next_or_free(&mut self) -> Option<oneshot::Sender<Place>> {
        while let Some((source, mut lane)) = self.lanes.pop_front() {
            let next = lane.pop_front();
            if !lane.is_empty() {
                self.lanes.push_back((source, lane));
            }
            if next.is_some() {
                return next;
            }
        }
        self.free += 1;
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{FairQueue, QueueLimits};
    use crate::ports::Source;

    const LIMITS: QueueLimits = QueueLimits { places: 1, waiting: 30, waiting_of_one: 20 };

    #[tokio::test]
    async fn a_newcomer_waits_for_one_turn_and_not_for_all_of_a_crowd() {
        let (queue, order) = (FairQueue::new(LIMITS), Mutex::new(Vec::new()));
        let held = queue.enter(Source(1)).await.unwrap();
        let sources = (0..20).map(|_| 1).chain([2, 3, 3]);
        let waiting = sources.map(|source| {
            let (queue, order) = (queue.clone(), &order);
            async move {
                let place = queue.enter(Source(source)).await.unwrap();
                order.lock().unwrap().push(source);
                drop(place);
            }
        });
        let all = futures::future::join_all(waiting);
        tokio::join!(all, async { drop(held) });
        assert_eq!(order.lock().unwrap()[..6], [1, 2, 3, 1, 3, 1]);
        assert_eq!(order.lock().unwrap().len(), 23);
    }

    #[tokio::test]
    async fn a_source_and_the_whole_queue_are_bounded_and_those_that_leave_make_room() {
        let queue = FairQueue::new(QueueLimits { places: 1, waiting: 3, waiting_of_one: 2 });
        let held = queue.enter(Source(1)).await.unwrap();
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(queue.enter(Source(1)))).collect();
        for one in &mut waiting {
            assert!(futures::poll!(one).is_pending());
        }
        assert!(queue.enter(Source(1)).await.is_err(), "of one source");
        let mut other = Box::pin(queue.enter(Source(2)));
        assert!(futures::poll!(&mut other).is_pending());
        assert!(queue.enter(Source(3)).await.is_err(), "in all");
        waiting.clear();
        let mut third = Box::pin(queue.enter(Source(3)));
        assert!(futures::poll!(&mut third).is_pending());
        drop(held);
        drop(other.await.unwrap());
        drop(third.await.unwrap());
        assert_eq!(queue.state().free, 1);
    }
}
