//! The paths of the five older documents, each turned into calls of `/api/v1` and its answer into the document's shape.
//!
//! Knows shapes alone: who may do what is decided by the services. Ids are UUIDs where a document had integers.

mod rows;
mod s0;
mod s1;
mod s3;
mod s4;
mod seen;
mod shapes;

use std::{net::SocketAddr, sync::Arc};

use agora_vocab::Ids;
use agora_web::{Json, Problem};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, FromRequestParts as _, RawPathParams, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, on},
};
use serde_json::Value;

use crate::{
    headers::{inward, outward},
    upstream::{Call, Upstreams},
};
use rows::Step;
pub use rows::{Alias, Document, table};
use seen::Seen;

/// Largest answer of a service that is turned into another shape, in bytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Headers of a service's answer that still hold for the alias's.
const KEPT: [HeaderName; 4] = [header::LOCATION, header::ETAG, header::CACHE_CONTROL, header::RETRY_AFTER];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What aliases need: the services, and fresh ids for commands that came without a key.
#[derive(Clone, Debug)]
struct Aliases {
    upstreams: Upstreams,
    ids: Arc<dyn Ids>,
}

/// Every alias.
pub fn router(upstreams: Upstreams, ids: Arc<dyn Ids>) -> Router {
    let aliases = Aliases { upstreams, ids };
    let router = table().into_iter().fold(Router::new(), |router, alias| {
        let (path, filter) = (alias.path, filter(&alias.method));
        let alias = Arc::new(alias);
        router.route(path, on(filter, move |state, request| answer(alias.clone(), state, request)))
    });
    router.with_state(aliases)
}

fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::TRACE)
}

async fn answer(alias: Arc<Alias>, State(aliases): State<Aliases>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let mut seen = read(&mut parts, body).await?;
    let headers = without_body(inward(&parts.headers, parts.extensions.get::<ConnectInfo<SocketAddr>>()));
    let mut last = None;
    for step in &alias.steps {
        let answer = aliases.call(step, &seen, headers.clone()).await?;
        if !answer.status().is_success() {
            let (mut parts, body) = answer.into_parts();
            parts.headers = outward(&parts.headers);
            return Ok(Response::from_parts(parts, body));
        }
        let (parts, body) = answer.into_parts();
        seen.answers.push(json(body).await?);
        last = Some(parts);
    }
    let (status, headers) = last.map_or((StatusCode::OK, HeaderMap::new()), |parts| (parts.status, parts.headers));
    let status = alias.status.unwrap_or(status);
    let mut response = match status {
        StatusCode::NO_CONTENT => status.into_response(),
        _ => (status, Json((alias.shape)(&seen))).into_response(),
    };
    for name in KEPT {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

impl Aliases {
    async fn call(&self, step: &Step, seen: &Seen, mut headers: HeaderMap) -> Result<Response, Problem> {
        let target = seen.target(step)?;
        let body = match step.body {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Body::from(body(seen)?.to_string())
            }
            None => Body::empty(),
        };
        if step.needs_key && !headers.contains_key(IDEMPOTENCY_KEY) {
            let key = HeaderValue::try_from(self.ids.next().to_string()).map_err(Problem::internal)?;
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let call = Call { method: step.method.clone(), target, headers, body };
        Ok(self.upstreams.send(step.service, call).await?)
    }
}

async fn read(parts: &mut Parts, body: Body) -> Result<Seen, Problem> {
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(Problem::internal)?;
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let bytes = to_bytes(body, usize::MAX).await.map_err(|error| crate::upstream::cut_short(&error))?;
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes)
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "INVALID_JSON").detail("the body is not JSON"))?
    };
    let user = parts.extensions.get::<agora_web::Identity>().map(|identity| identity.user);
    Ok(Seen { params, query: seen::pairs(parts.uri.query().unwrap_or_default()), body, user, answers: Vec::new() })
}

/// The body of an alias is not the body that is sent.
fn without_body(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// The body of a service's answer; null where there is none.
async fn json(body: Body) -> Result<Value, Problem> {
    let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(Problem::unavailable)?;
    if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes).map_err(Problem::internal) }
}
