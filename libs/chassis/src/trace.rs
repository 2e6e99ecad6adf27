//! Which request and which trace this code works for: W3C trace context and request ids, taken from headers and given
//! to headers. Knows nothing of clients, servers or brokers.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::{SpanContext, TraceContextExt as _},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header that carries a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT_REQUEST: String;
}

/// The current span as a `traceparent`; `None` outside of a trace.
pub fn current() -> Option<String> {
    let span = span_context()?;
    Some(format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags()))
}

/// The id of the current trace, 32 hex digits; `None` outside of one.
pub fn trace_id() -> Option<String> {
    Some(span_context()?.trace_id().to_string())
}

/// Writes the current trace context, and the current request's id if there is one, into `headers`.
pub fn inject(headers: &mut HeaderMap) {
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut Headers(headers)));
    if let Some(id) = request_id().and_then(|id| HeaderValue::try_from(id).ok()) {
        headers.insert(REQUEST_ID, id);
    }
}

/// Makes `span` a child of the trace context in `headers`, if they hold one. To be called before the span is entered.
pub fn follow(span: &Span, headers: &HeaderMap) {
    set_parent(span, &global::get_text_map_propagator(|propagator| propagator.extract(&HeadersRead(headers))));
}

/// Makes `span` a child of a `traceparent` that came by another way than headers. Ignores one that is malformed.
pub fn follow_traceparent(span: &Span, traceparent: &str) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(traceparent) {
        headers.insert(HeaderName::from_static("traceparent"), value);
        follow(span, &headers);
    }
}

/// The id of the request that this code works for; `None` outside of [`for_request`].
pub fn request_id() -> Option<String> {
    CURRENT_REQUEST.try_with(Clone::clone).ok()
}

/// Runs `work` as part of the request with this id.
pub async fn for_request<T>(id: String, work: impl Future<Output = T>) -> T {
    CURRENT_REQUEST.scope(id, work).await
}

fn set_parent(span: &Span, parent: &Context) {
    if parent.span().span_context().is_valid() && span.set_parent(parent.clone()).is_err() {
        tracing::debug!("a span without a trace cannot follow another");
    }
}

fn span_context() -> Option<SpanContext> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

struct HeadersRead<'a>(&'a HeaderMap);

impl Extractor for HeadersRead<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{current, follow, follow_traceparent, for_request, inject, request_id, trace_id};
    use crate::telemetry;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_goes_from_headers_through_a_span_to_headers() {
        telemetry::for_tests();
        let mut incoming = HeaderMap::new();
        incoming.insert("traceparent", HeaderValue::from_static(PARENT));
        let span = tracing::info_span!("request");
        follow(&span, &incoming);
        let _entered = span.enter();

        assert_eq!(trace_id().as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let mut outgoing = HeaderMap::new();
        inject(&mut outgoing);
        let outgoing = outgoing["traceparent"].to_str().unwrap();
        assert_eq!(Some(outgoing), current().as_deref());
        assert!(outgoing.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert_ne!(outgoing, PARENT, "the span has an id of its own");
    }

    #[test]
    fn a_span_without_a_parent_starts_a_trace_and_a_malformed_parent_is_ignored() {
        telemetry::for_tests();
        let span = tracing::info_span!("task");
        follow_traceparent(&span, "nonsense");
        assert_eq!(span.in_scope(trace_id).map(|id| id.len()), Some(32));
    }

    #[tokio::test]
    async fn the_request_id_is_known_within_the_request_alone() {
        assert_eq!(request_id(), None);
        let (known, sent) = for_request("r-1".to_owned(), async {
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            (request_id(), headers)
        })
        .await;
        assert_eq!(known.as_deref(), Some("r-1"));
        assert_eq!(sent["x-request-id"], "r-1");
    }
}
