//! The task of one external resource: it inspects the resource when its desired state changes, and about once per minute.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use agora_chassis::Process;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ObjectReference;
use tokio::sync::watch;
use tokio::time::Instant;

use super::EventSink;
use crate::decide::correction::Correction;
use crate::decide::desired::external::Fingerprint;
use crate::market::{MarketRef, Trigger, backoff};
use crate::names;

const RETRY_MAX: Duration = Duration::from_secs(15);

/// From when the common moments of inspections are counted.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A kind of external resource.
#[async_trait]
pub trait External: Send + Sync + 'static {
    type Desired: Fingerprint + Clone + Send + Sync + 'static;
    type Observation: PartialEq + Clone + Send + 'static;

    /// Time between two inspections without an error. Where Marketplaces share no server, it is less a part of up to a sixth that
    /// differs by Marketplace, so that not all of them inspect at the same time.
    const INTERVAL_SECONDS: u64 = 60;

    /// Identifies the server: the inspections of the Marketplaces that share it are due at the same moments, so that the adapter
    /// can answer them by one. `None` if there is nothing to share.
    fn server(_desired: &Self::Desired) -> Option<String> {
        None
    }

    /// Compares the resource with its desired state and corrects differences. `initial` is true for the first inspection of
    /// a desired state and after a failure: then differences are expected, and are not reported as corrections of drift.
    async fn reconcile(&self, desired: &Self::Desired, initial: bool) -> Inspection<Self::Observation>;

    /// The observation if a server did not answer within `seconds`, so that the inspection was cancelled.
    fn overdue(&self, desired: &Self::Desired, seconds: u64) -> Self::Observation;
}

pub struct Inspection<O> {
    pub observation: O,
    /// Whether the next inspection is due at the usual interval. Otherwise it is retried with backoff.
    pub succeeded: bool,
    /// Whether something outside is awaited, so that the next inspection is due soon.
    pub awaited: bool,
    pub corrections: Vec<Correction>,
}

/// Reports the results of one Marketplace's inspections.
#[derive(Clone)]
pub struct Reporter {
    pub market: MarketRef,
    pub reference: ObjectReference,
    pub trigger: Trigger,
    pub events: Arc<dyn EventSink>,
    pub inspection_seconds_max: u64,
}

/// The desired state and the last observation of one resource. The task ends when this is dropped.
pub struct ExternalResource<E: External> {
    desired: watch::Sender<Option<Arc<E::Desired>>>,
    shared: Shared<E::Observation>,
}

struct Shared<O> {
    last: Arc<Mutex<Option<O>>>,
    running: Running,
}

/// Locked during an inspection.
pub type Running = Arc<tokio::sync::Mutex<()>>;

impl<E: External> ExternalResource<E> {
    pub fn start(process: &Process, reporter: Reporter, external: E) -> Self {
        let (desired, receiver) = watch::channel(None);
        let shared = Shared { last: Arc::default(), running: Running::default() };
        let task = Task {
            process: process.clone(),
            external,
            desired: receiver,
            last: shared.last.clone(),
            running: shared.running.clone(),
            reporter,
        };
        let (task, shutdown) = (Arc::new(tokio::sync::Mutex::new(task)), process.shutdown());
        process.supervise("external", move || {
            let (task, shutdown) = (task.clone(), shutdown.clone());
            async move {
                shutdown.run_until_cancelled(async { task.lock().await.run().await }).await;
                Ok(())
            }
        });
        Self { desired, shared }
    }

    /// What is no part of the fingerprint, as the record of what existed, is used by the next inspection, and requests none.
    pub fn set_desired(&self, desired: &E::Desired) {
        self.desired.send_if_modified(|current| {
            let differs = current.as_ref().is_none_or(|current| current.fingerprint() != desired.fingerprint());
            *current = Some(Arc::new(desired.clone()));
            differs
        });
    }

    pub fn suspend(&self) {
        self.desired.send_if_modified(|current| current.take().is_some());
    }

