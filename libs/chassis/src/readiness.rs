//! Whether a process should be sent requests. Knows gates (needed once) and dependencies (listed, never needed again);
//! it must not know what either stands for.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use metrics::Gauge;
use serde::Serialize;

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether requests should be sent here: every gate was opened once, and the process is not shutting down.
    pub ready: bool,
    /// What is still waited for, before the first readiness; "shutdown" while shutting down.
    pub gates: Vec<Waiting>,
    /// What is away at the moment without making the process unready.
    pub degraded: Vec<Waiting>,
}

/// One thing that is waited for or away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The service that waits, several of which may share a process.
    pub service: &'static str,
    /// What it waits for: "database", "listener", …
    pub name: String,
    /// Why, in words that name the remedy where there is one. Never a secret.
    pub reason: String,
}

/// The readiness of all services of one process; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    shutting_down: AtomicBool,
    items: Mutex<Vec<Item>>,
}

#[derive(Debug)]
struct Item {
    kind: Kind,
    service: &'static str,
    name: String,
    /// `None`: open, or up.
    reason: Option<String>,
    /// 1 while there is no reason, else 0.
    status: Option<Gauge>,
}

impl Item {
    fn set(&mut self, reason: Option<String>) {
        self.reason = reason;
        self.measure();
    }

