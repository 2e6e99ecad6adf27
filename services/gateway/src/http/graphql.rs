//! `POST /graphql`: a GraphQL request over HTTP. Only JSON is read, which no page of another origin can send without a
//! preflight; a `GET` opens a WebSocket for subscriptions and executes nothing, and there is no list of requests in one.

use std::net::SocketAddr;

use agora_api::gateway::routes::{GRAPHQL, GRAPHQL_SOCKET};
use agora_chassis::Process;
use agora_web::{Identity, Json, Problem, Routes};
use async_graphql::ServerError;
use axum::{
    extract::{
        ConnectInfo, FromRequest as _, Request, State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{graphql_socket, streams};
use crate::{
    config::Origins,
    graphql::{Executed, GraphQl, Operation},
    http::headers::request_headers,
    limits::CallLimits,
    push::Hub,
};

/// The media type of the specification of GraphQL over HTTP.
const GRAPHQL_JSON: &str = "application/graphql-response+json";

/// Seconds after which a request that took too long may be repeated.
const RETRY_AFTER_S: u16 = 1;

#[derive(Clone, Debug)]
struct Api {
    graphql: GraphQl,
    hub: Hub,
    origins: Origins,
    process: Process,
}

pub fn routes(graphql: GraphQl, hub: Hub, origins: Origins, process: Process) -> Routes {
    let routes = Routes::new().on(GRAPHQL, execute).on(GRAPHQL_SOCKET, connect);
    routes.with_state(Api { graphql, hub, origins, process })
}

/// The body of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Map<String, Value>>,
    #[serde(default)]
    extensions: Option<Extensions>,
}

/// Extensions of other clients are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extensions {
    persisted_query: Option<PersistedQuery>,
}

/// As Apollo clients send it; `version` is 1.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery {
    sha256_hash: String,
}

async fn execute(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let headers = request_headers(request.headers(), request.extensions().get::<ConnectInfo<SocketAddr>>());
    let limits = request.extensions().get::<CallLimits>().cloned();
    let media_type = media_type(request.headers());
    let Json(body) = Json::<Value>::from_request(request, &()).await?;
    let operation = match operation(body) {
        Ok(operation) => operation,
        Err((code, message)) => return Ok(answer(StatusCode::BAD_REQUEST, media_type, &refusal(code, &message))),
    };
    Ok(match api.graphql.execute(operation, &headers, limits).await {
        Executed::Answered(response) => answer(StatusCode::OK, media_type, &json!(response)),
        Executed::Refused(errors) => answer(StatusCode::BAD_REQUEST, media_type, &errors_alone(&errors)),
        Executed::TimedOut(error) => {
            let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, media_type, &errors_alone(&[error]));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            response
        }
    })
}

/// Opens a connection for subscriptions, with the rules and limits of the streams of events.
async fn connect(
    State(api): State<Api>,
    identity: Identity,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let Api { graphql, hub, origins, process } = api;
    let upgrade = streams::allowed(upgrade, &headers, &origins)?;
    let upgrade = graphql_socket::limited(upgrade).protocols([graphql_socket::PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "UNSUPPORTED_PROTOCOL")
            .detail(format!("offer the protocol {} of GraphQL over a WebSocket", graphql_socket::PROTOCOL)));
    }
    let subscription = hub.subscribe(&identity, None).map_err(streams::refused)?;
    // Tracked, so that a process that ends waits for the close codes.
    Ok(upgrade.on_upgrade(move |socket| async move {
        process.track(graphql_socket::serve(socket, subscription, graphql));
    }))
}

/// The code and the message of the refusal of a body that is no request.
type NoRequest = (&'static str, String);

fn operation(body: Value) -> Result<Operation, NoRequest> {
    if body.is_array() {
        return Err(("BATCHING_NOT_SUPPORTED", "send one request at a time".to_owned()));
    }
    let body: Body = serde_json::from_value(body).map_err(|error| ("INVALID_REQUEST", error.to_string()))?;
    let Body { query, operation_name, variables, extensions } = body;
    let hash = extensions.and_then(|extensions| extensions.persisted_query).map(|query| query.sha256_hash);
    Ok(Operation { query, name: operation_name, variables: variables.unwrap_or_default(), hash })
}

/// What the client accepts, of the two media types that there are.
fn media_type(headers: &HeaderMap) -> HeaderValue {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_new = accepted.flat_map(|value| value.split(',')).any(|part| part.trim().starts_with(GRAPHQL_JSON));
    HeaderValue::from_static(if is_new { GRAPHQL_JSON } else { "application/json" })
}

/// Answers are personal, and may hold tokens.
fn answer(status: StatusCode, media_type: HeaderValue, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, headers, body.to_string()).into_response()
}

/// Without `data`: nothing was executed.
fn errors_alone(errors: &[ServerError]) -> Value {
    json!({ "errors": errors })
}

fn refusal(code: &str, message: &str) -> Value {
    json!({ "errors": [{ "message": message, "extensions": { "code": code } }] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::operation;

    #[test]
    fn gw4_a_body_is_one_request_with_known_members() {
        let read = operation(json!({
            "query": "{ me { id } }", "operationName": null, "variables": { "a": 1 },
            "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "ab" }, "clientLibrary": { "name": "x" } },
        }));
        let read = read.unwrap();
        assert_eq!((read.query.as_deref(), read.name, read.hash.as_deref()), (Some("{ me { id } }"), None, Some("ab")));
        assert_eq!(read.variables["a"], 1);
        assert!(operation(json!({})).is_ok(), "whether something is missing depends on the list of documents");
        for (body, code) in [
            (json!([{ "query": "{ me { id } }" }]), "BATCHING_NOT_SUPPORTED"),
            (json!([]), "BATCHING_NOT_SUPPORTED"),
            (json!("{ me { id } }"), "INVALID_REQUEST"),
            (json!({ "query": 1 }), "INVALID_REQUEST"),
            (json!({ "query": "{ me { id } }", "variables": [] }), "INVALID_REQUEST"),
            (json!({ "query": "{ me { id } }", "batch": 1 }), "INVALID_REQUEST"),
        ] {
            assert_eq!(operation(body).unwrap_err().0, code);
        }
    }
}
