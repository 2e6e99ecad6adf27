//! The life of a process: set up, start the services, serve, and end in order when asked. Knows no service.

use std::{io, path::PathBuf, time::Duration};

use anyhow::Context as _;
use futures::future::{BoxFuture, join_all};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin, flags,
    process::Process,
    readiness::Gate,
    routers::Routers,
    server::{self, Site},
    settings::{Reader, settings},
    shutdown_signal::ShutdownSignal,
    telemetry,
    tls::TlsPort,
};

/// The admin port when `ADMIN_PORT` is not set.
const ADMIN_PORT: u16 = 9090;

/// How often the recorder of metrics tidies up: histograms keep every sample until then.
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Most threads for work that blocks: hashes, name lookups, files. tokio's 512 would each keep memory after a burst.
const BLOCKING_THREADS_MAX: usize = 16;

/// Time that the runtime's blocking threads get at the very end.
const RUNTIME_END: Duration = Duration::from_millis(500);

/// A service as the process starts it.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name: "catalog".
    pub name: &'static str,
    /// Reads its settings, builds it and returns what to serve where; must return at once and leave waiting for
    /// databases and brokers to gates and tasks. Fails only on settings that cannot work.
    pub start: fn(Process) -> BoxFuture<'static, Started>,
}

/// What starting a service gives, or why it cannot work.
pub type Started = anyhow::Result<(Ports, Routers)>;

/// Where a service listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// For shoppers, by way of the gateway: `PORT`.
    pub public: u16,
    /// For other services: `INTERNAL_PORT`; `None`: the service takes no commands.
    pub internal: Option<u16>,
}

impl Ports {
    /// Reads `PORT`, and `INTERNAL_PORT` where the service has an internal port, with the numbers of the topology as
    /// defaults. 0 means any free port.
    pub fn read(reader: &mut Reader, public: u16, internal: Option<u16>) -> Self {
        Self {
            public: reader.default("PORT", public),
            internal: internal.map(|port| reader.default("INTERNAL_PORT", port)),
        }
    }
}

/// How long each part of the shutdown may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// After readiness failed, connections are still accepted: load balancers learn late.
    pub accept: Duration,
    /// After that, requests under way may finish.
    pub drain: Duration,
    /// After that, tasks may finish their message and give back leases.
    pub tasks: Duration,
}

impl Timing {
    /// 25 s in all, within a grace period of 30 s.
    pub const DEFAULT: Self =
        Self { accept: Duration::from_secs(5), drain: Duration::from_secs(12), tasks: Duration::from_secs(8) };
}

/// Runs services in this process until SIGTERM or SIGINT, and returns when they have ended; the caller then exits 0.
///
/// One runtime, one log, one admin port (`ADMIN_PORT`) for all of them. Shutdown: readiness fails, 5 s later the ports
/// stop accepting, requests under way finish, then tasks end; 25 s in all.
pub fn run(services: Vec<Service>) -> anyhow::Result<()> {
    let runtime = runtime().context("no runtime")?;
    let result = runtime.block_on(until_signalled(services));
    runtime.shutdown_timeout(RUNTIME_END);
    result
}

/// With a worker for each core that the process may use.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build()
}

async fn until_signalled(services: Vec<Service>) -> anyhow::Result<()> {
    let mut signals = ShutdownSignal::catch().context("signals cannot be caught")?;
    let name = if let [only] = services.as_slice() { only.name } else { "agora" };
    let (admin_port, logs, flags) = settings(name, |reader| {
        let flags: Option<PathBuf> = reader.optional("FLAGS_FILE");
        (reader.default("ADMIN_PORT", ADMIN_PORT), telemetry::Config::read(reader), flags)
    })?;
    let guard = telemetry::init_with(name, &logs)?;
    let process = Process::new(name);
    telemetry::export_metrics(&process, &logs)?;
    if let Some(path) = flags {
        process.track(flags::follow(process.clone(), path));
    }
    let stop = async {
        let signal = signals.received().await;
        tracing::info!(signal, "shutting down");
    };
    let result = live(&process, services, admin_port, stop, Timing::DEFAULT).await;
    if let Err(error) = &result {
        tracing::error!(error = format!("{error:#}"), "the process ends");
    }
    if tokio::task::spawn_blocking(|| guard.flush()).await.is_err() {
        tracing::debug!("the last spans were not exported");
    }
    result
}

