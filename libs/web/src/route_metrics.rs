//! Count and duration of the requests of one route. The handles of a series are made at its first response and kept, so
//! that a response costs no look-up in the registry.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram};

/// The series of a route: one for each method and status that occurred.
#[derive(Default)]
pub(crate) struct RouteMetrics(RwLock<Vec<Series>>);

struct Series {
    method: &'static str,
    route: String,
    status: StatusCode,
    count: Counter,
    seconds: Histogram,
}

impl RouteMetrics {
    /// Counts a response.
    pub(crate) fn record(&self, method: &'static str, route: &str, status: StatusCode, took: Duration) {
        if !self.record_known(method, route, status, took) {
            let series = Series::new(method, route, status);
            series.record(took);
            self.0.write().unwrap_or_else(PoisonError::into_inner).push(series);
        }
    }

    fn record_known(&self, method: &'static str, route: &str, status: StatusCode, took: Duration) -> bool {
        let series = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = series.iter().find(|s| s.status == status && s.method == method && s.route == route);
        known.inspect(|series| series.record(took)).is_some()
    }
}

impl Series {
    fn new(method: &'static str, route: &str, status: StatusCode) -> Self {
        let labels =
            [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.as_u16().to_string())];
        Self {
            method,
            route: route.to_owned(),
            status,
            count: metrics::counter!("http_request_total", &labels),
            seconds: metrics::histogram!("http_request_duration_seconds", &labels),
        }
    }

    fn record(&self, took: Duration) {
        self.count.increment(1);
        self.seconds.record(took.as_secs_f64());
    }
}

/// Clients may send any method; metrics must not have a series for each.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