    fn measure(&self) {
        if let Some(status) = &self.status {
            status.set(if self.reason.is_none() { 1.0 } else { 0.0 });
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gate,
    Dependency,
}

/// Something that must have been good once before requests are taken. Stays open once open: losing a dependency later
/// must not empty the Service of every replica at once.
#[derive(Clone, Debug)]
pub struct Gate(Handle);

/// Something whose absence is shown by `/readyz` as degraded and never answers 503. Counts as up until reported down.
#[derive(Clone, Debug)]
pub struct Dependency(Handle);

#[derive(Clone, Debug)]
struct Handle {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    pub(crate) fn gate(&self, service: &'static str, name: &str) -> Gate {
        Gate(self.register(Kind::Gate, service, name, Some("has not opened yet".to_owned())))
    }

    pub(crate) fn dependency(&self, service: &'static str, name: &str) -> Dependency {
        Dependency(self.register(Kind::Dependency, service, name, None))
    }

    pub(crate) fn fail_for_shutdown(&self) {
        self.0.shutting_down.store(true, Ordering::SeqCst);
    }

    pub(crate) fn shutting_down(&self) -> bool {
        self.0.shutting_down.load(Ordering::SeqCst)
    }

    pub(crate) fn report(&self) -> Report {
        let items = self.items();
        let waiting = |kind| {
            items
                .iter()
                .filter(move |item| item.kind == kind)
                .filter_map(|item| {
                    let reason = item.reason.clone()?;
                    Some(Waiting { service: item.service, name: item.name.clone(), reason })
                })
                .collect::<Vec<_>>()
        };
        let (mut gates, degraded) = (waiting(Kind::Gate), waiting(Kind::Dependency));
        if self.shutting_down() {
            gates.push(Waiting {
                service: "process",
                name: "shutdown".to_owned(),
                reason: "the process is shutting down".to_owned(),
            });
        }
        Report { ready: gates.is_empty(), gates, degraded }
    }

    /// The same name of the same service is the same item, so that a restarted task finds its dependency again.
    fn register(&self, kind: Kind, service: &'static str, name: &str, reason: Option<String>) -> Handle {
        let mut items = self.items();
        let found = items.iter().position(|item| item.kind == kind && item.service == service && item.name == name);
        let index = found.unwrap_or_else(|| {
            items.push(Item { kind, service, name: name.to_owned(), reason, status: None });
            items.len() - 1
        });
        Handle { readiness: self.clone(), index }
    }

    fn items(&self) -> MutexGuard<'_, Vec<Item>> {
        self.0.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// Sets the reason and returns the item's name if that changed whether there is one.
    fn set(&self, reason: Option<String>) -> Option<(&'static str, String)> {
        let mut items = self.readiness.items();
        let item = items.get_mut(self.index)?;
        let changed = item.reason.is_some() != reason.is_some();
        item.set(reason);
        changed.then(|| (item.service, item.name.clone()))
    }

    fn is_set(&self) -> bool {
        self.readiness.items().get(self.index).is_some_and(|item| item.reason.is_some())
    }
}

impl Gate {
    /// Opens for good.
    pub fn open(&self) {
        if let Some((service, gate)) = self.0.set(None) {
            tracing::info!(service, gate, "gate opened");
        }
    }

    /// Says why it is still closed. Does nothing after the first [`Gate::open`].
    pub fn close(&self, reason: impl Into<String>) {
        if self.0.is_set() {
            self.0.set(Some(reason.into()));
        }
    }

    /// Whether it was opened.
    pub fn is_open(&self) -> bool {
        !self.0.is_set()
    }
}

impl Dependency {
    /// Also shows as this gauge, with the label `service`, whether it is not known to be away: 1 or 0.
    #[must_use]
    pub fn measured_by(self, gauge: &'static str) -> Self {
        if let Some(item) = self.0.readiness.items().get_mut(self.0.index) {
            item.status = Some(metrics::gauge!(gauge, "service" => item.service));
            item.measure();
        }
        self
    }

    /// It answers again.
    pub fn up(&self) {
        if let Some((service, dependency)) = self.0.set(None) {
            tracing::info!(service, dependency, "dependency is back");
        }
    }

    /// It does not answer, and why.
    pub fn down(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if let Some((service, dependency)) = self.0.set(Some(reason.clone())) {
            tracing::warn!(service, dependency, reason, "dependency is away");
        }
    }

    /// Whether it is not known to be away.
    pub fn is_up(&self) -> bool {
        !self.0.is_set()
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn rs2_a_process_is_ready_when_every_gate_was_opened_once_and_names_those_that_were_not() {
        let readiness = Readiness::default();
        let (database, listener) = (readiness.gate("cart", "database"), readiness.gate("cart", "listener"));
        database.close("2 migrations are pending: run `agora migrate cart`");
        listener.open();

        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(report.gates.len(), 1);
        assert_eq!(report.gates[0].reason, "2 migrations are pending: run `agora migrate cart`");

        database.open();
        assert!(readiness.report().ready);
    }

    #[test]
    fn a_gate_stays_open_once_open() {
        let readiness = Readiness::default();
        let database = readiness.gate("cart", "database");
        database.open();
        database.close("the server went away");
        assert!(database.is_open());
        assert!(readiness.report().ready);
    }

    #[test]
    fn rs1_a_lost_dependency_is_listed_and_does_not_make_the_process_unready() {
        let readiness = Readiness::default();
        let broker = readiness.dependency("cart", "kafka");
        assert!(readiness.report().degraded.is_empty());
        broker.down("no broker answers");
        let report = readiness.report();
        assert!(report.ready);
        assert_eq!((report.degraded[0].name.as_str(), report.degraded[0].service), ("kafka", "cart"));
        broker.up();
        assert!(readiness.report().degraded.is_empty());
    }

    #[test]
    fn de10_a_dependency_shows_as_a_gauge_whether_it_is_away() {
        let readiness = Readiness::default();
        let metrics = crate::telemetry::metrics_handle();
        let broker = readiness.dependency("gauged", "kafka").measured_by("kafka_connection_status");
        let shows = |status: u8| {
            metrics.render().contains(&format!("kafka_connection_status{{service=\"gauged\"}} {status}\n"))
        };
        assert!(shows(1));
        broker.down("no broker answers");
        assert!(shows(0));
        readiness.dependency("gauged", "kafka").up();
        assert!(shows(1));
    }

    #[test]
    fn the_same_name_is_the_same_dependency() {
        let readiness = Readiness::default();
        readiness.dependency("cart", "kafka").down("away");
        readiness.dependency("cart", "kafka").up();
        assert!(readiness.report().degraded.is_empty());
    }

    #[test]
    fn rs3_shutting_down_is_not_ready() {
        let readiness = Readiness::default();
        assert!(readiness.report().ready);
        readiness.fail_for_shutdown();
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(report.gates[0].name, "shutdown");
    }
}
