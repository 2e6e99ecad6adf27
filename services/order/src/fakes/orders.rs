//! In-memory store. Must not depend on PostgreSQL.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_outbox::{DedupKey, Outcome, StoredResponse};
use agora_vocab::{Clock, CommandId, Epoch, OrderId, Page};
use async_trait::async_trait;
use time::{Duration, OffsetDateTime};

use crate::{
    domain::{
        self, HistoryEntry, Order, OrderChange, OrderDraft, Phase, Refused, RunnerId, SagaEvent, SagaLease, State,
        Status, lease, phase, wake_at,
    },
    ports::{
        ApplyError, CreateError, IdempotencyLeases, Issued, Listing, OrderReads, Orders, RequestLease, SagaSnapshot,
        Sagas, StoreError,
    },
};

const IDEMPOTENCY_LEASE: Duration = Duration::seconds(10);
const EXPIRED_AFTER: Duration = Duration::seconds(60);

/// In-memory order store with a clock that the test controls.
#[derive(Debug)]
pub struct InMemoryOrders {
    clock: Arc<dyn Clock>,
    payment_window: Duration,
    answer: fn(&State) -> Option<StoredResponse>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    orders: BTreeMap<OrderId, StoredOrder>,
    leases: Vec<StoredLease>,
    done: Vec<(DedupKey, Result<Option<Order>, Refused>)>,
    last_number: i64,
}

#[derive(Debug)]
struct StoredOrder {
    state: State,
    leased: SagaLease,
    history: Vec<(i64, OrderChange, OffsetDateTime)>,
    events: Vec<(i64, String)>,
}

#[derive(Debug)]
struct StoredLease {
    dedup_key: DedupKey,
    recovery_id: OrderId,
    since: OffsetDateTime,
    lease_until: OffsetDateTime,
    answer: Option<StoredResponse>,
}

