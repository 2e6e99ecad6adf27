//! Permits for requests under way: the most important of those that wait gets the next one that is given back, and of
//! equally important ones the last one to come.
//!
//! In the order of their arrival, a request that comes after a burst would wait for all of it. This way those at the head of
//! the burst, which would wait for longest in any case, wait until it is over or their time is, and a client that is refused
//! then may try again. Knows nothing of HTTP.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

/// How important a request is, the least important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Browsing,
    Account,
    Cart,
    Checkout,
}

const PRIORITIES: usize = 4;

/// What a request needs a permit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The path of the declared route.
    pub route: &'static str,
    pub priority: Priority,
}

/// How many permits there are, and for whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct PermitLimits {
    pub permits: usize,
    /// By priority, how many of them stay free for more important requests.
    pub reserved: [usize; PRIORITIES],
    /// Most permits of one route.
    pub of_route: usize,
    /// Most requests that wait. Beyond, the first of the least important ones is refused at once.
    pub waiting: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Permits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: PermitLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Permits in use, by route.
    of_routes: HashMap<&'static str, usize>,
    /// By priority. The last one to come is the last; those that gave up stay until they are found.
    waiting: [Vec<Waiting>; PRIORITIES],
}

#[derive(Debug)]
struct Waiting {
    route: &'static str,
    permit: oneshot::Sender<Permit>,
}

