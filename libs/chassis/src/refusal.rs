//! The answer to a client for which a port has no place. Knows nothing of routes.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long a refusal may take.
const REFUSAL_MAX: Duration = Duration::from_secs(2);

/// Most bytes of a request that are read and dropped.
const DRAINED_BYTES_MAX: usize = 64 << 10;

const READ_BYTES: usize = 512;

/// To a client that begins TLS: the fatal alert `internal_error` (RFC 8446, 6), because there is no key for a response yet.
pub(crate) const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

/// In HTTP/1.1, without knowledge of the request: 503 with a problem (RFC 9457).
pub(crate) const RESPONSE: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\n",
    "connection: close\r\n",
    "retry-after: 1\r\n",
    "cache-control: no-store\r\n",
    "content-type: application/problem+json\r\n",
    "content-length: 223\r\n",
    "\r\n",
    r#"{"type":"urn:agora:problem:too-many-connections","title":"Too many connections","status":503,"#,
    r#""detail":"the server has no place for another connection; try again","code":"TOO_MANY_CONNECTIONS","error":"Too many connections"}"#,
);

/// The same for a connection that had to give way when its request came.
pub(crate) fn response() -> Response {
    let (head, body) = RESPONSE.split_once("\r\n\r\n").unwrap_or_default();
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    // Those of the connection are written with it.
    response
        .headers_mut()
        .extend(fields.filter(|(name, _)| ![header::CONNECTION, header::CONTENT_LENGTH].contains(name)));
    response
}

/// Answers the first bytes of a connection with [`RESPONSE`] or [`ALERT`] and closes it.
pub(crate) async fn refuse(tcp: TcpStream, refusal: &'static [u8]) {
    match tokio::time::timeout(REFUSAL_MAX, answer(tcp, refusal)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client that was refused did not read the answer"),
        Err(_) => tracing::debug!("a client that was refused went on sending or sent nothing"),
    }
}

async fn answer(mut tcp: TcpStream, refusal: &[u8]) -> io::Result<()> {
    let mut some = [0; READ_BYTES];
    // A response that comes before its request is a fault to some clients.
    let mut drained = tcp.read(&mut some).await?;
    if drained == 0 {
        return Ok(());
    }
    tcp.write_all(refusal).await?;
    tcp.shutdown().await?;
    // A socket that is closed with bytes unread is reset, and the client might not see the response.
    while drained < DRAINED_BYTES_MAX {
        match tcp.read(&mut some).await? {
            0 => break,
            read => drained += read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, header};

    use super::{RESPONSE, response};

    #[test]
    fn the_response_is_complete_and_its_body_a_problem() {
        let (head, body) = RESPONSE.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("\r\ncontent-length: {}", body.len())), "{}", body.len());
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&503.into(), &"TOO_MANY_CONNECTIONS".into()));
        let response = response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert!(!response.headers().contains_key(header::CONNECTION), "HTTP/2 has no such field");
    }
}
