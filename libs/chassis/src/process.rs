//! One service's hold on its process: tracked tasks, readiness, shutdown, clock and ids. It must not know what the
//! tasks do.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agora_vocab::{Clock, Flag, Ids};
use futures::FutureExt as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    clock::{SystemClock, SystemIds},
    flags::{FlagSwitch, Flags},
    heartbeat::{Heartbeat, Heartbeats},
    pauses::Pauses,
    readiness::{Dependency, Gate, Readiness, Report, Waiting},
    routers::{Routers, Started},
    tls::TlsPort,
};

/// First and longest pause before a supervised task is started again.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(200);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);

/// One service's hold on its process. Clones share it; several services of one process share tasks and readiness.
#[derive(Clone, Debug)]
pub struct Process {
    service: &'static str,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tasks: TaskTracker,
    draining: CancellationToken,
    shutdown: CancellationToken,
    readiness: Readiness,
    heartbeats: Heartbeats,
    started: Started,
    tls_ports: Mutex<BTreeMap<&'static str, TlsPort>>,
    notes: Mutex<BTreeMap<&'static str, String>>,
    flags: Flags,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Process {
    /// A process of its own, with the machine's clock and ids. Services are given theirs by [`crate::run`]; this is for
    /// programs that serve nothing but their admin port.
    pub fn new(service: &'static str) -> Self {
        Self::with(service, Arc::new(SystemClock), Arc::new(SystemIds))
    }

    /// A process without ports, for tests: real clock and ids.
    pub fn for_test(service: &'static str) -> Self {
        Self::new(service)
    }

    /// A process with a clock and ids of the caller's choice.
    pub fn with(service: &'static str, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let shared = Shared {
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            readiness: Readiness::default(),
            heartbeats: Heartbeats::default(),
            started: Started::default(),
            tls_ports: Mutex::default(),
            notes: Mutex::default(),
            flags: Flags::default(),
            clock,
            ids,
        };
        Self { service, shared: Arc::new(shared) }
    }

    /// The same process as another of its services sees it.
    pub(crate) fn of(&self, service: &'static str) -> Self {
        Self { service, shared: self.shared.clone() }
    }

    /// The service's name: "catalog".
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Runs a task that the process waits for when it shuts down; the task itself must end when [`Process::shutdown`]
    /// is cancelled.
    ///
    /// A future cannot be started twice: one that fails or panics is logged, counted (`task_failed_total`) and listed
    /// as degraded by `/readyz` as `task/<name>`, for good. Use [`Process::supervise`] for work that should be tried
    /// again.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let process = self.clone();
        let span = tracing::info_span!(parent: None, "task", task = name, service = self.service);
        let watched = async move {
            if let Err(failure) = caught(task).await {
                process.failed(name, &failure);
            }
        };
        self.track(watched.instrument(span));
    }

    /// Runs a task and starts it again whenever it fails or panics, after a pause that doubles from 0.2 to 30 s; back
    /// to 0.2 s once a run lasted longer than 30 s. Ends when a run returns `Ok` or the process shuts down.
    pub fn supervise<F>(&self, name: &'static str, mut start: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let process = self.clone();
        let span = tracing::info_span!(parent: None, "task", task = name, service = self.service);
        let supervised = async move {
            let health = process.dependency(&format!("task/{name}"));
            let mut pauses = Pauses::new(RESTART_PAUSE_MIN, RESTART_PAUSE_MAX);
            loop {
                let started = tokio::time::Instant::now();
                let run = caught(start());
                let Err(failure) = run.await else { return health.up() };
                process.failed(name, &failure);
                if started.elapsed() > RESTART_PAUSE_MAX {
                    pauses.reset();
                }
                tokio::select! {
                    () = process.shared.shutdown.cancelled() => return,
                    () = tokio::time::sleep(pauses.pause()) => health.up(),
                }
            }
        };
        self.track(supervised.instrument(span));
    }

    /// Cancelled when tasks have to end: after the listeners have drained.
    pub fn shutdown(&self) -> CancellationToken {
        self.shared.shutdown.clone()
    }

    /// Cancelled when the process begins to end: clients should go elsewhere, and responses without an end must end.
    /// Requests are still accepted for a while.
    pub fn draining(&self) -> CancellationToken {
        self.shared.draining.clone()
    }

    /// Something that must be good once before the process is ready; closed at first. The same name is the same gate.
    pub fn gate(&self, name: &str) -> Gate {
        self.shared.readiness.gate(self.service, name)
    }

    /// Something whose absence degrades the service without making it unready. The same name is the same dependency.
    pub fn dependency(&self, name: &str) -> Dependency {
        self.shared.readiness.dependency(self.service, name)
    }

    /// States something that people should know about this process, such as a part that is turned off: `/info` shows it
    /// under this name. Never a secret.
    pub fn note(&self, name: &'static str, text: impl Into<String>) {
        self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(name, text.into());
    }

    /// What was stated with [`Process::note`], by name.
    pub(crate) fn notes(&self) -> BTreeMap<&'static str, String> {
        self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A feature flag of the shop, as it is from now on.
    pub fn flag(&self, flag: Flag) -> FlagSwitch {
        self.shared.flags.switch(flag)
    }

    /// Sets the flags as a flag file with this text does; for tests.
    pub fn set_flags(&self, text: &str) -> anyhow::Result<()> {
        Ok(self.shared.flags.take_over(text)?)
    }

    pub(crate) fn flags(&self) -> &Flags {
        &self.shared.flags
    }

    /// Work that must show progress at least once per `limit` until the heartbeat is dropped: otherwise `/livez` answers
    /// 503.
    pub fn heartbeat(&self, name: impl Into<String>, limit: Duration) -> Heartbeat {
        self.shared.heartbeats.start(self.service, name.into(), limit)
    }

    /// The work that has shown no progress for longer than its limit, of all services of the process.
    pub fn overdue(&self) -> Vec<Waiting> {
        self.shared.heartbeats.overdue()
    }

    /// What `/readyz` would say now, of all services of the process.
    pub fn readiness(&self) -> Report {
        self.shared.readiness.report()
    }

    /// The clock for everything that is not decided by the database's.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.shared.clock.clone()
    }

    /// The source of fresh ids.
    pub fn ids(&self) -> Arc<dyn Ids> {
        self.shared.ids.clone()
    }

    /// The routers of a service of this process that has started. Calls through them need no socket; everything else is as
    /// over HTTP.
    pub fn routers_of(&self, service: &str) -> Option<Routers> {
        self.shared.started.find(service)
    }

    /// Offers the routers of a service to the others of the process; [`crate::run`] does it for each that it starts.
    pub fn provide(&self, service: &'static str, routers: Routers) {
        self.shared.started.insert(service, routers);
    }

    /// Serves the public router of this service on a port of its own with TLS, and on its plain port what [`TlsPort::plain`]
    /// says. Has an effect until the service has started.
    pub fn terminate_tls(&self, port: TlsPort) {
        self.shared.tls_ports.lock().unwrap_or_else(PoisonError::into_inner).insert(self.service, port);
    }

    /// What the service has asked for with [`Process::terminate_tls`].
    pub(crate) fn take_tls_port(&self) -> Option<TlsPort> {
        self.shared.tls_ports.lock().unwrap_or_else(PoisonError::into_inner).remove(self.service)
    }

    /// Fails readiness while everything else goes on.
    pub(crate) fn fail_readiness(&self) {
        self.shared.readiness.fail_for_shutdown();
        self.shared.draining.cancel();
    }

    /// Whether readiness has been failed for shutdown.
    pub(crate) fn shutting_down(&self) -> bool {
        self.shared.readiness.shutting_down()
    }

    /// Ends every task and waits for them.
    pub async fn end(&self) {
        self.shared.draining.cancel();
        self.shared.shutdown.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// How many tasks have not ended.
    pub(crate) fn tasks_left(&self) -> usize {
        self.shared.tasks.len()
    }

    /// Spawns a future that the process waits for when it shuts down, and that ends by itself. Unlike [`Process::spawn`] it
    /// has neither a name nor a result.
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are tracked")]
    pub fn track(&self, future: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.shared.tasks.track_future(future));
    }

    fn failed(&self, name: &'static str, failure: &anyhow::Error) {
        tracing::error!(task = name, error = format!("{failure:#}"), "task failed");
        metrics::counter!("task_failed_total", "service" => self.service, "task" => name).increment(1);
        self.dependency(&format!("task/{name}")).down(format!("{failure:#}"));
    }
}

