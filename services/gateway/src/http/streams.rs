//! The user's events as they happen: as server-sent events, and over a WebSocket.

use std::{convert::Infallible, time::Duration};

use agora_api::gateway::{
    StreamQuery,
    routes::{EVENTS, GRAPHQL_SOCKET, WEB_SOCKET},
};
use agora_chassis::{LongLived, Process};
use agora_web::{Identity, Problem, Query, Routes};
use axum::{
    extract::{
        Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use futures::{StreamExt as _, future, stream};
use serde_json::json;

use super::web_socket;
use crate::{
    config::Origins,
    push::{Cursor, EndReason, Hub, Item, Refused, Subscription},
};

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks nginx and others to pass a stream on as it arrives.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The WebSocket protocol of the events.
const PROTOCOL: &str = "agora.events.v1";
/// Before a token among the protocols that a client offers: a browser sets no other header of a WebSocket. A token is a
/// list of characters that a protocol may have, and is never chosen.
const TOKEN_PROTOCOL: &str = "bearer.";

/// When a client comes again, in milliseconds: spread, so that those of a process that ends do not come at once.
const RETRY_MS: u64 = 1_000;
const RETRY_SPREAD_MS: u64 = 2_000;

/// When to try again where there are too many streams, in seconds.
const REFUSED_RETRY_AFTER_S: u32 = 5;

#[derive(Clone, Debug)]
struct Streams {
    hub: Hub,
    origins: Origins,
    process: Process,
}

pub fn routes(hub: Hub, origins: Origins, process: Process) -> Routes {
    let routes = Routes::new().on(EVENTS, events).on(WEB_SOCKET, open_web_socket);
    routes.with_state(Streams { hub, origins, process })
}

async fn events(
    State(streams): State<Streams>,
    identity: Identity,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let subscription = streams.subscribe(&identity, &query, &headers)?;
    let end = subscription.end_token();
    let retry = Duration::from_millis(RETRY_MS + subscription.number() % RETRY_SPREAD_MS);
    // The response begins at once.
    let begin = stream::once(future::ready(Ok::<_, Infallible>(Event::default().comment("connected").retry(retry))));
    let rest = stream::unfold(Some(subscription), |subscription| async move {
        let mut subscription = subscription?;
        Some(match subscription.next().await {
            Ok(item) => (Ok(event(&item)), Some(subscription)),
            Err(reason) => (Ok(last(reason)), None),
        })
    });
    let mut response = Sse::new(begin.chain(rest)).into_response();
    response.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    response.extensions_mut().insert(LongLived::until(end));
    Ok(response)
}

fn event(item: &Item) -> Event {
    match item {
        Item::Event(message) => Event::default().id(&message.cursor).event(&message.kind).data(&message.json),
        Item::Reset => Event::default().event("reset").data(json!({ "type": "reset" }).to_string()),
        Item::Heartbeat => Event::default().comment("heartbeat"),
    }
}

fn last(reason: EndReason) -> Event {
    let said = json!({ "type": "end", "code": reason.close_code(), "reason": reason.text() });
    Event::default().event("end").data(said.to_string())
}

async fn open_web_socket(
    State(streams): State<Streams>,
    identity: Identity,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = allowed(upgrade, &headers, &streams.origins)?;
    let subscription = streams.subscribe(&identity, &query, &headers)?;
    let process = streams.process;
    let upgrade = web_socket::limited(upgrade).protocols([PROTOCOL]);
    // Tracked, so that a process that ends waits for the close codes.
    Ok(upgrade.on_upgrade(move |socket| async move { process.track(web_socket::serve(socket, subscription)) }))
}

/// The upgrade to a WebSocket, if a page of this origin may open one.
pub fn allowed(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    headers: &HeaderMap,
    origins: &Origins,
) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED")
            .detail(format!("connect with a WebSocket: {}", rejection.body_text()))
            .header(header::UPGRADE, HeaderValue::from_static("websocket"))
    })?;
    if !is_allowed(headers, origins) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED")
            .detail("pages of this origin may not connect: spec.exposure.corsOrigins lists those that may"));
    }
    Ok(upgrade)
}

impl Streams {
    fn subscribe(
        &self,
        identity: &Identity,
        query: &StreamQuery,
        headers: &HeaderMap,
    ) -> Result<Subscription, Problem> {
        let last = last_event(query, headers)?;
        self.hub.subscribe(identity, last.as_ref()).map_err(refused)
    }
}

