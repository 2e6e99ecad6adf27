//! Databases, topics and Redis of each Marketplace, tended by tasks of their own, so that a server that does not answer
//! delays no repair in the cluster. A reconcile says what is wanted and reads what was last seen; a task asks for a
//! reconcile when that changes.

pub(crate) mod databases;
mod redis;
pub(crate) mod topics;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agora_chassis::Process;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ObjectReference;
use tokio::sync::watch;

use crate::decide::correction::Correction;
use crate::decide::desired::Desired;
use crate::decide::desired::external::{DatabasesWanted, Fingerprint, RedisWanted, TopicsWanted};
use crate::decide::observed::{DatabasesOutcome, RedisOutcome, Seen, TopicsOutcome};
use crate::external::ports::{DatabaseAdmin, RedisProbe, TopicAdmin};
use crate::market::{MarketRef, Trigger, backoff};
use crate::names;

/// Time between two comparisons of what is well, less a share that spreads the Marketplaces.
const COMPARE_SECONDS: u64 = 60;
const SPREAD_SECONDS: u64 = 10;
const RETRY_MAX: Duration = Duration::from_secs(15);

/// The adapters.
#[derive(Clone)]
pub struct Adapters {
    /// Databases.
    pub databases: Arc<dyn DatabaseAdmin>,
    /// Topics.
    pub topics: Arc<dyn TopicAdmin>,
    /// Redis.
    pub redis: Arc<dyn RedisProbe>,
}

/// Where corrections are reported.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Says that something was put right.
    async fn corrected(&self, market: &ObjectReference, correction: Correction);
}

/// What lies outside the cluster, of every Marketplace.
pub struct Externals {
    /// The adapters.
    pub adapters: Adapters,
    process: Process,
    trigger: Trigger,
    events: Arc<dyn EventSink>,
    tended: Mutex<BTreeMap<MarketRef, Tended>>,
}

struct Tended {
    databases: Slot<DatabasesWanted, DatabasesOutcome>,
    topics: Slot<TopicsWanted, TopicsOutcome>,
    redis: Slot<RedisWanted, RedisOutcome>,
}

impl Externals {
    /// Tends nothing yet.
    pub fn new(adapters: Adapters, process: Process, trigger: Trigger, events: Arc<dyn EventSink>) -> Self {
        Self { adapters, process, trigger, events, tended: Mutex::default() }
    }

    /// The last looks.
    pub fn seen(&self, market: &MarketRef) -> Seen {
        let tended = self.tended.lock().unwrap_or_else(PoisonError::into_inner);
        tended.get(market).map_or_else(Seen::default, |tended| Seen {
            databases: tended.databases.last(),
            topics: tended.topics.last(),
            redis: tended.redis.last(),
        })
    }

    /// Says what is wanted. What cannot be asked for now stays as it was wanted last.
    pub fn want(&self, market: &MarketRef, reference: &ObjectReference, desired: &Desired) {
        let mut all = self.tended.lock().unwrap_or_else(PoisonError::into_inner);
        let tended = all.entry(market.clone()).or_insert_with(|| self.tend(market, reference));
        if let Ok(wanted) = &desired.databases {
            tended.databases.want(wanted);
        }
        if let Ok(wanted) = &desired.topics {
            tended.topics.want(wanted);
        }
        if let Ok(wanted) = &desired.redis {
            tended.redis.want(wanted);
        }
    }

    /// Wants nothing any more: what was seen last stays known, and no correction is begun.
    pub fn rest(&self, market: &MarketRef) {
        let tended = self.tended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tended) = tended.get(market) {
            tended.databases.rest();
            tended.topics.rest();
            tended.redis.rest();
        }
    }

    /// Wants nothing any more, and waits until no correction is under way: it would bring back what is being deleted.
    pub async fn quiesce(&self, market: &MarketRef) {
        self.rest(market);
        let busy = {
            let tended = self.tended.lock().unwrap_or_else(PoisonError::into_inner);
            tended.get(market).map(|tended| [tended.databases.busy.clone(), tended.topics.busy.clone()])
        };
        for busy in busy.into_iter().flatten() {
            drop(busy.lock().await);
        }
    }

    /// Ends the tasks of a Marketplace.
    pub fn forget(&self, market: &MarketRef) {
        self.tended.lock().unwrap_or_else(PoisonError::into_inner).remove(market);
    }

    fn tend(&self, market: &MarketRef, reference: &ObjectReference) -> Tended {
        let says = Says {
            market: market.clone(),
            reference: reference.clone(),
            trigger: self.trigger.clone(),
            events: self.events.clone(),
        };
        let adapters = self.adapters.clone();
        let databases = slot(&self.process, says.clone(), move |wanted: Arc<DatabasesWanted>, first| {
            let admin = adapters.databases.clone();
            async move { databases::tend(&*admin, &wanted, first).await }
        });
        let adapters = self.adapters.clone();
        let topics = slot(&self.process, says.clone(), move |wanted: Arc<TopicsWanted>, first| {
            let admin = adapters.topics.clone();
            async move { topics::tend(&*admin, &wanted, first).await }
        });
        let adapters = self.adapters.clone();
        let redis = slot(&self.process, says, move |wanted: Arc<RedisWanted>, _| {
            let probe = adapters.redis.clone();
            async move { redis::tend(&*probe, &wanted).await }
        });
        Tended { databases, topics, redis }
    }
}

