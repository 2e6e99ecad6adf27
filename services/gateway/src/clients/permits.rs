//! Permits for the requests to one service: the last one to come gets the next one that is given back.
//!
//! In the order of their arrival, a request that comes after a burst would wait for all of it. This way those at the head of
//! the burst, which would wait for longest in any case, wait until it is over or their time is, and a client that is refused
//! then may try again. Knows nothing of HTTP.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

#[derive(Clone, Debug)]
pub(super) struct Permits(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// The last one to come is the last; those that gave up stay until they are found.
    waiting: Vec<oneshot::Sender<Permit>>,
}

/// Given back when dropped. `None` once that is done.
#[derive(Debug)]
pub(super) struct Permit(Option<Permits>);

impl Permits {
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, waiting: Vec::new() })))
    }

    /// A permit, or `None` if there is none within `max`.
    pub async fn acquire(&self, max: Duration) -> Option<Permit> {
        let permit = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Some(Permit(Some(self.clone())));
            }
            state.waiting.retain(|waiting| !waiting.is_closed());
            let (sender, permit) = oneshot::channel();
            state.waiting.push(sender);
            permit
        };
        timeout(max, permit).await.ok()?.ok()
    }

    fn give_back(&self) {
        loop {
            let Some(next) = self.next() else { return };
            match next.send(Permit(Some(self.clone()))) {
                Ok(()) => return,
                // It gave up.
                Err(mut permit) => drop(permit.0.take()),
            }
        }
    }

    /// The one that gets a permit; without one, the permit is free.
    fn next(&self) -> Option<oneshot::Sender<Permit>> {
        let mut state = self.state();
        let next = state.waiting.pop();
        state.free += usize::from(next.is_none());
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permits) = self.0.take() {
            permits.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, future::join};

    use super::Permits;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_last_request_to_come_gets_the_next_permit_and_the_first_one_the_last() {
        let permits = Permits::new(1);
        let only = permits.acquire(LONG).await.unwrap();
        let (mut first, mut last) = (Box::pin(permits.acquire(LONG)), Box::pin(permits.acquire(LONG)));
        assert!(first.as_mut().now_or_never().is_none() && last.as_mut().now_or_never().is_none());
        drop(only);
        let second = last.await.unwrap();
        assert!(first.as_mut().now_or_never().is_none());
        let (third, ()) = join(first, async { drop(second) }).await;
        assert!(third.is_some());
    }

    #[tokio::test]
    async fn a_request_that_gives_up_takes_no_permit_with_it() {
        let permits = Permits::new(1);
        let only = permits.acquire(LONG).await.unwrap();
        assert!(permits.acquire(Duration::from_millis(1)).await.is_none());
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(permits.acquire(LONG))).collect();
        assert!(waiting.iter_mut().all(|waiting| waiting.as_mut().now_or_never().is_none()));
        // The last one gives up before, and the one before it after it got the permit.
        drop(waiting.pop());
        drop(only);
        drop(waiting.pop());
        assert!(waiting.remove(0).await.is_some());
        assert!(permits.acquire(Duration::ZERO).await.is_some(), "it was given back");
    }
}