/// The last event that the client received: the header wins, since a browser sets it when it connects again.
fn last_event(query: &StreamQuery, headers: &HeaderMap) -> Result<Option<Cursor>, Problem> {
    let of_header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or_default());
    let (field, text) = match (of_header, &query.last_event_id) {
        (Some(text), _) => ("Last-Event-ID", text),
        (None, Some(text)) => ("lastEventId", text.as_str()),
        (None, None) => return Ok(None),
    };
    // A client that has received nothing says so with an empty one.
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |message: &str| Problem::new(StatusCode::BAD_REQUEST, "INVALID_EVENT_ID").field(field, message);
    text.parse().map(Some).map_err(wrong)
}

/// The answer where there is no stream.
pub fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::User => Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_STREAMS")
            .detail("the account has as many streams as an account may have: close one of them")
            .retry_after(REFUSED_RETRY_AFTER_S),
        Refused::Process => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_STREAMS")
            .detail("the server has no place for another stream; try again")
            .retry_after(REFUSED_RETRY_AFTER_S),
        Refused::Draining => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "SHUTTING_DOWN")
            .detail("this server ends: connect again")
            .retry_after(1),
    }
}

/// Whether a page may connect: one of a listed origin, or of the gateway's own host. What is no browser sends no origin.
fn is_allowed(headers: &HeaderMap, Origins(origins): &Origins) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = origin.as_bytes().split(|byte| *byte == b'/').nth(2);
    let own = headers.get(header::HOST).is_some_and(|own| host.is_some_and(|host| host == own.as_bytes()));
    own || origins.contains(origin)
}

/// A token that a client of the WebSocket offers as a protocol, put where all others have it.
pub fn token_of_protocol(mut request: Request) -> Request {
    if ![WEB_SOCKET.path, GRAPHQL_SOCKET.path].contains(&request.uri().path()) {
        return request;
    }
    let headers = request.headers_mut();
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offered = offered.flat_map(|value| value.split(',')).map(|one| one.trim().to_owned());
    let (tokens, protocols): (Vec<String>, Vec<String>) = offered.partition(|one| one.starts_with(TOKEN_PROTOCOL));
    if tokens.is_empty() {
        return request;
    }
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    if let (Ok(protocols), false) = (HeaderValue::try_from(protocols.join(", ")), protocols.is_empty()) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
    }
    // Several tokens, also beside that of the header, are as invalid as several headers.
    for token in tokens {
        let bearer = format!("Bearer {}", &token[TOKEN_PROTOCOL.len()..]);
        if let Ok(mut bearer) = HeaderValue::try_from(bearer) {
            bearer.set_sensitive(true);
            headers.append(header::AUTHORIZATION, bearer);
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        extract::Request,
        http::{HeaderMap, header},
    };

    use super::{is_allowed, token_of_protocol};

    fn offering(path: &str, protocols: &str) -> Request {
        let request = Request::get(path).header("sec-websocket-protocol", protocols);
        token_of_protocol(request.body(Body::empty()).unwrap())
    }

    #[test]
    fn gw18_a_token_among_the_protocols_becomes_the_token_of_the_request_and_is_no_protocol() {
        let request = offering("/ws", "agora.events.v1, bearer.a.b-c_d");
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer a.b-c_d");
        assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], "agora.events.v1");
        let alone = offering("/ws", "bearer.x");
        assert!(!alone.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL));
        let two = offering("/ws", "bearer.x,bearer.y");
        assert_eq!(two.headers().get_all(header::AUTHORIZATION).iter().count(), 2, "refused like two headers");
        let elsewhere = offering("/api/v1/orders", "bearer.x");
        assert!(!elsewhere.headers().contains_key(header::AUTHORIZATION));
    }

    #[test]
    fn gw18_pages_of_listed_origins_and_of_the_shop_itself_may_connect() {
        let origins = "https://shop.example".parse().unwrap();
        let from = |origin: &'static str, host: &'static str| {
            let pairs = [(header::ORIGIN, origin), (header::HOST, host)];
            let headers: HeaderMap = pairs.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect();
            is_allowed(&headers, &origins)
        };
        assert!(from("https://shop.example", "api.example"));
        assert!(from("https://api.example:8443", "api.example:8443"));
        for other in ["https://evil.example", "null", "https://api.example.evil.example", "https://api.example:1"] {
            assert!(!from(other, "api.example"), "{other}");
        }
        assert!(is_allowed(&HeaderMap::new(), &origins), "no browser");
    }
}
