//! Orders in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_outbox::{Acquisition, DedupKey, Outcome, StoredResponse};
use agora_vocab::{Clock, Epoch, OrderId, Page};
use async_trait::async_trait;
use time::{Duration, OffsetDateTime};

use crate::{
    domain::{self, Command, Draft, Entry, Order, Record, Refused, State, Status},
    ports::{ApplyError, CreateError, Driver, Listing, Orders, Progress, StoreError},
    saga::{Leased, Phase, lease, phase, wake},
};

const CLAIM_LEASE: Duration = Duration::seconds(10);
const CLAIM_STALE: Duration = Duration::seconds(60);

/// Orders in memory, by a clock of the test's choice.
#[derive(Debug)]
pub struct InMemoryOrders {
    clock: Arc<dyn Clock>,
    payment_window: Duration,
    answer: fn(&State) -> Option<StoredResponse>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    orders: BTreeMap<OrderId, Kept>,
    claims: Vec<Claimed>,
    done: Vec<(DedupKey, Result<Option<Order>, Refused>)>,
    drawn: i64,
}

#[derive(Debug)]
struct Kept {
    state: State,
    leased: Leased,
    history: Vec<(i64, Entry, OffsetDateTime)>,
    facts: Vec<(i64, String)>,
}

#[derive(Debug)]
struct Claimed {
    dedup_key: DedupKey,
    point: OrderId,
    since: OffsetDateTime,
    lease_until: OffsetDateTime,
    answer: Option<StoredResponse>,
}

impl InMemoryOrders {
    /// No orders yet.
    pub fn new(clock: Arc<dyn Clock>, payment_window: Duration, answer: fn(&State) -> Option<StoredResponse>) -> Self {
        Self { clock, payment_window, answer, inner: Mutex::default() }
    }

    /// An order's history.
    pub fn history(&self, order: OrderId) -> Vec<(i64, Entry, OffsetDateTime)> {
        self.inner().orders.get(&order).map(|kept| kept.history.clone()).unwrap_or_default()
    }

    /// The facts that were published of an order, with their places.
    pub fn facts(&self, order: OrderId) -> Vec<(i64, String)> {
        self.inner().orders.get(&order).map(|kept| kept.facts.clone()).unwrap_or_default()
    }

    /// The ids of all orders.
    pub fn ids(&self) -> Vec<OrderId> {
        self.inner().orders.keys().copied().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn note(&mut self, record: &Record) {
        self.history.push((record.seq, record.entry.clone(), self.state.order.updated_at));
        if let Some((seq, _)) = &record.fact {
            self.facts.push((*seq, record.kind().to_owned()));
        }
    }

    fn progress(&mut self, now: OffsetDateTime, driver: Option<Driver>) -> Progress {
        let (leased, ours) = lease(&self.state, now, self.leased, driver);
        self.leased = leased;
        Progress { state: self.state.clone(), now, leased: ours, revision: 0 }
    }
}

/// Whether two causes are the same cause; an error where a key is used for something else.
fn same(known: &DedupKey, dedup_key: &DedupKey) -> Result<bool, StoreError> {
    match (known, dedup_key) {
        (
            DedupKey::Request { scope, key, route, hash },
            DedupKey::Request { scope: other_scope, key: other_key, route: other_route, hash: other_hash },
        ) if (scope, key, route) == (other_scope, other_key, other_route) => {
            if hash == other_hash {
                Ok(true)
            } else {
                Err(StoreError::KeyReused)
            }
        }
        _ => Ok(known == dedup_key && *dedup_key != DedupKey::None),
    }
}

fn settle(claims: &mut [Claimed], order: OrderId, answer: &StoredResponse) {
    if let Some(claimed) = claims.iter_mut().find(|claimed| claimed.point == order && claimed.answer.is_none()) {
        claimed.answer = Some(answer.clone());
    }
}

#[async_trait]
impl Orders for InMemoryOrders {
    async fn claim(&self, dedup_key: &DedupKey, fresh: OrderId) -> Result<Acquisition, StoreError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        for claimed in &mut inner.claims {
            if same(&claimed.dedup_key, dedup_key)? {
                return Ok(match &claimed.answer {
                    Some(answer) => Acquisition::Completed(answer.clone()),
                    None if claimed.lease_until > now => Acquisition::InProgress { retry_after_s: 1 },
                    None => {
                        claimed.lease_until = now + CLAIM_LEASE;
                        Acquisition::Resumed { recovery_id: claimed.point.uuid() }
                    }
                });
            }
        }
        let claimed = Claimed {
            dedup_key: dedup_key.clone(),
            point: fresh,
            since: now,
            lease_until: now + CLAIM_LEASE,
            answer: None,
        };
        inner.claims.push(claimed);
        Ok(Acquisition::Started { recovery_id: fresh.uuid() })
    }

    async fn abandon(&self, order: OrderId) -> Result<bool, StoreError> {
        let mut inner = self.inner();
        if inner.orders.contains_key(&order) {
            return Ok(false);
        }
        inner.claims.retain(|claimed| claimed.point != order || claimed.answer.is_some());
        Ok(true)
    }

    async fn stale_claims(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        let stale = |claimed: &&mut Claimed| {
            claimed.answer.is_none() && claimed.since + CLAIM_STALE < now && claimed.lease_until < now
        };
        let taken = inner.claims.iter_mut().filter(stale).take(limit as usize).map(|claimed| {
            claimed.lease_until = now + CLAIM_LEASE;
            claimed.point
        });
        Ok(taken.collect())
    }

