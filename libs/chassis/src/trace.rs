//! The request and the trace to which the current work belongs: W3C trace context and request ids, read from headers and
//! written to headers. Must not depend on clients, servers or brokers.
//!
//! Where spans are exported, the trace context is the one of the current span. Where they are not, it is kept beside the
//! spans, which then cost what logs need and no more.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use agora_vocab::{OrderId, UserId};
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
use uuid::Uuid;

/// The header that carries a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Most links of a span; the exporter keeps no more.
const LINKS_MAX: usize = 128;

/// Whether the spans of this process are exported.
static EXPORTED: AtomicBool = AtomicBool::new(false);

tokio::task_local! {
    static CURRENT: Work;
}

#[derive(Clone)]
struct Work {
    request_id: Option<String>,
    /// The trace context, where spans are not exported.
    context: Option<SpanContext>,
    /// The span of the request or the message as a whole, whatever span is current.
    root: Span,
    /// The `traceparent` of each event of a batch, by the event's id.
    events: Option<Arc<BTreeMap<Uuid, String>>>,
}

/// The trace context that a request or a message brought, if any. A malformed one counts as none.
#[derive(Clone, Debug, Default)]
pub struct Parent {
    /// The trace goes on.
    context: Option<Context>,
    /// A new trace begins, which links to these.
    links: Vec<SpanContext>,
}

impl Parent {
    /// The context in `headers`.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        Self { context: context_in(headers), links: Vec::new() }
    }

    /// The context in the headers of a client. A trace of the shop's own begins, so that no client decides whether its spans are
    /// exported or which trace they belong to; it links to the client's.
    pub fn of_client(headers: &HeaderMap) -> Self {
        let client = context_in(headers).map(|context| context.span().span_context().clone());
        Self { context: None, links: client.into_iter().collect() }
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
        let parent = self.context.as_ref().map(|context| context.span().span_context().clone());
        let (trace, flags, state) = match parent {
            Some(parent) => (parent.trace_id(), parent.trace_flags(), parent.trace_state().clone()),
            None => (ids.new_trace_id(), TraceFlags::NOT_SAMPLED, TraceState::NONE),
        };
        SpanContext::new(trace, ids.new_span_id(), flags, false, state)
    }
}

/// `None`: there is none, or it is malformed.
fn context_in(headers: &HeaderMap) -> Option<Context> {
    if !headers.contains_key(TRACEPARENT) {
        return None;
    }
    let context = TraceContextPropagator::new().extract(&HeadersRead(headers));
    let valid = context.span().span_context().is_valid();
    valid.then_some(context)
}

/// Called once, by the set-up of telemetry.
pub(crate) fn spans_are_exported() {
    EXPORTED.store(true, Ordering::Relaxed);
}

/// Whether the spans of this process are exported. A span that only an exporter reads is not worth its cost elsewhere.
pub fn is_exported() -> bool {
    EXPORTED.load(Ordering::Relaxed)
}

/// Runs `work` within `span` as the request with this id, in the trace of `parent`. Adds little to the size of `work`: an
/// async function would hold it once as its argument and once more while it runs.
pub fn for_request<T>(
    id: String,
    parent: Parent,
    span: Span,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    within((Some(id), None), parent, span, work)
}

/// Runs `work` within `span` in the trace of `parent`: for messages, and whatever else is no request.
pub fn follow<T>(parent: Parent, span: Span, work: impl Future<Output = T>) -> impl Future<Output = T> {
    within((None, None), parent, span, work)
}

/// Runs `work` on a batch of events, each with its id and its `traceparent`, in a trace of the batch that links to theirs.
/// [`of_event`] gives each event's own.
pub fn follow_all<T>(
    events: BTreeMap<Uuid, String>,
    span: Span,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let contexts = events.values().filter_map(|traceparent| Parent::of_traceparent(traceparent).context);
    let links = contexts.take(LINKS_MAX).map(|context| context.span().span_context().clone());
    let parent = Parent { context: None, links: if is_exported() { links.collect() } else { Vec::new() } };
    within((None, Some(Arc::new(events))), parent, span, work)
}

fn within<T>(
    (request_id, events): (Option<String>, Option<Arc<BTreeMap<Uuid, String>>>),
    parent: Parent,
    span: Span,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let context = if is_exported() {
        for link in parent.links {
            span.add_link(link);
        }
        if let Some(parent) = parent.context
            && span.set_parent(parent).is_err()
        {
            tracing::debug!("a span without a trace cannot follow another");
        }
        None
    } else {
        Some(parent.child())
    };
    CURRENT.scope(Work { request_id, context, root: span.clone(), events }, work.instrument(span))
}

/// Carries the current request and span into a task of its own.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let nothing = Work { request_id: None, context: None, root: Span::none(), events: None };
    let current = CURRENT.try_with(Work::clone).unwrap_or(nothing);
    CURRENT.scope(current, work.instrument(Span::current()))
}

/// Names the order that the current request or message is about, in its log lines and its span.
pub fn note_order(order: OrderId) {
    note("order_id", order);
}

/// Names the user that the current request or message works for, in its log lines and its span.
pub fn note_user(user: UserId) {
    note("user_id", user);
}

/// Records a field that the span of the request or message declares.
fn note(field: &'static str, id: impl std::fmt::Display) {
    // Outside of a request or a message there is no span to name it in.
    let _ = CURRENT.try_with(|work| {
        work.root.record(field, tracing::field::display(id));
    });
}

/// The `traceparent` of an event of the batch that this code works on; `None` outside of [`follow_all`].
pub fn of_event(id: Uuid) -> Option<String> {
    CURRENT.try_with(|work| work.events.as_ref()?.get(&id).cloned()).ok().flatten()
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
    if !is_exported() {
        return CURRENT.try_with(|work| work.context.clone()).ok().flatten();
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
    use std::collections::BTreeMap;

    use http::{HeaderMap, HeaderValue};
    use tracing::Span;
    use uuid::Uuid;

    use super::{Parent, current, follow, follow_all, for_request, inject, of_event, request_id, trace_id};

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
    async fn de14_a_client_neither_names_the_trace_nor_decides_that_it_is_exported() {
        let mut incoming = HeaderMap::new();
        incoming.insert("traceparent", HeaderValue::from_static(PARENT));
        incoming.insert("tracestate", HeaderValue::from_static("vendor=1"));
        let parent = Parent::of_client(&incoming);
        assert_eq!(parent.links[0].trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        let sent = follow(parent, Span::none(), async { current() }).await.unwrap();
        assert!(!sent.contains("0af7651916cd43dd8448eb211c80319c") && sent.ends_with("-00"), "{sent}");
        assert!(Parent::of_client(&HeaderMap::new()).links.is_empty());
    }

    #[tokio::test]
    async fn de14_within_a_batch_each_event_keeps_its_own_trace() {
        let (known, unknown) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let work = async { (of_event(known), of_event(unknown), current()) };
        let events = BTreeMap::from([(known, PARENT.to_owned())]);
        let (first, second, batch) = follow_all(events, Span::none(), work).await;
        assert_eq!((first.as_deref(), second), (Some(PARENT), None));
        assert!(batch.is_some_and(|batch| !batch.contains("0af7651916cd43dd8448eb211c80319c")));
        assert_eq!(of_event(known), None);
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
