//! The operator's process: settings, logs, admin port, watches, scheduler and shutdown.

use std::time::Duration;

use agora_chassis::{Process, admin, settings, shutdown_signal::ShutdownSignal, telemetry};
use agora_operator::run::operator::{self, NAME, Setup};
use anyhow::Context as _;
use kube::Client;

const ADMIN_PORT: u16 = 9090;
/// Time that tasks have to end after a shutdown signal.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
const WORKER_THREADS: usize = 2;

struct Config {
    admin_port: u16,
    namespaces: Vec<String>,
    /// The operator's own namespace, whose pods with its label may read the readiness of services.
    own_namespace: Option<String>,
    telemetry: telemetry::Config,
}

fn main() -> anyhow::Result<()> {
    let config = settings(NAME, |reader| Config {
        admin_port: reader.default("ADMIN_PORT", ADMIN_PORT),
        namespaces: list(&reader.required::<String>("WATCH_NAMESPACES")),
        own_namespace: reader.optional("POD_NAMESPACE"),
        telemetry: telemetry::Config::read(reader),
    })?;
    anyhow::ensure!(
        !config.namespaces.is_empty(),
        "WATCH_NAMESPACES contains no namespace: set it to one or more, separated by commas"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()?;
    let result = runtime.block_on(run(config));
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    result
}

fn list(text: &str) -> Vec<String> {
    let mut names: Vec<String> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = ShutdownSignal::catch().context("cannot install the signal handlers")?;
    let guard = telemetry::init_with(NAME, &config.telemetry)?;
    let process = Process::new(NAME);
    telemetry::export_metrics(&process, &config.telemetry)?;
    let router = admin::router(&process, admin::Info::new(vec![NAME]));
    let listener = agora_chassis::bind(config.admin_port)
        .with_context(|| format!("cannot listen on port {}: set ADMIN_PORT to a free port", config.admin_port))?;
    let shutdown = process.shutdown();
    process.spawn("admin", async move {
        let end = async move { shutdown.cancelled().await };
        axum::serve(listener, router).with_graceful_shutdown(end).await.context("the server of the admin port failed")
    });
    start(&process, config.namespaces, config.own_namespace).await?;
    let signal = signals.received().await;
    tracing::info!(signal, "shutting down the operator");
    if tokio::time::timeout(SHUTDOWN_MAX, process.end()).await.is_err() {
        tracing::warn!(
            seconds = SHUTDOWN_MAX.as_secs(),
            "some tasks did not end before the shutdown deadline; the process exits"
        );
    }
    tokio::task::spawn_blocking(|| guard.flush()).await.context("cannot send the last spans")
}

/// Starts the watches, and the scheduler as soon as the cluster is identified.
async fn start(process: &Process, namespaces: Vec<String>, own_namespace: Option<String>) -> anyhow::Result<()> {
    let client = Client::try_default().await.context(
        "cannot configure a client for the API server: run in a pod with a service account, or set KUBECONFIG",
    )?;
    let setup = Setup { client, namespaces, own_namespace, adapters: operator::adapters() };
    let scheduling = operator::start(process, setup);
    process.spawn("start", async move {
        scheduling.await;
        Ok(())
    });
    Ok(())
}