/// What one look found and put right.
struct Look<O> {
    outcome: O,
    good: bool,
    corrected: Vec<Correction>,
}

/// Where a task says what it found.
#[derive(Clone)]
struct Says {
    market: MarketRef,
    reference: ObjectReference,
    trigger: Trigger,
    events: Arc<dyn EventSink>,
}

/// What is wanted of one kind, and what was last seen of it.
struct Slot<W, O> {
    wanted: watch::Sender<Option<Arc<W>>>,
    last: Arc<Mutex<Option<O>>>,
    busy: Busy,
}

/// Held while a look is under way.
type Busy = Arc<tokio::sync::Mutex<()>>;

impl<W: Fingerprint + Clone, O: Clone> Slot<W, O> {
    fn want(&self, wanted: &W) {
        self.wanted.send_if_modified(|known| {
            let differs = known.as_ref().is_none_or(|known| known.fingerprint() != wanted.fingerprint());
            if differs {
                *known = Some(Arc::new(wanted.clone()));
            }
            differs
        });
    }

    fn rest(&self) {
        self.wanted.send_if_modified(|known| known.take().is_some());
    }

    fn last(&self) -> Option<O> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts the task of one kind; it ends when its slot is dropped or the process ends.
fn slot<W, O, F>(process: &Process, says: Says, look: impl Fn(Arc<W>, bool) -> F + Send + 'static) -> Slot<W, O>
where
    W: Fingerprint + Send + Sync + 'static,
    O: PartialEq + Clone + Send + 'static,
    F: Future<Output = Look<O>> + Send + 'static,
{
    let (wanted, receiver) = watch::channel(None);
    let last = Arc::new(Mutex::new(None));
    let shutdown = process.shutdown();
    let busy = Busy::default();
    let kept = Kept { last: last.clone(), busy: busy.clone() };
    process.spawn("externals", async move {
        shutdown.run_until_cancelled(tend(receiver, kept, says, look)).await;
        Ok(())
    });
    Slot { wanted, last, busy }
}

/// What a task shares with its slot.
struct Kept<O> {
    last: Arc<Mutex<Option<O>>>,
    busy: Busy,
}

async fn tend<W, O, F>(
    mut wanted: watch::Receiver<Option<Arc<W>>>,
    kept: Kept<O>,
    says: Says,
    look: impl Fn(Arc<W>, bool) -> F,
) where
    O: PartialEq + Clone,
    F: Future<Output = Look<O>>,
{
    let mut failures = 0;
    let mut first = true;
    loop {
        let working = kept.busy.lock().await;
        let now = wanted.borrow_and_update().clone();
        let Some(now) = now else {
            drop(working);
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        };
        let found = look(now, first).await;
        drop(working);
        failures = if found.good { 0 } else { failures + 1 };
        // What failed is done from the beginning: nobody knows how far it got.
        first = !found.good;
        if keep(&kept.last, found.outcome) {
            says.trigger.send(says.market.clone());
        }
        for corrected in found.corrected {
            says.events.corrected(&says.reference, corrected).await;
        }
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                first = true;
            }
            () = tokio::time::sleep(pause(&says.market, failures)) => {}
        }
    }
}

/// Notes what was seen; true if it is news.
fn keep<O: PartialEq>(last: &Mutex<Option<O>>, outcome: O) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let news = last.as_ref() != Some(&outcome);
    *last = Some(outcome);
    news
}

fn pause(market: &MarketRef, failures: u32) -> Duration {
    if failures > 0 {
        return RETRY_MAX.min(backoff(failures));
    }
    let hash = names::short_hash(&format!("{}/{}", market.namespace, market.name), 4);
    let spread = u64::from_str_radix(&hash, 16).unwrap_or_default() % SPREAD_SECONDS;
    Duration::from_secs(COMPARE_SECONDS - spread)
}
