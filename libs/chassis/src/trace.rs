//! The request and the trace to which the current work belongs: W3C trace context and request ids, read from headers and
//! written to headers. Must not depend on clients, servers or brokers.
//!
//! Where spans are exported, the trace context is the one of the current span. Where they are not, it is kept beside the
//! spans, which then cost what logs need and no more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator as _, RandomIdGenerator},
};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header that carries a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Whether the spans of this process are exported.
static EXPORTED: AtomicBool = AtomicBool::new(false);

/// A trace that a client brings is exported if a random number is at or below this: the share of traces begun here.
static SAMPLED_MAX: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    static CURRENT: Work;
}

#[derive(Clone)]
struct Work {
    request_id: Option<String>,
    /// The trace context, where spans are not exported.
    span: Option<SpanContext>,
}

/// The trace context that a request or a message brought, if any. A malformed one counts as none.
#[derive(Clone, Debug, Default)]
pub struct Parent(Option<Context>);

impl Parent {
    /// The context in `headers`.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        if !headers.contains_key(TRACEPARENT) {
            return Self(None);
        }
        let context = TraceContextPropagator::new().extract(&HeadersRead(headers));
        let valid = context.span().span_context().is_valid();
        Self(valid.then_some(context))
    }

    /// The context in the headers of a client that must not decide whether spans are exported: its trace goes on, and is
    /// sampled like a trace that begins here.
    pub fn of_client(headers: &HeaderMap) -> Self {
        let Self(Some(context)) = Self::of_headers(headers) else { return Self(None) };
        let span = context.span().span_context().clone();
        let random = u64::from_be_bytes(RandomIdGenerator::default().new_span_id().to_bytes());
        let sampled = random <= SAMPLED_MAX.load(Ordering::Relaxed);
        let flags = TraceFlags::default().with_sampled(sampled);
        let span = SpanContext::new(span.trace_id(), span.span_id(), flags, true, span.trace_state().clone());
        Self(Some(Context::new().with_remote_span_context(span)))
    }

    /// The context of a `traceparent` that did not arrive in a header.
    pub fn of_traceparent(traceparent: &str) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(traceparent) {
            headers.insert(TRACEPARENT, value);
        }
        Self::of_headers(&headers)
    }

    /// A new span of the same trace, or of a new trace.
    fn child(&self) -> SpanContext {
        let ids = RandomIdGenerator::default();
        let parent = self.0.as_ref().map(|context| context.span().span_context().clone());
        let (trace, flags, state) = match parent {
            Some(parent) => (parent.trace_id(), parent.trace_flags(), parent.trace_state().clone()),
            None => (ids.new_trace_id(), TraceFlags::NOT_SAMPLED, TraceState::NONE),
        };
        SpanContext::new(trace, ids.new_span_id(), flags, false, state)
    }
}

/// Called once, by the set-up of telemetry, with the share of traces begun here that are exported, 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of all numbers; the cast of a float saturates"
)]
pub(crate) fn spans_are_exported(share: f64) {
    SAMPLED_MAX.store((share * u64::MAX as f64) as u64, Ordering::Relaxed);
    EXPORTED.store(true, Ordering::Relaxed);
}

/// Runs `work` within `span` as the request with this id, in the trace of `parent`. Adds little to the size of `work`: an
/// async function would hold it once as its argument and once more while it runs.
pub fn for_request<T>(
    id: String,
    parent: Parent,
    span: Span,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    within(Some(id), parent, span, work)
}

/// Runs `work` within `span` in the trace of `parent`: for messages, and whatever else is no request.
pub fn follow<T>(parent: Parent, span: Span, work: impl Future<Output = T>) -> impl Future<Output = T> {
    within(None, parent, span, work)
}

fn within<T>(
    request_id: Option<String>,
    parent: Parent,
    span: Span,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let context = if EXPORTED.load(Ordering::Relaxed) {
        if let Some(parent) = parent.0
            && span.set_parent(parent).is_err()
        {
            tracing::debug!("a span without a trace cannot follow another");
        }
        None
    } else {
        Some(parent.child())
    };
    CURRENT.scope(Work { request_id, span: context }, work.instrument(span))
}

