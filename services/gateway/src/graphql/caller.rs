//! Calls of the services with the identity of the client of a GraphQL request. Must not know the schema.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use agora_api::Route;
use agora_vocab::Ids;
use agora_web::Problem;
use async_graphql::Context;
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::PathAndQuery},
};
use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::fault::Fault;
use crate::{
    clients::upstream::{Call, Upstreams},
    limits::CallLimits,
};

/// Calls of services that one request makes at most.
pub const CALLS_MAX: usize = 64;

/// Largest answer of a service that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What stays as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Namespace of the idempotency keys of fields.
const KEYS: Uuid = Uuid::from_u128(0x7c1e_55a2_6d0b_4f0e_9a53_2b8f_0e6d_41c7);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");

/// Headers of the client that are valid for each call made for its request.
const PASSED: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::ACCEPT_LANGUAGE,
    header::USER_AGENT,
    HeaderName::from_static("x-currency"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-trace-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-forwarded-for"),
];

/// The client of a request. Clones count their calls together.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    upstreams: Upstreams,
    ids: Arc<dyn Ids>,
    headers: HeaderMap,
    /// The key that the client sent for the whole request.
    key: Option<String>,
    calls: AtomicUsize,
    limits: Option<CallLimits>,
}

/// The client of the request that a field belongs to.
pub fn caller<'c>(context: &Context<'c>) -> &'c Caller {
    context.data_unchecked::<Caller>()
}

impl Caller {
    /// `headers`: those that the gateway would send to a service with this request. `limits` count its calls.
    pub fn new(upstreams: Upstreams, ids: Arc<dyn Ids>, headers: &HeaderMap, limits: Option<CallLimits>) -> Self {
        let key = headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok()).map(str::to_owned);
        let passed = PASSED.into_iter().filter_map(|name| headers.get(&name).cloned().map(|value| (name, value)));
        let headers = passed.collect();
        Self(Arc::new(Inner { upstreams, ids, headers, key, calls: AtomicUsize::new(0), limits }))
    }

    /// A call of a route with values for the parameters of its path.
    pub fn call<const N: usize>(&self, route: Route, values: [&str; N]) -> Outgoing<'_> {
        let values = values.map(|value| percent_encode(value.as_bytes(), SEGMENT).to_string());
        let path = route.path_of(values.each_ref().map(|value| value as &dyn Display));
        Outgoing { caller: self, route, path, query: Vec::new(), headers: self.0.headers.clone(), body: None }
    }

    /// Like [`call`](Self::call), for a field that changes something. Each field of a request has an idempotency key of its
    /// own, made of the client's and of the field's name in the answer: a repeated request repeats every key.
    pub fn command<const N: usize>(&self, field: &Context<'_>, route: Route, values: [&str; N]) -> Outgoing<'_> {
        let call = self.call(route, values);
        match &self.0.key {
            Some(key) => {
                let name = &field.item.node.response_key().node;
                call.header(IDEMPOTENCY_KEY, Uuid::new_v5(&KEYS, format!("{key}\n{name}").as_bytes()).to_string())
            }
            None => call,
        }
    }

    fn count(&self) -> Result<(), Problem> {
        if self.0.calls.fetch_add(1, Ordering::Relaxed) < CALLS_MAX {
            return Ok(());
        }
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "TOO_MANY_CALLS")
            .detail(format!("the request needs more than {CALLS_MAX} calls of services: ask for less at once")))
    }
}

/// A call that is sent by [`json`](Self::json) or [`done`](Self::done).
#[must_use]
#[derive(Debug)]
pub struct Outgoing<'c> {
    caller: &'c Caller,
    route: Route,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Option<serde_json::Result<Vec<u8>>>,
}

impl Outgoing<'_> {
    /// A parameter of the query, if it has a value.
    pub fn query(mut self, name: &'static str, value: Option<impl Display>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// The part of a list that is read.
    pub fn page(self, limit: i32, cursor: Option<String>) -> Self {
        self.query("limit", Some(limit)).query("cursor", cursor)
    }

    pub fn body(self, body: &impl Serialize) -> Self {
        Self { body: Some(serde_json::to_vec(body)), ..self }
    }

    /// The version that a client has read, for a route without a body.
    pub fn if_match(self, version: i64) -> Self {
        self.header(header::IF_MATCH, format!("\"{version}\""))
    }

    /// The proof that a guest's cart is the client's.
    pub fn cart_token(self, token: String) -> Self {
        self.header(CART_TOKEN, token)
    }

    /// Adds a fresh idempotency key if the client sent none. It protects from nothing, as on the compatibility routes.
    pub fn keyed(self) -> Self {
        if self.headers.contains_key(IDEMPOTENCY_KEY) {
            return self;
        }
        let fresh = self.caller.0.ids.next().to_string();
        self.header(IDEMPOTENCY_KEY, fresh)
    }

    /// A value that is no header value is left out: the service then refuses the call.
    fn header(mut self, name: HeaderName, value: String) -> Self {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sends the call and reads the body of its answer.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Fault> {
        let body = self.send().await?;
        serde_json::from_slice(&body).map_err(|error| Problem::internal(error).into())
    }

    /// Sends the call; true if it was done.
    pub async fn done(self) -> Result<bool, Fault> {
        self.send().await.map(|_body| true)
    }

    async fn send(self) -> Result<Bytes, Fault> {
        let Self { caller, route, path, query, mut headers, body } = self;
        caller.count()?;
        if let Some(limits) = &caller.0.limits {
            limits.count(route.class).await?;
        }
        let unowned = || Problem::internal(format!("no service owns {}", route.path));
        let service = agora_topology::owner(route.path).ok_or_else(unowned)?.name;
        let target = if query.is_empty() {
            path
        } else {
            format!("{path}?{}", Serializer::new(String::new()).extend_pairs(query).finish())
        };
        let target = PathAndQuery::try_from(target).map_err(Problem::internal)?;
        let method = Method::from_bytes(route.method.as_str().as_bytes()).map_err(Problem::internal)?;
        let body = match body {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Body::from(body.map_err(Problem::internal)?)
            }
            None => Body::empty(),
        };
        let call = Call { demand: (&route).into(), method, target, headers, body };
        let answer = caller.0.upstreams.send(service, call).await.map_err(Problem::from)?;
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(Problem::unavailable)?;
        if parts.status.is_success() { Ok(body) } else { Err(Fault::of_answer(parts.status, &parts.headers, &body)) }
    }
}
