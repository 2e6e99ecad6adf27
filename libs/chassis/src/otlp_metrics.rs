//! Metrics over OTLP, for collectors that do not scrape: what `/metrics` shows, sent at an interval. The work that is measured
//! pays nothing for it. Knows no metric.

use std::time::Duration;

use agora_vocab::Clock;
use anyhow::Context as _;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
        ScopeMetrics, Sum, metric, number_data_point,
    },
    resource::v1::Resource,
};
use time::OffsetDateTime;
use tonic::transport::{Channel, Endpoint};

use crate::{
    process::Process,
    process_metrics,
    prometheus_text::{Family, Sample, families},
    telemetry,
};

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends the metrics every `interval` until the process ends, and once more then. A collector that is away misses an interval;
/// as sums are cumulative, nothing of them is lost.
pub(crate) fn start(process: &Process, endpoint: &str, interval: Duration) -> anyhow::Result<()> {
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).context("OTEL_EXPORTER_OTLP_ENDPOINT is not a URL")?;
    let channel = endpoint.timeout(EXPORT_TIMEOUT).connect_timeout(EXPORT_TIMEOUT).connect_lazy();
    let mut exporter = Exporter {
        client: MetricsServiceClient::new(channel),
        app: process.service(),
        started_at: nanoseconds(process.clock().now()),
        failing: false,
    };
    let (clock, shutdown) = (process.clock(), process.shutdown());
    process.track(async move {
        while shutdown.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            exporter.export(&*clock).await;
        }
        exporter.export(&*clock).await;
    });
    Ok(())
}

struct Exporter {
    client: MetricsServiceClient<Channel>,
    app: &'static str,
    /// Begin of all sums, in nanoseconds since 1970.
    started_at: u64,
    failing: bool,
}

impl Exporter {
    async fn export(&mut self, clock: &dyn Clock) {
        let text = telemetry::metrics_handle().render() + &process_metrics::render(self.app);
        let times = Times { start: self.started_at, now: nanoseconds(clock.now()) };
        let request = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics(self.app, &text, times)] };
        let failed = self.client.export(request).await.err();
        if let Some(status) = failed.as_ref().filter(|_| !self.failing) {
            tracing::warn!(reason = status.message(), "metrics are not exported: the collector does not take them");
        }
        self.failing = failed.is_some();
    }
}

/// When sums began and when they were read, in nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

fn nanoseconds(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos()).unwrap_or_default()
}

fn resource_metrics(app: &str, text: &str, times: Times) -> ResourceMetrics {
    let attributes = vec![attribute("service.name", app), attribute("service.version", env!("CARGO_PKG_VERSION"))];
    let metrics = families(text).iter().filter_map(|family| metric(family, times)).collect();
    let scope = InstrumentationScope { name: "agora".to_owned(), ..InstrumentationScope::default() };
    ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    }
}

/// `None` for a summary: its quantiles cannot be added up, and no metric of ours is one.
fn metric(family: &Family<'_>, times: Times) -> Option<Metric> {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let numbers = || -> Vec<NumberDataPoint> { family.samples.iter().map(|sample| number(sample, times)).collect() };
    let data = match family.kind {
        "counter" => metric::Data::Sum(Sum { data_points: numbers(), aggregation_temporality, is_monotonic: true }),
        "gauge" => metric::Data::Gauge(Gauge { data_points: numbers() }),
        "histogram" => {
            let data_points = histogram_points(&family.samples, times);
            metric::Data::Histogram(Histogram { data_points, aggregation_temporality })
        }
        _ => return None,
    };
    Some(Metric { name: family.name.to_owned(), data: Some(data), ..Metric::default() })
}

fn number(sample: &Sample<'_>, times: Times) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        value: Some(number_data_point::Value::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    }
}

/// The lines of one series follow each other: its buckets, its sum, its count.
fn histogram_points(samples: &[Sample<'_>], times: Times) -> Vec<HistogramDataPoint> {
    let (mut points, mut point) = (Vec::new(), HistogramDataPoint::default());
    let mut below = 0;
    for sample in samples {
        if sample.name.ends_with("_bucket") {
            let count = whole(sample.value);
            point.bucket_counts.push(count.saturating_sub(below));
            below = count;
            let bound = sample.labels.iter().find(|(name, _)| *name == "le").and_then(|(_, bound)| bound.parse().ok());
            point.explicit_bounds.extend(bound.filter(|bound: &f64| bound.is_finite()));
        } else if sample.name.ends_with("_sum") {
            point.sum = Some(sample.value);
        } else if sample.name.ends_with("_count") {
            point.count = whole(sample.value);
            point.attributes = attributes(&sample.labels);
            (point.start_time_unix_nano, point.time_unix_nano) = (times.start, times.now);
            points.push(std::mem::take(&mut point));
            below = 0;
        }
    }
    points
}

/// Counts are whole numbers below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count; the cast saturates")]
fn whole(value: f64) -> u64 {
    value as u64
}

fn attributes(labels: &[(&str, String)]) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};

    use super::{Times, resource_metrics};

    #[test]
    fn de8_what_is_scraped_is_exported_over_otlp_with_the_same_names_labels_and_values() {
        let text = "# TYPE order_total counter\norder_total{status=\"paid\"} 7\n\n\
                    # TYPE lag gauge\nlag 1.5\n\n\
                    # TYPE took_seconds histogram\n\
                    took_seconds_bucket{route=\"/x\",le=\"0.1\"} 2\ntook_seconds_bucket{route=\"/x\",le=\"1\"} 5\n\
                    took_seconds_bucket{route=\"/x\",le=\"+Inf\"} 6\ntook_seconds_sum{route=\"/x\"} 3.5\n\
                    took_seconds_count{route=\"/x\"} 6\n\n\
                    # TYPE other summary\nother{quantile=\"0.5\"} 1\n";
        let exported = resource_metrics("cart", text, Times { start: 1, now: 2 });
        let [sum, gauge, histogram] = exported.scope_metrics[0].metrics.as_slice() else { panic!("{exported:?}") };

        let Some(Data::Sum(data)) = &sum.data else { panic!("{sum:?}") };
        let point = &data.data_points[0];
        assert!(sum.name == "order_total" && data.is_monotonic && data.aggregation_temporality == 2);
        assert_eq!((point.attributes[0].key.as_str(), point.value), ("status", Some(Value::AsDouble(7.0))));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
        assert!(
            matches!(&gauge.data, Some(Data::Gauge(data)) if data.data_points[0].value == Some(Value::AsDouble(1.5)))
        );
        let Some(Data::Histogram(data)) = &histogram.data else { panic!("{histogram:?}") };
        let point = &data.data_points[0];
        assert_eq!(
            (point.bucket_counts.as_slice(), point.explicit_bounds.as_slice()),
            (&[2, 3, 1][..], &[0.1, 1.0][..])
        );
        assert_eq!((point.count, point.sum, point.attributes.len()), (6, Some(3.5), 1));
        assert_eq!(data.data_points.len(), 1);
    }
}
