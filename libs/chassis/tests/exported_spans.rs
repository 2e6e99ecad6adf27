//! Trace context where spans are exported: it is that of the spans. A test program of its own, because telemetry is set up
//! once per process.

use agora_chassis::{
    telemetry::{self, Config},
    trace::{Parent, current, follow, for_request, trace_id},
};

use http::{HeaderMap, HeaderName, HeaderValue};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn de14_the_trace_context_is_that_of_the_current_span_if_spans_are_exported() {
    // Nothing listens there: an export that fails changes no context.
    let endpoint = Some("http://127.0.0.1:1".to_owned());
    let config = Config { filter: "info".to_owned(), otlp_endpoint: endpoint, metrics_every: None, sampled: 1.0 };
    let _guard = telemetry::init_with("test", &config).unwrap();

    let work = async {
        let outer = current().unwrap();
        let inner = tracing::info_span!("query").in_scope(|| current().unwrap());
        (trace_id().unwrap(), outer, inner)
    };
    let parent = Parent::of_traceparent(PARENT);
    let (trace, outer, inner) = for_request("r-1".to_owned(), parent, tracing::info_span!("request"), work).await;
    assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
    let of_trace =
        |context: &str| context.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && context.ends_with("-01");
    assert!(of_trace(&outer) && of_trace(&inner), "{outer} {inner}");
    assert!(outer != inner && outer != PARENT, "each span has an id of its own");

    let headers = HeaderMap::from_iter([(HeaderName::from_static("traceparent"), HeaderValue::from_static(PARENT))]);
    let edge = follow(Parent::of_client(&headers), tracing::info_span!("edge"), async { current().unwrap() }).await;
    assert!(!edge.contains("0af7651916cd43dd8448eb211c80319c") && edge.ends_with("-01"), "a trace of our own: {edge}");

    // The span of a task lasts as long as the process: what the task does are traces of their own.
    let task = tracing::info_span!("task", task = "worker");
    let in_task = || tracing::info_span!("work").in_scope(|| trace_id().unwrap());
    let (one, other) = task.in_scope(|| (in_task(), in_task()));
    assert_ne!(one, other);

    let started = follow(Parent::default(), tracing::info_span!("message"), async { trace_id().unwrap() }).await;
    assert_ne!(started, trace);
}