impl InMemoryOrders {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>, payment_window: Duration, answer: fn(&State) -> Option<StoredResponse>) -> Self {
        Self { clock, payment_window, answer, inner: Mutex::default() }
    }

    /// History entries of an order, in sequence.
    pub fn history(&self, order: OrderId) -> Vec<(i64, OrderChange, OffsetDateTime)> {
        self.inner().orders.get(&order).map(|stored| stored.history.clone()).unwrap_or_default()
    }

    /// Sequence number and type of each event that an order published.
    pub fn events(&self, order: OrderId) -> Vec<(i64, String)> {
        self.inner().orders.get(&order).map(|stored| stored.events.clone()).unwrap_or_default()
    }

    /// The ids of all orders.
    pub fn ids(&self) -> Vec<OrderId> {
        self.inner().orders.keys().copied().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoredOrder {
    fn push(&mut self, entry: &HistoryEntry) {
        self.history.push((entry.seq, entry.change.clone(), self.state.order.updated_at));
        if let Some((seq, _)) = &entry.event {
            self.events.push((*seq, entry.kind().to_owned()));
        }
    }

    fn snapshot(&mut self, now: OffsetDateTime, runner: Option<RunnerId>) -> SagaSnapshot {
        let (leased, ours) = lease(&self.state, now, self.leased, runner);
        self.leased = leased;
        SagaSnapshot { state: self.state.clone(), now, lease: leased, leased: ours, revision: 0 }
    }
}

/// Whether two deduplication keys are equal; an error if a request key is reused with another body.
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

fn complete(leases: &mut [StoredLease], order: OrderId, answer: &StoredResponse) {
    if let Some(lease) = leases.iter_mut().find(|lease| lease.recovery_id == order && lease.answer.is_none()) {
        lease.answer = Some(answer.clone());
    }
}

#[async_trait]
impl Orders for InMemoryOrders {
    async fn create(&self, draft: OrderDraft, issued: Issued, runner: RunnerId) -> Result<SagaSnapshot, CreateError> {
        const DEAD: [Status; 3] = [Status::Rejected, Status::Cancelled, Status::Expired];
        let (mut inner, now) = (self.inner(), self.clock.now());
        if !inner.leases.iter().any(|lease| lease.recovery_id == draft.id && lease.answer.is_none()) {
            return Err(CreateError::LeaseLost);
        }
        if inner.orders.contains_key(&draft.id) {
            return Err(CreateError::Exists);
        }
        let live = |stored: &StoredOrder| !DEAD.contains(&stored.state.order.progress.status);
        if draft.cart.is_some()
            && inner.orders.values().any(|stored| stored.state.order.cart == draft.cart && live(stored))
        {
            return Err(CreateError::CartAlreadyOrdered);
        }
        let state = draft.into_state(issued.number, issued.at, self.payment_window);
        let (id, entry) = (state.order.id, HistoryEntry::created(&state.order));
        let mut stored = StoredOrder { state, leased: SagaLease::FREE, history: Vec::new(), events: Vec::new() };
        stored.push(&entry);
        let snapshot = stored.snapshot(now, Some(runner));
        inner.orders.insert(id, stored);
        Ok(snapshot)
    }

    async fn apply(
        &self,
        order: OrderId,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        let Inner { orders, done, leases, .. } = &mut *inner;
        let stored = orders.get_mut(&order).ok_or(ApplyError::NotFound)?;
        for (known, outcome) in done.iter() {
            if same(known, dedup_key)? {
                return match outcome.clone()? {
                    Some(order) => {
                        let state = State { order, saga: stored.state.saga.clone() };
                        Ok(Outcome::Duplicate(SagaSnapshot {
                            state,
                            now,
                            lease: stored.leased,
                            leased: false,
                            revision: 0,
                        }))
                    }
                    None => Ok(Outcome::Duplicate(stored.snapshot(now, runner))),
                };
            }
        }
        let keyed = matches!(dedup_key, DedupKey::Request { .. });
        let decision = match domain::decide_all(&stored.state, events, now) {
            Ok(decision) => decision,
            Err(refused) => {
                if keyed && matches!(refused, Refused::InvalidTransition { .. }) {
                    done.push((dedup_key.clone(), Err(refused.clone())));
                }
                return Err(refused.into());
            }
        };
        if let (None, Some(answer)) = ((self.answer)(&stored.state), (self.answer)(&decision.state)) {
            complete(leases, order, &answer);
        }
        stored.state = decision.state;
        for entry in &decision.entries {
            stored.push(entry);
        }
        done.push((dedup_key.clone(), Ok(keyed.then(|| stored.state.order.clone()))));
        Ok(Outcome::Applied(stored.snapshot(now, runner)))
    }

    async fn applied_commands(&self, commands: &[CommandId]) -> Result<HashSet<CommandId>, StoreError> {
        let inner = self.inner();
        let applied = |id: &&CommandId| inner.done.iter().any(|(key, _)| *key == DedupKey::Command { id: id.uuid() });
        Ok(commands.iter().filter(applied).copied().collect())
    }
}

#[async_trait]
impl Sagas for InMemoryOrders {
    async fn advance(
        &self,
        known: SagaSnapshot,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: RunnerId,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        self.apply(known.state.order.id, events, dedup_key, Some(runner)).await
    }

    async fn acquire_lease(&self, order: OrderId, runner: RunnerId) -> Result<Option<SagaSnapshot>, StoreError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        Ok(inner.orders.get_mut(&order).map(|stored| stored.snapshot(now, Some(runner))))
    }

    async fn lease_due(&self, runner: RunnerId, limit: u32) -> Result<Vec<SagaSnapshot>, StoreError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        let due = |stored: &&mut StoredOrder| {
            let free = stored.leased.until.is_none_or(|until| until <= now);
            free && wake_at(&stored.state, now).is_some_and(|time| time <= now)
        };
        let due = inner.orders.values_mut().filter(due).take(limit as usize);
        Ok(due.map(|stored| stored.snapshot(now, Some(runner))).collect())
    }

    async fn release_lease(&self, order: OrderId, runner: RunnerId) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if let Some(stored) = inner.orders.get_mut(&order).filter(|stored| stored.leased.owner == Some(runner.0)) {
            stored.leased = SagaLease::FREE;
        }
        Ok(())
    }

    async fn stuck(&self) -> Result<u64, StoreError> {
        let (inner, now) = (self.inner(), self.clock.now());
        Ok(inner.orders.values().filter(|stored| phase(&stored.state, now) == Phase::Stuck).count() as u64)
    }
}

