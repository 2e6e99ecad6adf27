//! Logs, traces and metrics of a process: one JSON line per event on standard output, spans to an OTLP endpoint where
//! one is set, a Prometheus recorder. Knows no service; it must be set up once per process.

use std::{sync::OnceLock, time::Duration};

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::filter_fn, layer::SubscriberExt as _, registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{
    otlp_metrics,
    process::Process,
    settings::{Reader, settings},
    span_fields::SpanFields,
    trace,
};

/// How long one export of spans may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Interval at which metrics are sent over OTLP, in milliseconds: the default, and the shortest.
const METRICS_INTERVAL_MS: u64 = 60_000;
const METRICS_INTERVAL_MS_MIN: u64 = 1_000;

/// Upper bounds of the buckets of every `…_seconds` histogram, in seconds.
const BUCKETS_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of the buckets of every `…_size` histogram, in members of a batch.
const BUCKETS_SIZE: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1_000.0];

/// Spans that only give fields to log lines.
const SPANS_OF_LOGS: [&str; 2] = ["task", "consume"];

/// Keeps the exporter of spans; what it still holds is sent by [`Guard::flush`].
#[derive(Debug)]
#[must_use = "spans are lost when the guard is not flushed at the end"]
pub struct Guard {
    /// None if spans are not exported.
    provider: Option<SdkTracerProvider>,
}

impl Guard {
    /// Sends the spans that wait. Blocks, at most for the time-out of an export.
    pub fn flush(self) {
        let ended = self.provider.map(|provider| provider.shutdown_with_timeout(EXPORT_TIMEOUT));
        if let Some(Err(error)) = ended {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

/// What the environment says about logs and traces.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which events are logged: `RUST_LOG`, "info" if not set.
    pub filter: String,
    /// Where spans and metrics go over gRPC: `OTEL_EXPORTER_OTLP_ENDPOINT`; nowhere if not set.
    pub otlp_endpoint: Option<String>,
    /// Interval at which metrics are sent there: `OTEL_METRIC_EXPORT_INTERVAL` in milliseconds, a minute if not set. `None`: they
    /// are not, `OTEL_METRICS_EXPORTER` being "none".
    pub metrics_every: Option<Duration>,
    /// Share of the traces begun here that are exported, 0 to 1: `OTEL_TRACES_SAMPLER_ARG`, 1 if not set.
    pub sampled: f64,
}

impl Config {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            filter: reader.default("RUST_LOG", "info".to_owned()),
            otlp_endpoint: reader.optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
            metrics_every: metrics_every(reader),
            sampled: reader.default("OTEL_TRACES_SAMPLER_ARG", 1.0),
        }
    }
}

fn metrics_every(reader: &mut Reader) -> Option<Duration> {
    let exporter = reader.default("OTEL_METRICS_EXPORTER", "otlp".to_owned());
    let milliseconds = reader.default("OTEL_METRIC_EXPORT_INTERVAL", METRICS_INTERVAL_MS);
    if !["otlp", "none"].contains(&exporter.as_str()) {
        reader.fault("OTEL_METRICS_EXPORTER", "must be otlp or none; metrics can always be scraped");
    }
    (exporter == "otlp").then(|| Duration::from_millis(milliseconds.max(METRICS_INTERVAL_MS_MIN)))
}

/// Sends the metrics of a process over OTLP where an endpoint is set, until it ends.
pub fn export_metrics(process: &Process, config: &Config) -> anyhow::Result<()> {
    match (&config.otlp_endpoint, config.metrics_every) {
        (Some(endpoint), Some(interval)) => otlp_metrics::start(process, endpoint, interval),
        _ => Ok(()),
    }
}

/// Sets up logs, traces and metrics as the environment says. Must be called once, and within the runtime when an OTLP
/// endpoint is set.
pub fn init(name: &'static str) -> anyhow::Result<Guard> {
    init_with(name, &settings(name, Config::read)?)
}

/// Sets up logs, traces and metrics.
pub fn init_with(name: &'static str, config: &Config) -> anyhow::Result<Guard> {
    let filter = EnvFilter::try_new(&config.filter).context("RUST_LOG is not a filter")?;
    let provider = config.otlp_endpoint.as_ref().map(|endpoint| tracer_provider(name, endpoint, config.sampled));
    let provider = provider.transpose()?;
    let set_up = if let Some(provider) = &provider {
        trace::spans_are_exported();
        // The filter is of the log: a quiet log has traces all the same.
        let exported = exported_spans::<Registry>(provider.tracer(name));
        Registry::default().with(exported).with(json_lines().with_filter(filter)).try_init()
    } else {
        Registry::default().with(filter).with(json_lines()).try_init()
    };
    set_up.context("logs were set up before")?;
    log_panics();
    metrics_handle();
    Ok(Guard { provider })
}

