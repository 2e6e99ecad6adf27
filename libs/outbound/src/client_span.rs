//! The span of a request that this process sends, by the semantic conventions of OpenTelemetry for HTTP clients. Where spans are
//! not exported there is none.

use agora_chassis::trace;
use http::{HeaderMap, Method, StatusCode};
use tracing::{Span, field::Empty};

/// Port of a URL without one.
const HTTP_PORT: u16 = 80;

/// Begins the span of one try, and names it in the headers of the request: the callee's span is its child.
pub(crate) fn open(method: &Method, (host, port): (&str, Option<u16>), headers: &mut HeaderMap) -> Span {
    if !trace::is_exported() {
        return Span::none();
    }
    let span = tracing::info_span!(
        "request sent",
        otel.name = method.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method.as_str(),
        http.response.status_code = Empty,
        server.address = host,
        server.port = port.unwrap_or(HTTP_PORT),
        "error.type" = Empty,
    );
    span.in_scope(|| trace::inject(headers));
    span
}

/// Records the outcome of a try: the status of the response, or why there is none.
pub(crate) fn close(span: &Span, outcome: Result<StatusCode, &'static str>) {
    match outcome {
        Ok(status) => {
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", status.as_str());
            }
        }
        Err(reason) => {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", reason);
        }
    }
}