/// Carries the current request and span into a task of its own.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let nothing = Work { request_id: None, span: None };
    let current = CURRENT.try_with(Work::clone).unwrap_or(nothing);
    CURRENT.scope(current, work.instrument(Span::current()))
}

/// The current span as a `traceparent`; `None` outside of a trace.
pub fn current() -> Option<String> {
    span_context().map(|span| traceparent(&span))
}

/// The id of the current trace, 32 hex digits; `None` outside of one.
pub fn trace_id() -> Option<String> {
    Some(span_context()?.trace_id().to_string())
}

/// Writes the current trace context, and the current request's id if there is one, into `headers`.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(span) = span_context() {
        let state = span.trace_state().header();
        let fields = [(TRACEPARENT, traceparent(&span)), (TRACESTATE, state)];
        for (name, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
    if let Some(id) = request_id().and_then(|id| HeaderValue::try_from(id).ok()) {
        headers.insert(REQUEST_ID, id);
    }
}

/// The id of the request that this code works for; `None` outside of [`for_request`].
pub fn request_id() -> Option<String> {
    CURRENT.try_with(|work| work.request_id.clone()).ok().flatten()
}

fn traceparent(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags())
}

fn span_context() -> Option<SpanContext> {
    if !EXPORTED.load(Ordering::Relaxed) {
        return CURRENT.try_with(|work| work.span.clone()).ok().flatten();
    }
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

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use tracing::Span;

    use super::{Parent, current, follow, for_request, inject, request_id, trace_id};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn de14_a_trace_goes_from_headers_through_a_span_to_headers() {
        let mut incoming = HeaderMap::new();
        incoming.insert("traceparent", HeaderValue::from_static(PARENT));
        incoming.insert("tracestate", HeaderValue::from_static("vendor=1"));
        let parent = Parent::of_headers(&incoming);
        let (trace, outgoing) = for_request("r-1".to_owned(), parent, Span::none(), async {
            let mut outgoing = HeaderMap::new();
            inject(&mut outgoing);
            assert_eq!(outgoing["traceparent"].to_str().ok(), current().as_deref());
            (trace_id(), outgoing)
        })
        .await;
        assert_eq!(trace.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let sent = outgoing["traceparent"].to_str().unwrap();
        assert!(sent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && sent.ends_with("-01"), "{sent}");
        assert_ne!(sent, PARENT, "the span has an id of its own");
        assert_eq!(outgoing["tracestate"], "vendor=1");
    }

    #[tokio::test]
    async fn a_clients_trace_goes_on_and_its_sampling_flag_is_not_followed() {
        let mut incoming = HeaderMap::new();
        incoming.insert("traceparent", HeaderValue::from_static(PARENT));
        incoming.insert("tracestate", HeaderValue::from_static("vendor=1"));
        let sent = follow(Parent::of_client(&incoming), Span::none(), async { current() }).await.unwrap();
        assert!(sent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && sent.ends_with("-00"), "{sent}");
        assert!(Parent::of_client(&HeaderMap::new()).0.is_none());
    }

    #[tokio::test]
    async fn work_without_a_parent_starts_a_trace_and_a_malformed_parent_is_ignored() {
        for parent in [Parent::default(), Parent::of_traceparent("nonsense"), Parent::of_traceparent("")] {
            let id = follow(parent, Span::none(), async { trace_id() }).await;
            assert_eq!(id.map(|id| id.len()), Some(32));
        }
        assert_eq!(trace_id(), None);
    }

    #[tokio::test]
    async fn the_request_id_is_known_within_the_request_alone() {
        assert_eq!(request_id(), None);
        let work = async {
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            (request_id(), headers)
        };
        let (known, sent) = for_request("r-1".to_owned(), Parent::default(), Span::none(), work).await;
        assert_eq!(known.as_deref(), Some("r-1"));
        assert_eq!(sent["x-request-id"], "r-1");
    }
}
