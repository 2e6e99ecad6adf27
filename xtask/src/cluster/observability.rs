//! Prometheus and a collector for OTLP: built from their Go modules once per machine, for the tests of dashboards and alerts, and
//! processes of the host beside the local cluster. Must not depend on Agora's images.

use std::path::PathBuf;

use anyhow::Result;

use crate::cluster::data::connect;
use crate::cluster::processes::{self, Daemon};
use crate::command::write;
use crate::environment::Paths;
use crate::go_module::GoModule;
use crate::progress::step;

/// Where the services of the local cluster send traces and metrics: the node's address, as pods reach it.
pub const COLLECTOR: &str = "http://10.244.0.1:14317";
/// Prometheus on the host.
pub const PROMETHEUS: &str = "http://127.0.0.1:19090";
const PROMETHEUS_PORT: u16 = 19090;
const READY_SECONDS_MAX: u64 = 30;

const OF_PROMETHEUS: GoModule = GoModule {
    folder: "tools-observability",
    packages: &["github.com/prometheus/prometheus/cmd/prometheus", "github.com/prometheus/prometheus/cmd/promtool"],
    // Without the clients of clouds that it could find targets in, a third of its dependencies.
    tags: "remove_all_sd,enable_kubernetes_sd",
};
const OF_COLLECTOR: GoModule = GoModule { folder: "tools-collector", packages: &["."], tags: "" };

/// The folder with `prometheus` and `promtool`. Builds what is not in the cache.
pub fn prometheus(paths: &Paths) -> Result<PathBuf> {
    OF_PROMETHEUS.build(paths)
}

/// Downloads the sources of what tests need. Prints nothing.
pub fn fetch_sources(paths: &Paths) -> Result<()> {
    OF_PROMETHEUS.fetch_sources(paths)
}

/// Starts both and waits until they are ready. Idempotent.
pub fn start(paths: &Paths) -> Result<()> {
    let (prometheus, collector) = (prometheus(paths)?, OF_COLLECTOR.build(paths)?);
    let home = paths.state.join("observability");
    let settings = home.join("prometheus.yaml");
    let changed = write(&settings, &prometheus_settings(paths))?;
    let arguments = format!(
        "--config.file={} --storage.tsdb.path={} --storage.tsdb.retention.time=2d --web.listen-address=127.0.0.1:{PROMETHEUS_PORT}",
        settings.display(),
        home.join("prometheus").display()
    );
    let daemon = Daemon::parse("prometheus", &prometheus.join("prometheus"), &arguments);
    step("start Prometheus", || processes::ensure(paths, &Daemon { changed, ..daemon }))?;
    let settings = home.join("collector.yaml");
    let changed = write(&settings, &collector_settings())?;
    let daemon =
        Daemon::parse("collector", &collector.join("collector"), &format!("--config=file:{}", settings.display()));
    step("start the collector", || processes::ensure(paths, &Daemon { changed, ..daemon }))?;
    processes::wait_for(paths, "prometheus", READY_SECONDS_MAX, || connect(PROMETHEUS_PORT).is_some())
}

/// The labels are those that the chart's PodMonitors set.
fn prometheus_settings(paths: &Paths) -> String {
    let rules = paths.repo.join("charts/agora-operator/monitoring/rules.yaml");
    let (rules, kubeconfig) = (rules.display(), paths.kubeconfig("admin"));
    let kubeconfig = kubeconfig.display();
    format!(
        "global: {{scrape_interval: 5s, evaluation_interval: 15s}}
rule_files: [{rules}]
scrape_configs:
- job_name: agora
  kubernetes_sd_configs: [{{role: pod, kubeconfig_file: {kubeconfig}}}]
  relabel_configs:
  - {{source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_part_of], regex: agora|agora-operator, action: keep}}
  - {{source_labels: [__meta_kubernetes_pod_container_port_name], regex: admin, action: keep}}
  - {{source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_instance], target_label: marketplace}}
  - {{source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], target_label: component}}
  - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
"
    )
}

fn collector_settings() -> String {
    let endpoint = COLLECTOR.trim_start_matches("http://");
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"{endpoint}\"}}}}}}}}
exporters:
  debug/traces: {{verbosity: detailed}}
  debug/metrics: {{verbosity: basic}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug/traces]}}
    metrics: {{receivers: [otlp], exporters: [debug/metrics]}}
"
    )
}