    async fn create(&self, draft: Draft, driver: Driver) -> Result<Progress, CreateError> {
        const DEAD: [Status; 3] = [Status::Rejected, Status::Cancelled, Status::Expired];
        let (mut inner, now) = (self.inner(), self.clock.now());
        if !inner.claims.iter().any(|claimed| claimed.point == draft.id && claimed.answer.is_none()) {
            return Err(CreateError::ClaimGone);
        }
        if inner.orders.contains_key(&draft.id) {
            return Err(CreateError::Exists);
        }
        let live = |kept: &Kept| !DEAD.contains(&kept.state.order.standing.status);
        if draft.cart.is_some() && inner.orders.values().any(|kept| kept.state.order.cart == draft.cart && live(kept)) {
            return Err(CreateError::CartTaken);
        }
        inner.drawn += 1;
        let number = domain::number(Epoch::default(), 1_000_000 + inner.drawn);
        let state = draft.into_state(number, now, self.payment_window);
        let (id, record) = (state.order.id, Record::created(&state.order));
        let mut kept = Kept { state, leased: Leased::NOBODY, history: Vec::new(), facts: Vec::new() };
        kept.note(&record);
        let progress = kept.progress(now, Some(driver));
        inner.orders.insert(id, kept);
        Ok(progress)
    }

    async fn apply(
        &self,
        order: OrderId,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Option<Driver>,
    ) -> Result<Outcome<Progress>, ApplyError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        let Inner { orders, done, claims, .. } = &mut *inner;
        let kept = orders.get_mut(&order).ok_or(ApplyError::NotFound)?;
        for (known, outcome) in done.iter() {
            if same(known, dedup_key)? {
                return match outcome.clone()? {
                    Some(order) => {
                        let state = State { order, saga: kept.state.saga.clone() };
                        Ok(Outcome::Duplicate(Progress { state, now, leased: false, revision: 0 }))
                    }
                    None => Ok(Outcome::Duplicate(kept.progress(now, driver))),
                };
            }
        }
        let keyed = matches!(dedup_key, DedupKey::Request { .. });
        let decision = match domain::decide(&kept.state, command, now) {
            Ok(decision) => decision,
            Err(refused) => {
                if keyed && matches!(refused, Refused::InvalidTransition { .. }) {
                    done.push((dedup_key.clone(), Err(refused.clone())));
                }
                return Err(refused.into());
            }
        };
        if let (None, Some(answer)) = ((self.answer)(&kept.state), (self.answer)(&decision.state)) {
            settle(claims, order, &answer);
        }
        kept.state = decision.state;
        if let Some(record) = &decision.record {
            kept.note(record);
        }
        done.push((dedup_key.clone(), Ok(keyed.then(|| kept.state.order.clone()))));
        Ok(Outcome::Applied(kept.progress(now, driver)))
    }

    async fn advance(
        &self,
        known: Progress,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Driver,
    ) -> Result<Outcome<Progress>, ApplyError> {
        self.apply(known.state.order.id, command, dedup_key, Some(driver)).await
    }

    async fn load(&self, order: OrderId, driver: Option<Driver>) -> Result<Option<Progress>, StoreError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        let Some(kept) = inner.orders.get_mut(&order) else { return Ok(None) };
        Ok(Some(match driver {
            Some(driver) => kept.progress(now, Some(driver)),
            None => Progress { state: kept.state.clone(), now, leased: false, revision: 0 },
        }))
    }

    async fn lease_due(&self, driver: Driver, limit: u32) -> Result<Vec<Progress>, StoreError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        let due = |kept: &&mut Kept| {
            let free = kept.leased.until.is_none_or(|until| until <= now);
            free && wake(&kept.state, now).is_some_and(|time| time <= now)
        };
        let due = inner.orders.values_mut().filter(due).take(limit as usize);
        Ok(due.map(|kept| kept.progress(now, Some(driver))).collect())
    }

    async fn yield_lease(&self, order: OrderId, driver: Driver) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if let Some(kept) = inner.orders.get_mut(&order).filter(|kept| kept.leased.owner == Some(driver.0)) {
            kept.leased = Leased::NOBODY;
        }
        Ok(())
    }

    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError> {
        let Listing { user, size, before, offset } = listing;
        let inner = self.inner();
        let wanted = usize::from(size.get());
        let shown = inner.orders.values().rev().map(|kept| &kept.state.order);
        let shown = shown.filter(|order| user.is_none_or(|user| order.user == user));
        let shown = shown.filter(|order| before.is_none_or(|before| order.id < before));
        let mut items: Vec<Order> =
            shown.skip(usize::try_from(*offset).unwrap_or(usize::MAX)).take(wanted + 1).cloned().collect();
        let more = items.len() > wanted;
        items.truncate(wanted);
        let next = items.last().filter(|_| more).map(|order| order.id.to_string());
        Ok(Page { items, total: None, next })
    }

    async fn stuck(&self) -> Result<u64, StoreError> {
        let (inner, now) = (self.inner(), self.clock.now());
        Ok(inner.orders.values().filter(|kept| phase(&kept.state, now) == Phase::Stuck).count() as u64)
    }
}