async fn live(
    process: &Process,
    services: Vec<Service>,
    admin_port: u16,
    stop: impl Future<Output = ()>,
    timing: Timing,
) -> anyhow::Result<()> {
    let info = admin::Info::new(services.iter().map(|service| service.name).collect());
    let admin = Port::bind(process, "ADMIN_PORT", admin_port, admin::router(process, info))?;
    process.track(metrics_upkeep(process.shutdown()));
    tokio::select! {
        result = start_and_serve(process, services, stop, timing) => result,
        () = admin.serve(CancellationToken::new()) => Ok(()),
    }
}

async fn start_and_serve(
    process: &Process,
    services: Vec<Service>,
    stop: impl Future<Output = ()>,
    timing: Timing,
) -> anyhow::Result<()> {
    tokio::pin!(stop);
    // A stop that came during the start has been polled to its end: there is nothing to serve and nothing to wait for.
    let started = tokio::select! {
        started = start(process, services) => started.map(Some),
        () = &mut stop => Ok(None),
    };
    let result = match started {
        Ok(Some(ports)) => {
            serve(process, ports, stop, timing).await;
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    process.fail_readiness();
    if tokio::time::timeout(timing.tasks, process.end()).await.is_err() {
        tracing::warn!(left = process.tasks_left(), "some tasks did not end in time");
    }
    result
}

/// Starts every service, binds its ports and opens its gate "listener"; lists what failed in all of them.
async fn start(process: &Process, services: Vec<Service>) -> anyhow::Result<Vec<Port>> {
    let starting = services.into_iter().map(|service| {
        let process = process.of(service.name);
        let listener = process.gate("listener");
        listener.close("the service is starting");
        start_one(service, process, listener)
    });
    let (mut ports, mut faults) = (Vec::new(), Vec::new());
    for started in join_all(starting).await {
        match started {
            Ok(mut bound) => ports.append(&mut bound),
            Err(fault) => faults.push(format!("{fault:#}")),
        }
    }
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(ports)
}

async fn start_one(service: Service, process: Process, listener: Gate) -> anyhow::Result<Vec<Port>> {
    let (numbers, routers) = (service.start)(process.clone()).await.context(service.name)?;
    process.provide(service.name, routers.clone());
    let mut ports = match process.take_tls_port() {
        None => vec![Port::bind(&process, "PORT", numbers.public, routers.public)?],
        Some(TlsPort { number, tls, plain }) => {
            let site = Site { router: routers.public, tls: Some(tls) };
            vec![
                Port::bind(&process, "PORT", numbers.public, plain)?,
                Port::bind(&process, "TLS_PORT", number, site)?,
            ]
        }
    };
    if let Some(number) = numbers.internal {
        ports.push(Port::bind(&process, "INTERNAL_PORT", number, routers.internal)?);
    }
    listener.open();
    Ok(ports)
}

/// Serves until `stop`, then goes on for a while, stops accepting and drains.
async fn serve(process: &Process, ports: Vec<Port>, stop: impl Future<Output = ()>, timing: Timing) {
    let accepting = CancellationToken::new();
    let draining = join_all(ports.into_iter().map(|port| port.serve(accepting.clone())));
    let ending = async {
        stop.await;
        process.fail_readiness();
        tokio::time::sleep(timing.accept).await;
        accepting.cancel();
        tokio::time::sleep(timing.drain).await;
        tracing::warn!("some requests did not finish in time");
    };
    tokio::select! {
        _ = draining => {}
        () = ending => {}
    }
}

async fn metrics_upkeep(shutdown: CancellationToken) {
    let metrics = telemetry::metrics_handle();
    let mut ticks = tokio::time::interval(METRICS_UPKEEP_INTERVAL);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}

/// A bound port and what it serves.
struct Port {
    tcp: TcpListener,
    site: Site,
    process: Process,
}

impl Port {
    fn bind(process: &Process, variable: &str, number: u16, site: impl Into<Site>) -> anyhow::Result<Self> {
        let service = process.service();
        let tcp = server::bind(number).with_context(|| {
            let specific = format!("{}_{variable}", service.to_ascii_uppercase().replace('-', "_"));
            format!("{service} cannot listen on port {number}: set {variable} or {specific} to a free one")
        })?;
        let address = tcp.local_addr().context("a port without an address")?;
        tracing::info!(service, %address, setting = variable, "listening");
        Ok(Self { tcp, site: site.into(), process: process.clone() })
    }

    async fn serve(self, stop: CancellationToken) {
        server::serve(self.tcp, self.site, self.process, stop).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc, OnceLock,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use axum::{Router, routing::get};
    use tokio::sync::{Notify, oneshot};

    use super::{BLOCKING_THREADS_MAX, Ports, Process, Routers, Service, Timing, join_all, live, runtime, start};

    const TIMING: Timing =
        Timing { accept: Duration::from_millis(300), drain: Duration::from_secs(5), tasks: Duration::from_secs(5) };

    /// A port that was free a moment ago.
    fn free_port() -> u16 {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn ports() -> &'static [u16; 3] {
        static PORTS: OnceLock<[u16; 3]> = OnceLock::new();
        PORTS.get_or_init(|| [free_port(), free_port(), free_port()])
    }

    fn slow_request_began() -> &'static Notify {
        static NOTIFY: Notify = Notify::const_new();
        &NOTIFY
    }

    static TASK_ENDED: AtomicBool = AtomicBool::new(false);

    fn shop(name: &'static str, port: u16) -> Service {
        let start = match name {
            "cart" => |process: Process| -> futures::future::BoxFuture<'static, super::Started> {
                let shutdown = process.shutdown();
                process.spawn("worker", async move {
                    shutdown.cancelled().await;
                    TASK_ENDED.store(true, Ordering::SeqCst);
                    Ok(())
                });
                let slow = get(|| async {
                    slow_request_began().notify_one();
                    tokio::time::sleep(Duration::from_millis(800)).await;
                    assert!(!TASK_ENDED.load(Ordering::SeqCst), "tasks outlive the requests that may need them");
                    "slow"
                });
                let public = Router::new().route("/", get(|| async { "cart" })).route("/slow", slow);
                let ports = Ports { public: ports()[0], internal: None };
                Box::pin(async move { Ok((ports, Routers { public, internal: Router::new() })) })
            },
            _ => |_: Process| -> futures::future::BoxFuture<'static, super::Started> {
                let ports = Ports { public: ports()[1], internal: Some(0) };
                let public = Router::new().route("/", get(|| async { "order" }));
                Box::pin(async move { Ok((ports, Routers { public, internal: Router::new() })) })
            },
        };
        assert!(port > 0);
        Service { name, start }
    }

    async fn text(client: &reqwest::Client, port: u16, path: &str) -> Result<(u16, String, String), reqwest::Error> {
        let response = client.get(format!("http://127.0.0.1:{port}{path}")).send().await?;
        let connection = response.headers().get("connection").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        Ok((response.status().as_u16(), response.text().await?, connection))
    }

    fn client() -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().unwrap()
    }

    async fn until_ready(client: &reqwest::Client, admin: u16) {
        for _ in 0..500 {
            if text(client, admin, "/readyz").await.is_ok_and(|(status, ..)| status == 200) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not ready within 5 s");
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test is a client beside the process")]
    async fn rs3_a_process_serves_all_its_services_and_ends_in_order() {
        let [cart, order, admin] = *ports();
        let (stop, stopped) = oneshot::channel::<()>();
        let process = Process::new("agora");
        let services = vec![shop("cart", cart), shop("order", order)];
        let life = {
            let process = process.clone();
            let stop = async { drop(stopped.await) };
            tokio::spawn(async move { live(&process, services, admin, stop, TIMING).await })
        };
        let client = client();
        until_ready(&client, admin).await;
        assert_eq!(text(&client, cart, "/").await.unwrap(), (200, "cart".into(), String::new()));
        assert_eq!(text(&client, order, "/").await.unwrap().1, "order");
        assert!(text(&client, admin, "/info").await.unwrap().1.contains(r#"["cart","order"]"#));

        let slow = tokio::spawn({
            let client = client.clone();
            async move { text(&client, cart, "/slow").await }
        });
        slow_request_began().notified().await;
        stop.send(()).unwrap();
        while process.readiness().ready {
            tokio::task::yield_now().await;
        }
        assert_eq!(text(&client, admin, "/readyz").await.unwrap().0, 503);
        let (status, body, connection) = text(&client, cart, "/").await.unwrap();
        assert_eq!((status, body.as_str(), connection.as_str()), (200, "cart", "close"), "still accepted");
        assert_eq!(slow.await.unwrap().unwrap().1, "slow", "drained, not cut");
        life.await.unwrap().unwrap();
        assert!(TASK_ENDED.load(Ordering::SeqCst));
        assert!(text(&client, cart, "/").await.is_err(), "accepts no more");
    }

    #[test]
    fn rs11_a_process_uses_all_cores() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let runtime = runtime().unwrap();
        assert_eq!(runtime.metrics().num_workers(), cores);
        // As many tasks run at the same time: each waits for all of them without giving its thread back.
        let all = Arc::new(std::sync::Barrier::new(cores));
        let (done, finished) = std::sync::mpsc::channel();
        for _ in 0..cores {
            let (all, done) = (all.clone(), done.clone());
            drop(runtime.spawn(async move {
                all.wait();
                done.send(()).unwrap();
            }));
        }
        for _ in 0..cores {
            finished.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    }

    #[test]
    fn blocking_work_of_a_burst_shares_few_threads() {
        let runtime = runtime().unwrap();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |_| {
            let (running, most) = (running.clone(), most.clone());
            runtime.spawn_blocking(move || {
                most.fetch_max(1 + running.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
                running.fetch_sub(1, Ordering::SeqCst);
            })
        };
        let burst: Vec<_> = (0..10 * BLOCKING_THREADS_MAX).map(work).collect();
        assert!(runtime.block_on(join_all(burst)).iter().all(Result::is_ok));
        let most = most.load(Ordering::SeqCst);
        assert!(most <= BLOCKING_THREADS_MAX, "{most} threads");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_its_setting() {
        let taken = std::net::TcpListener::bind("[::]:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = live(&Process::new("catalog"), Vec::new(), port, std::future::pending(), TIMING).await.unwrap_err();
        let said = format!("{error:#}");
        assert!(
            said.starts_with(&format!(
                "catalog cannot listen on port {port}: set ADMIN_PORT or CATALOG_ADMIN_PORT to a free one: "
            )),
            "{said}"
        );
    }

    #[tokio::test]
    async fn de6_what_is_wrong_with_each_service_is_listed() {
        let failing = |name| Service { name, start: |_| Box::pin(async { anyhow::bail!("no settings") }) };
        let process = Process::new("agora");
        let said = start(&process, vec![failing("cart"), failing("order")]).await.map(drop).unwrap_err().to_string();
        assert_eq!(said, "cart: no settings\norder: no settings");
        assert!(!process.readiness().ready);
    }

    #[tokio::test]
    async fn a_stop_during_the_start_ends_the_process() {
        let waiting = Service { name: "cart", start: |_| Box::pin(std::future::pending()) };
        let process = Process::new("cart");
        live(&process, vec![waiting], 0, std::future::ready(()), TIMING).await.unwrap();
        let ended = Arc::new(process);
        assert_eq!(ended.tasks_left(), 0);
    }
}