#[async_trait]
impl OrderReads for InMemoryOrders {
    async fn load(&self, order: OrderId) -> Result<Option<SagaSnapshot>, StoreError> {
        let (inner, now) = (self.inner(), self.clock.now());
        Ok(inner.orders.get(&order).map(|stored| SagaSnapshot {
            state: stored.state.clone(),
            now,
            lease: stored.leased,
            leased: false,
            revision: 0,
        }))
    }

    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError> {
        let Listing { user, size, before, offset } = listing;
        let inner = self.inner();
        let page_size = usize::from(size.get());
        let shown = inner.orders.values().rev().map(|stored| &stored.state.order);
        let shown = shown.filter(|order| user.is_none_or(|user| order.user == user));
        let shown = shown.filter(|order| before.is_none_or(|before| order.id < before));
        let mut items: Vec<Order> =
            shown.skip(usize::try_from(*offset).unwrap_or(usize::MAX)).take(page_size + 1).cloned().collect();
        let more = items.len() > page_size;
        items.truncate(page_size);
        let next = items.last().filter(|_| more).map(|order| order.id.to_string());
        Ok(Page { items, total: None, next })
    }
}

#[async_trait]
impl IdempotencyLeases for InMemoryOrders {
    async fn acquire_idempotency_lease(
        &self,
        dedup_key: &DedupKey,
        fresh: OrderId,
    ) -> Result<RequestLease, StoreError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        inner.last_number += 1;
        let number = domain::number(Epoch::default(), 1_000_000 + inner.last_number);
        let held = |order, resumed| RequestLease::Held { order, resumed, issued: Issued { number, at: now } };
        for lease in &mut inner.leases {
            if same(&lease.dedup_key, dedup_key)? {
                return Ok(match &lease.answer {
                    Some(answer) => RequestLease::Completed(answer.clone()),
                    None if lease.lease_until > now => RequestLease::InProgress,
                    None => {
                        lease.lease_until = now + IDEMPOTENCY_LEASE;
                        held(lease.recovery_id, true)
                    }
                });
            }
        }
        let lease = StoredLease {
            dedup_key: dedup_key.clone(),
            recovery_id: fresh,
            since: now,
            lease_until: now + IDEMPOTENCY_LEASE,
            answer: None,
        };
        inner.leases.push(lease);
        Ok(held(fresh, false))
    }

    async fn cancel_idempotency_lease(&self, order: OrderId) -> Result<bool, StoreError> {
        let mut inner = self.inner();
        if inner.orders.contains_key(&order) {
            return Ok(false);
        }
        inner.leases.retain(|lease| lease.recovery_id != order || lease.answer.is_some());
        Ok(true)
    }

    async fn expired_idempotency_leases(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        let (mut inner, now) = (self.inner(), self.clock.now());
        let stale = |lease: &&mut StoredLease| {
            lease.answer.is_none() && lease.since + EXPIRED_AFTER < now && lease.lease_until < now
        };
        let expired = inner.leases.iter_mut().filter(stale).take(limit as usize).map(|lease| {
            lease.lease_until = now + IDEMPOTENCY_LEASE;
            lease.recovery_id
        });
        Ok(expired.collect())
    }
}
