//! Logs, traces and metrics of a process: one JSON line per event on standard output, spans to an OTLP endpoint where
//! one is set, a Prometheus recorder. Knows no service; it must be set up once per process.

use std::{sync::OnceLock, time::Duration};

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    settings::{Reader, settings},
    span_fields::SpanFields,
    trace,
};

/// How long one export of spans may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Upper bounds of the buckets of every `…_seconds` histogram, in seconds.
const BUCKETS_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

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
    /// Where spans go over gRPC: `OTEL_EXPORTER_OTLP_ENDPOINT`; nowhere if not set.
    pub otlp_endpoint: Option<String>,
    /// Share of the traces begun here that are exported, 0 to 1: `OTEL_TRACES_SAMPLER_ARG`, 1 if not set.
    pub sampled: f64,
}

impl Config {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            filter: reader.default("RUST_LOG", "info".to_owned()),
            otlp_endpoint: reader.optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
            sampled: reader.default("OTEL_TRACES_SAMPLER_ARG", 1.0),
        }
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
    let exported = provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(name)));
    if exported.is_some() {
        trace::spans_are_exported(config.sampled);
    }
    Registry::default().with(filter).with(exported).with(json_lines()).try_init().context("logs were set up before")?;
    log_panics();
    metrics_handle();
    Ok(Guard { provider })
}

/// The process's metrics, as Prometheus reads them. Installs the recorder at the first call.
pub fn metrics_handle() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install_recorder).clone()
}

fn install_recorder() -> PrometheusHandle {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &BUCKETS_SECONDS)
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

/// One JSON object a line; the fields of the event on top, those of its spans (`request_id`, `trace_id`) in `spans`.
fn json_lines<S>() -> tracing_subscriber::fmt::Layer<
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
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{Registry, fmt::MakeWriter, layer::SubscriberExt as _};

    use crate::{settings_from, watched::WatchedSecret};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let subscriber = Registry::default().with(super::json_lines().with_writer(lines.clone()));
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
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