/// The process's metrics, as Prometheus reads them. Installs the recorder at the first call.
pub fn metrics_handle() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install_recorder).clone()
}

/// The value of a series as `/metrics` shows it, for tests: `name`, or `name{label="value"}` with the labels in their order. `None`
/// if there is no such series.
pub fn series_value(series: &str) -> Option<f64> {
    let shown = metrics_handle().render();
    shown.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn install_recorder() -> PrometheusHandle {
    let suffix = |end: &str| Matcher::Suffix(end.to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(suffix("_seconds"), &BUCKETS_SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(suffix("_size"), &BUCKETS_SIZE))
        .unwrap_or_else(|_| PrometheusBuilder::new())
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another recorder of metrics was there before: /metrics stays empty");
    }
    handle
}

fn tracer_provider(name: &'static str, endpoint: &str, share: f64) -> anyhow::Result<SdkTracerProvider> {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name(name).with_attribute(version).build();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used")?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)));
    let builder = SdkTracerProvider::builder().with_resource(resource);
    Ok(builder.with_sampler(sampler).with_batch_exporter(exporter).build())
}

/// Spans as they are exported, with warnings and errors as their events. Not the spans of tasks: they last as long as the process,
/// and what a task does are traces of their own.
fn exported_spans<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let wanted = |metadata: &Metadata<'_>| {
        if metadata.is_span() {
            *metadata.level() <= Level::INFO && !SPANS_OF_LOGS.contains(&metadata.name())
        } else {
            *metadata.level() <= Level::WARN
        }
    };
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(filter_fn(wanted))
}

/// One JSON object a line; the fields of the event on top, those of its spans (`request_id`, `trace_id`) in `spans`.
pub(crate) fn json_lines<S>() -> tracing_subscriber::fmt::Layer<
    S,
    SpanFields,
    tracing_subscriber::fmt::format::Format<tracing_subscriber::fmt::format::Json>,
> {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    lines.with_span_list(true).fmt_fields(SpanFields)
}

/// A panic is a line of the log like any other, with the place where it happened.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, panic = message, "a task panicked");
    }));
}

#[cfg(test)]
mod tests {
    use crate::{CapturedLog, settings_from, watched::WatchedSecret};

    fn logged(work: impl FnOnce()) -> String {
        let log = CapturedLog::start();
        work();
        log.text()
    }

    #[test]
    fn de15_a_line_is_json_with_the_request_and_the_trace() {
        let line = logged(|| {
            tracing::info_span!("request", request_id = "r-1", trace_id = "t-1").in_scope(|| {
                tracing::info_span!("query").in_scope(|| tracing::info!(rows = 2, "found"));
            });
        });
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((line["message"].as_str(), line["rows"].as_i64()), (Some("found"), Some(2)));
        assert_eq!(line["spans"][0]["request_id"], "r-1");
        assert_eq!(line["spans"][0]["trace_id"], "t-1");
    }

    #[test]
    fn fields_recorded_later_are_members_of_the_same_object_and_the_last_value_counts() {
        let line = logged(|| {
            let span =
                tracing::info_span!("request", id = "a\"b\n", status = tracing::field::Empty, share = 0.5, done = true);
            span.record("status", 200_u16);
            span.record("status", 404_u16);
            span.in_scope(|| {
                let empty = tracing::info_span!("empty", later = tracing::field::Empty);
                empty.record("later", tracing::field::debug(Some("x")));
                empty.in_scope(|| tracing::info!("found"));
            });
        });
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let request = serde_json::json!({"name": "request", "id": "a\"b\n", "status": 404, "share": 0.5, "done": true});
        assert_eq!(line["spans"][0], request);
        assert_eq!(line["spans"][1], serde_json::json!({"name": "empty", "later": "Some(\"x\")"}));
    }

    #[test]
    fn what_a_client_sends_cannot_start_a_line_of_its_own() {
        let lines = logged(|| tracing::info!(name = "x\n{\"level\":\"ERROR\"}", "greeting"));
        assert_eq!(lines.trim_end().lines().count(), 1, "{lines}");
    }

    #[test]
    fn de15_no_secret_is_ever_logged() {
        let pairs = [("DATABASE_URL", "hunter2"), ("PORT", "hunter2")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let lines = logged(|| {
            let secret = WatchedSecret::fixed("hunter2");
            tracing::error!(?secret, current = ?secret.current(), "secrets");
            let read = settings_from("cart", &pairs.into(), |reader| {
                let url = reader.secret("DATABASE_URL");
                let port = reader.default("PORT", 1);
                tracing::error!(?reader, ?url, port, "reading");
            });
            tracing::error!(?read, "read");
            if let Err(faults) = read {
                tracing::error!(%faults, "faults");
            }
        });
        assert_eq!(lines.lines().count(), 4);
        assert!(!lines.contains("hunter2"), "{lines}");
    }
}