/// The task's result, a panic being an error too.
async fn caught(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    match AssertUnwindSafe(task).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(anyhow::anyhow!("the task panicked; the log has the message and the place")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::Process;

    #[tokio::test]
    async fn a_task_that_fails_is_listed_as_degraded_and_does_not_end_the_process() {
        let process = Process::for_test("cart");
        process.spawn("relay", async { anyhow::bail!("no broker") });
        process.end().await;
        let report = process.readiness();
        assert!(report.ready);
        assert_eq!((report.degraded[0].name.as_str(), report.degraded[0].reason.as_str()), ("task/relay", "no broker"));
    }

    #[tokio::test]
    async fn a_task_that_panics_is_listed_as_degraded() {
        let process = Process::for_test("cart");
        process.spawn("relay", async { panic!("a bug") });
        process.end().await;
        assert!(process.readiness().degraded[0].reason.contains("panicked"));
    }

    #[tokio::test]
    async fn a_supervised_task_is_started_again_until_it_succeeds() {
        let (process, runs) = (Process::for_test("cart"), Arc::new(AtomicU32::new(0)));
        let (done, ended) = tokio::sync::oneshot::channel();
        let (counted, mut done) = (runs.clone(), Some(done));
        process.supervise("relay", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            let done = if run == 2 { done.take() } else { None };
            async move {
                match done {
                    Some(done) => done.send(()).map_err(|()| anyhow::anyhow!("the receiver is gone")),
                    None if run == 1 => panic!("a bug"),
                    None => anyhow::bail!("not yet"),
                }
            }
        });
        ended.await.unwrap();
        process.end().await;
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        assert!(process.readiness().degraded.is_empty());
    }

    #[tokio::test]
    async fn a_supervised_task_in_its_pause_ends_with_the_process() {
        let process = Process::for_test("cart");
        process.supervise("relay", || async { anyhow::bail!("never") });
        tokio::task::yield_now().await;
        process.end().await;
        assert_eq!(process.tasks_left(), 0);
    }

    #[tokio::test]
    async fn rs3_shutdown_cancels_tasks_and_waits_for_them() {
        let process = Process::for_test("cart");
        let finished = Arc::new(AtomicU32::new(0));
        let (shutdown, count) = (process.shutdown(), finished.clone());
        process.spawn("consumer", async move {
            shutdown.cancelled().await;
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        process.end().await;
        assert_eq!(finished.load(Ordering::SeqCst), 1);
    }
}