/// Given back when dropped. `None` once that is done.
#[derive(Debug)]
pub(super) struct Permit(Option<(Permits, &'static str)>);

impl Permits {
    pub fn new(limits: PermitLimits) -> Self {
        let state =
            State { free: limits.permits, of_routes: HashMap::new(), waiting: [const { Vec::new() }; PRIORITIES] };
        Self(Arc::new(Inner { limits, state: Mutex::new(state) }))
    }

    /// A permit, or `None` if there is none within `max`, or more important requests wait for all of them.
    pub async fn acquire(&self, demand: Demand, max: Duration) -> Option<Permit> {
        let Demand { route, priority } = demand;
        let permit = {
            let mut state = self.state();
            if state.has_room(&self.0.limits, demand) {
                state.use_one(route);
                return Some(Permit(Some((self.clone(), route))));
            }
            if !state.make_place(self.0.limits.waiting, priority) {
                return None;
            }
            let (sender, permit) = oneshot::channel();
            state.waiting[priority as usize].push(Waiting { route, permit: sender });
            permit
        };
        timeout(max, permit).await.ok()?.ok()
    }

    fn give_back(&self, mut route: &'static str) {
        while let Some(next) = self.next(route) {
            route = next.route;
            match next.permit.send(Permit(Some((self.clone(), route)))) {
                Ok(()) => return,
                // It gave up.
                Err(mut permit) => drop(permit.0.take()),
            }
        }
    }

    /// Takes a permit of the route back. The request that gets it; without one, the permit is free.
    fn next(&self, route: &'static str) -> Option<Waiting> {
        let mut state = self.state();
        state.free_one(route);
        state.next(&self.0.limits)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, limits: &PermitLimits, Demand { route, priority }: Demand) -> bool {
        let used = self.of_routes.get(route).copied().unwrap_or_default();
        self.free > limits.reserved[priority as usize] && used < limits.of_route
    }

    fn use_one(&mut self, route: &'static str) {
        self.free -= 1;
        *self.of_routes.entry(route).or_default() += 1;
    }

    fn free_one(&mut self, route: &'static str) {
        self.free += 1;
        if let Some(used) = self.of_routes.get_mut(route) {
            *used = used.saturating_sub(1);
        }
    }

    /// Makes place for one more that waits, by refusing the first of the least important ones, if need be. `false` if only
    /// more important ones wait.
    fn make_place(&mut self, waiting_max: usize, priority: Priority) -> bool {
        if self.waiting.iter().map(Vec::len).sum::<usize>() < waiting_max {
            return true;
        }
        for waiting in &mut self.waiting {
            waiting.retain(|one| !one.permit.is_closed());
        }
        if self.waiting.iter().map(Vec::len).sum::<usize>() < waiting_max {
            return true;
        }
        let least = self.waiting[..=priority as usize].iter_mut().find(|waiting| !waiting.is_empty());
        let Some(least) = least else { return false };
        // Dropping its sender refuses it.
        drop(least.remove(0));
        true
    }

    fn next(&mut self, limits: &PermitLimits) -> Option<Waiting> {
        for priority in [Priority::Checkout, Priority::Cart, Priority::Account, Priority::Browsing] {
            let waiting = &self.waiting[priority as usize];
            let found = waiting.iter().rposition(|one| self.has_room(limits, Demand { route: one.route, priority }));
            if let Some(at) = found {
                let next = self.waiting[priority as usize].remove(at);
                self.use_one(next.route);
                return Some(next);
            }
        }
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((permits, route)) = self.0.take() {
            permits.give_back(route);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, future::join};

    use super::{
        Demand, PRIORITIES, Permit, PermitLimits, Permits,
        Priority::{self, Browsing, Cart, Checkout},
    };

    const LONG: Duration = Duration::from_secs(20);
    const ONE: PermitLimits = PermitLimits { permits: 1, reserved: [0; PRIORITIES], of_route: 1, waiting: 100 };
    const LIST: Demand = Demand { route: "/list", priority: Browsing };

    fn demand(priority: Priority) -> Demand {
        Demand { route: "/any", priority }
    }

    /// As many as there are for this demand, without waiting.
    fn all(permits: &Permits, demand: Demand) -> Vec<Permit> {
        let at_once = || Box::pin(permits.acquire(demand, LONG)).now_or_never().flatten();
        std::iter::from_fn(at_once).collect()
    }

    #[tokio::test]
    async fn the_last_request_to_come_gets_the_next_permit_and_the_first_one_the_last() {
        let permits = Permits::new(ONE);
        let only = permits.acquire(LIST, LONG).await.unwrap();
        let (mut first, mut last) = (Box::pin(permits.acquire(LIST, LONG)), Box::pin(permits.acquire(LIST, LONG)));
        assert!(first.as_mut().now_or_never().is_none() && last.as_mut().now_or_never().is_none());
        drop(only);
        let second = last.await.unwrap();
        assert!(first.as_mut().now_or_never().is_none());
        let (third, ()) = join(first, async { drop(second) }).await;
        assert!(third.is_some());
    }

    #[tokio::test]
    async fn a_request_that_gives_up_takes_no_permit_with_it() {
        let permits = Permits::new(ONE);
        let only = permits.acquire(LIST, LONG).await.unwrap();
        assert!(permits.acquire(LIST, Duration::from_millis(1)).await.is_none());
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(permits.acquire(LIST, LONG))).collect();
        assert!(waiting.iter_mut().all(|waiting| waiting.as_mut().now_or_never().is_none()));
        // The last one gives up before, and the one before it after it got the permit.
        drop(waiting.pop());
        drop(only);
        drop(waiting.pop());
        assert!(waiting.remove(0).await.is_some());
        assert!(permits.acquire(LIST, Duration::ZERO).await.is_some(), "it was given back");
    }

    #[tokio::test]
    async fn gw7_a_checkout_that_waits_gets_its_permit_before_a_cart_and_that_before_browsing() {
        let permits = Permits::new(ONE);
        let only = permits.acquire(demand(Browsing), LONG).await.unwrap();
        let mut waiting = [Checkout, Browsing, Cart].map(|class| Box::pin(permits.acquire(demand(class), LONG)));
        assert!(waiting.iter_mut().all(|waiting| waiting.as_mut().now_or_never().is_none()));
        let [checkout, mut browsing, mut cart] = waiting;
        drop(only);
        let first = checkout.await.unwrap();
        assert!(cart.as_mut().now_or_never().is_none() && browsing.as_mut().now_or_never().is_none());
        drop(first);
        let second = cart.await.unwrap();
        assert!(browsing.as_mut().now_or_never().is_none());
        drop(second);
        assert!(browsing.await.is_some());
    }

    #[tokio::test]
    async fn gw7_browsing_leaves_permits_to_carts_and_both_leave_some_to_checkouts() {
        let limits = PermitLimits { permits: 10, reserved: [6, 6, 3, 0], of_route: 10, waiting: 100 };
        let permits = Permits::new(limits);
        let browsing = all(&permits, demand(Browsing));
        assert_eq!(browsing.len(), 4);
        let carts = all(&permits, demand(Cart));
        assert_eq!(carts.len(), 3);
        assert_eq!(all(&permits, demand(Checkout)).len(), 3);
        drop((browsing, carts));
        assert_eq!(all(&permits, demand(Checkout)).len(), 10, "all of them if there are no others");
    }

    #[tokio::test]
    async fn gw7_one_slow_route_does_not_take_the_permits_of_others() {
        let permits = Permits::new(PermitLimits { permits: 10, reserved: [0; PRIORITIES], of_route: 6, waiting: 100 });
        let slow = all(&permits, LIST);
        assert_eq!(slow.len(), 6);
        let mut one_more = Box::pin(permits.acquire(LIST, LONG));
        assert!(one_more.as_mut().now_or_never().is_none());
        let other = all(&permits, demand(Browsing));
        assert_eq!(other.len(), 4);
        drop(other);
        assert!(one_more.as_mut().now_or_never().is_none(), "permits of another route are none of its own");
        drop(slow);
        assert!(one_more.await.is_some());
    }

    #[tokio::test]
    async fn gw7_when_too_many_wait_the_least_important_one_is_refused_at_once() {
        let permits = Permits::new(PermitLimits { waiting: 2, ..ONE });
        let _only = permits.acquire(demand(Browsing), LONG).await.unwrap();
        let mut first = Box::pin(permits.acquire(demand(Browsing), LONG));
        let mut cart = Box::pin(permits.acquire(demand(Cart), LONG));
        assert!(first.as_mut().now_or_never().is_none() && cart.as_mut().now_or_never().is_none());
        let mut checkout = Box::pin(permits.acquire(demand(Checkout), LONG));
        assert!(checkout.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_some_and(|refused| refused.is_none()));
        let late = permits.acquire(demand(Browsing), LONG).now_or_never();
        assert!(late.is_some_and(|refused| refused.is_none()), "only more important ones wait");
        assert!(cart.as_mut().now_or_never().is_none());
    }
}
