//! Compatibility routes: the paths of earlier APIs, each translated into calls of `/api/v1` and back.
//!
//! Contains request and response shapes only: authorisation is decided by the services. Ids are UUIDs where an earlier API
//! had integers.

mod exchange;
mod gateway_demo;
mod graphql_demo;
mod reference;
mod shapes;
mod table;
mod umarketplace;

use std::{net::SocketAddr, sync::Arc};

use agora_vocab::Ids;
use agora_web::{BodyFault, Json, Problem, Routes, json_value};
use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, FromRequestParts as _, RawPathParams, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts, uri::PathAndQuery},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;

use crate::{
    clients::upstream::{Call, Upstreams},
    http::headers::{request_headers, response_headers},
};
use exchange::Exchange;
use table::Step;
pub use table::{Alias, Document, table};

/// Largest response of a service that is translated, in bytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Headers of a service's response that are valid for the translated response too.
const KEPT: [HeaderName; 6] = [
    header::LOCATION,
    header::ETAG,
    header::CACHE_CONTROL,
    header::VARY,
    header::CONTENT_LANGUAGE,
    header::RETRY_AFTER,
];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The services, and ids that serve as idempotency keys for commands without one.
#[derive(Clone, Debug)]
struct Aliases {
    upstreams: Upstreams,
    ids: Arc<dyn Ids>,
}

/// All compatibility routes.
pub fn routes(upstreams: Upstreams, ids: Arc<dyn Ids>) -> Routes {
    let aliases = Aliases { upstreams, ids };
    let routes = table().into_iter().fold(Routes::new(), |routes, alias| {
        let alias = Arc::new(alias);
        routes.on(alias.route(), move |state, request| answer(alias.clone(), state, request))
    });
    routes.with_state(aliases)
}

async fn answer(alias: Arc<Alias>, State(aliases): State<Aliases>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let mut exchange = read(&mut parts, body).await?;
    let headers = without_body(request_headers(&parts.headers, parts.extensions.get::<ConnectInfo<SocketAddr>>()));
    let mut last = None;
    for step in &alias.steps {
        let answer = aliases.call(step, &exchange, headers.clone()).await?;
        if !answer.status().is_success() {
            let (mut parts, body) = answer.into_parts();
            parts.headers = response_headers(&parts.headers);
            return Ok(Response::from_parts(parts, body));
        }
        let (parts, body) = answer.into_parts();
        exchange.answers.push(json(body).await?);
        last = Some(parts);
    }
    let (status, headers) = last.map_or((StatusCode::OK, HeaderMap::new()), |parts| (parts.status, parts.headers));
    let status = alias.status.unwrap_or(status);
    let mut response = match status {
        StatusCode::NO_CONTENT => status.into_response(),
        _ => (status, Json((alias.shape)(&exchange))).into_response(),
    };
    for name in KEPT {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

impl Aliases {
    async fn call(&self, step: &Step, exchange: &Exchange, mut headers: HeaderMap) -> Result<Response, Problem> {
        let target = PathAndQuery::try_from(exchange.target(step)?).map_err(Problem::internal)?;
        let body = match step.body {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Body::from(body(exchange)?.to_string())
            }
            None => Body::empty(),
        };
        if step.needs_key && !headers.contains_key(IDEMPOTENCY_KEY) {
            let key = HeaderValue::try_from(self.ids.next().to_string()).map_err(Problem::internal)?;
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let method = Method::from_bytes(step.route.method.as_str().as_bytes()).map_err(Problem::internal)?;
        let demand = (&step.route).into();
        Ok(self.upstreams.send(step.service, Call { demand, method, target, headers, body }).await?)
    }
}

async fn read(parts: &mut Parts, body: Body) -> Result<Exchange, Problem> {
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(Problem::internal)?;
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let bytes = to_bytes(body, usize::MAX).await.map_err(|error| BodyFault::of(&error))?;
    let body = json_value(&bytes)?;
    let user = parts.extensions.get::<agora_web::Identity>().map(|identity| identity.user);
    Ok(Exchange {
        params,
        query: exchange::pairs(parts.uri.query().unwrap_or_default()),
        body,
        user,
        answers: Vec::new(),
    })
}

/// Removes headers that describe the original body: another body is sent.
fn without_body(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// The JSON body of a service's response; null if it is empty.
async fn json(body: Body) -> Result<Value, Problem> {
    let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(Problem::unavailable)?;
    if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes).map_err(Problem::internal) }
}