    pub fn last(&self) -> Option<E::Observation> {
        self.shared.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn running(&self) -> Running {
        self.shared.running.clone()
    }
}

struct Task<E: External> {
    process: Process,
    external: E,
    desired: watch::Receiver<Option<Arc<E::Desired>>>,
    last: Arc<Mutex<Option<E::Observation>>>,
    running: Running,
    reporter: Reporter,
}

impl<E: External> Task<E> {
    /// Returns when the sender of the desired state is dropped.
    async fn run(&mut self) {
        let mut failures = 0;
        let mut initial = true;
        loop {
            let guard = self.running.lock().await;
            let Some(desired) = self.desired.borrow_and_update().clone() else {
                drop(guard);
                if self.desired.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let Inspection { observation, succeeded, awaited, corrections } = self.inspect(&desired, initial).await;
            drop(guard);
            failures = if succeeded { 0 } else { failures + 1 };
            // After a failure it is unknown which steps were done, so all are repeated.
            initial = !succeeded;
            self.report(observation, corrections).await;
            let delay = self.delay(&desired, failures, awaited);
            tokio::select! {
                changed = self.desired.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    initial = true;
                }
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    fn delay(&self, desired: &E::Desired, failures: u32, awaited: bool) -> Duration {
        let interval = if awaited { RETRY_MAX } else { Duration::from_secs(E::INTERVAL_SECONDS) };
        let delay = if failures > 0 { RETRY_MAX.min(backoff(failures)) } else { interval };
        match E::server(desired) {
            Some(server) => until_common(&server, delay, STARTED.elapsed()),
            None if failures > 0 => delay,
            None => delay.saturating_sub(spread(&self.reporter.market, interval)),
        }
    }

    async fn inspect(&self, desired: &E::Desired, initial: bool) -> Inspection<E::Observation> {
        let MarketRef { namespace, name } = &self.reporter.market;
        let seconds = self.reporter.inspection_seconds_max;
        let deadline = Duration::from_secs(seconds);
        // An inspection that has not even ended at twice its deadline blocks its thread: the process is restarted.
        let _running = self.process.heartbeat(format!("external/{namespace}/{name}"), deadline * 2);
        let inspection = tokio::time::timeout(deadline, self.external.reconcile(desired, initial)).await;
        inspection.unwrap_or_else(|_| Inspection {
            observation: self.external.overdue(desired, seconds),
            succeeded: false,
            awaited: false,
            corrections: Vec::new(),
        })
    }

    async fn report(&self, observation: E::Observation, corrections: Vec<Correction>) {
        if replace(&self.last, observation) {
            self.reporter.trigger.send(self.reporter.market.clone());
        }
        for correction in corrections {
            self.reporter.events.corrected(&self.reporter.reference, correction).await;
        }
    }
}

/// Returns whether the observation differs from the last one.
fn replace<O: PartialEq>(last: &Mutex<Option<O>>, observation: O) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let differs = last.as_ref() != Some(&observation);
    *last = Some(observation);
    differs
}

/// Time until the next of the moments, `period` apart, at which all Marketplaces inspect this server.
fn until_common(server: &str, period: Duration, since_start: Duration) -> Duration {
    let phase = hash(server) % millis(period).max(1);
    let passed = (millis(since_start) + phase) % millis(period).max(1);
    Duration::from_millis(millis(period) - passed)
}

fn spread(market: &MarketRef, interval: Duration) -> Duration {
    let MarketRef { namespace, name } = market;
    Duration::from_millis(hash(&format!("{namespace}/{name}")) % (millis(interval) / 6).max(1))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hash(text: &str) -> u64 {
    u64::from_str_radix(&names::short_hash(text, 8), 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marketplaces_that_share_a_server_inspect_it_at_the_same_moments_and_others_at_other_ones() {
        let minute = Duration::from_mins(1);
        let next =
            |server, seconds| Duration::from_secs(seconds) + until_common(server, minute, Duration::from_secs(seconds));
        let first = next("one", 7);
        assert!(first > Duration::from_secs(7) && first <= Duration::from_secs(67));
        let asked = (7..60).map(|seconds| next("one", seconds));
        let moments: std::collections::BTreeSet<Duration> = asked.collect();
        assert!(moments.iter().all(|moment| *moment == first || *moment == first + minute), "{moments:?}");
        assert_ne!(next("two", 7), first);
        let retry = until_common("one", Duration::from_secs(4), Duration::from_secs(100));
        assert!(retry <= Duration::from_secs(4) && !retry.is_zero());
    }

    #[test]
    fn marketplaces_without_a_shared_server_are_spread_over_a_sixth_of_the_interval() {
        let minute = Duration::from_mins(1);
        let of = |name: &str| spread(&MarketRef { namespace: "shop".to_owned(), name: name.to_owned() }, minute);
        let all: std::collections::BTreeSet<Duration> = (0..100).map(|number| of(&format!("m{number}"))).collect();
        assert!(all.len() > 90 && all.last().unwrap() < &Duration::from_secs(10));
    }
}
