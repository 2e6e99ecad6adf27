//! The execution of one request: limits, the persisted documents, time. Must not know any field of the schema.

use std::{fmt, sync::Arc, time::Duration};

use agora_chassis::Process;
use agora_vocab::Ids;
use async_graphql::{
    Extensions, Request, Response, ServerError, Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, OperationType},
    },
};
use axum::http::HeaderMap;
use futures::{
    StreamExt as _, future,
    stream::{self, BoxStream},
};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{
    caller::Caller,
    fault::{request_error, with_code},
    limits::{Excess, check_document, check_text},
    loaders::loader,
    persisted::{PersistedDocuments, sha256},
    schema::{ShopSchema, schema},
    subscriptions::Feed,
    types::{accounts::User, catalog::Product, orders::Order},
};
use crate::{
    clients::upstream::Upstreams,
    config::{Documents, Introspection},
    limits::CallLimits,
};

/// Time for a request: less than the gateway waits for an answer, so that the client learns what took too long.
const EXECUTION_TIME_MAX: Duration = Duration::from_secs(12);

/// Most errors of an answer.
const ERRORS_MAX: usize = 20;

/// What the schema says of an operation that costs more than its limit.
const TOO_COMPLEX: &str = "Query is too complex.";

/// What differs between installations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether clients may ask for the schema.
    pub introspection: Introspection,
    /// Which documents are executed.
    pub documents: Documents,
    pub persisted: PersistedDocuments,
}

/// The API. Clones share the schema.
#[derive(Clone)]
pub struct GraphQl(Arc<Inner>);

struct Inner {
    schema: ShopSchema,
    settings: Settings,
    upstreams: Upstreams,
    ids: Arc<dyn Ids>,
    process: Process,
}

/// What a client wants to be executed.
#[derive(Debug, Default)]
pub struct Operation {
    /// The document, unless it is named by `hash` alone.
    pub query: Option<String>,
    /// The operation of the document; may be absent if it has only one.
    pub name: Option<String>,
    pub variables: Map<String, Value>,
    /// The SHA-256 of the document, in hexadecimal.
    pub hash: Option<String>,
}

/// The outcome of a request.
#[derive(Debug)]
pub enum Executed {
    /// Data, and errors of single fields.
    Answered(Response),
    /// Nothing was executed.
    Refused(Vec<ServerError>),
    /// It was not finished in time; changes may have been made.
    TimedOut(ServerError),
}

/// Not the schema, which is long.
impl fmt::Debug for GraphQl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphQl").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl GraphQl {
    pub fn new(settings: Settings, upstreams: Upstreams, process: Process) -> Self {
        let ids = process.ids();
        Self(Arc::new(Inner { schema: schema(), settings, upstreams, ids, process }))
    }

    /// Executes an operation. `headers`: those that the gateway would send to a service with this request. `limits` count
    /// its calls of services.
    pub async fn execute(&self, operation: Operation, headers: &HeaderMap, limits: Option<CallLimits>) -> Executed {
        let request = match self.request(operation, headers, limits) {
            Ok(request) => request,
            Err(error) => return refused(vec![error]),
        };
        match timeout(EXECUTION_TIME_MAX, self.0.schema.execute(request)).await {
            Ok(response) => executed(response),
            Err(_) => Executed::TimedOut(request_error("TIMEOUT", "the request took too long: ask for less at once")),
        }
    }

    fn request(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        limits: Option<CallLimits>,
    ) -> Result<Request, ServerError> {
        let Operation { query, name, variables, hash } = operation;
        let (text, document) = self.read(query, hash)?;
        let Inner { upstreams, ids, process, .. } = &*self.0;
        let caller = Caller::new(upstreams.clone(), ids.clone(), headers, limits);
        let products = loader::<Product>(caller.clone(), process.clone());
        let orders = loader::<Order>(caller.clone(), process.clone());
        let users = loader::<User>(caller.clone(), process.clone());
        let request = Request::new(text).variables(Variables::from_json(variables.into()));
        let mut request = request.data(caller).data(products).data(orders).data(users);
        request.operation_name = name;
        request.set_parsed_query(document);
        Ok(request)
    }

    /// Executes what a client sends over a connection: its answers, one for each event of the feed that it asks for.
    pub fn subscribe(&self, sent: Request, feed: Feed) -> BoxStream<'static, Response> {
        match self.subscription(sent, feed) {
            Ok(request) => self.0.schema.execute_stream(request).map(answered).boxed(),
            Err(error) => stream::once(future::ready(Response::from_errors(vec![error]))).boxed(),
        }
    }

    fn subscription(&self, sent: Request, feed: Feed) -> Result<Request, ServerError> {
        let Request { query, operation_name, variables, extensions, .. } = sent;
        let (text, document) = self.read(Some(query).filter(|query| !query.is_empty()), hash_in(&extensions))?;
        let mut operations = document.operations.iter();
        if !operations.all(|(_name, operation)| operation.node.ty == OperationType::Subscription) {
            return Err(request_error("NOT_A_SUBSCRIPTION", "send queries and changes with POST /graphql"));
        }
        let mut request = Request::new(text).variables(variables).data(feed);
        request.operation_name = operation_name;
        request.set_parsed_query(document);
        Ok(request)
    }

    /// The document, with its text, if it may be validated.
    fn read(&self, query: Option<String>, hash: Option<String>) -> Result<(String, ExecutableDocument), ServerError> {
        let text = self.document(query, hash)?;
        let excess = |excess: Excess| request_error(excess.code(), excess.to_string());
        check_text(&text).map_err(excess)?;
        let document = parse_query(&text).map_err(|error| with_code(error.into(), "INVALID_QUERY"))?;
        let introspection = self.0.settings.introspection == Introspection::Enabled;
        check_document(&document, introspection).map_err(excess)?;
        Ok((text, document))
    }

    /// The document itself, or the one with the hash, as far as the settings allow it.
    fn document(&self, query: Option<String>, hash: Option<String>) -> Result<String, ServerError> {
        let Settings { documents, persisted, .. } = &self.0.settings;
        let listed = |hash: &str| persisted.find(hash).map(|document| document.as_ref().to_owned());
        match (query, hash) {
            (Some(query), Some(hash)) if !hash.eq_ignore_ascii_case(&sha256(&query)) => Err(request_error(
                "PERSISTED_QUERY_HASH_MISMATCH",
                "extensions.persistedQuery.sha256Hash is not the SHA-256 of the document",
            )),
            (Some(query), _) if *documents == Documents::Any => Ok(query),
            (Some(query), hash) => listed(&hash.unwrap_or_else(|| sha256(&query))).ok_or_else(|| {
                request_error("PERSISTED_QUERY_REQUIRED", "only documents that this shop has in its list are executed")
            }),
            (None, Some(hash)) => listed(&hash).ok_or_else(|| {
                request_error("PERSISTED_QUERY_NOT_FOUND", "no document has this hash: send the document itself")
            }),
            (None, None) => Err(request_error("INVALID_REQUEST", "query is required")),
        }
    }
}

/// An answer, or the reasons why nothing was executed: these have no path, and there is no data.
fn executed(mut response: Response) -> Executed {
    let errors = std::mem::take(&mut response.errors);
    let is_refused = !errors.is_empty() && errors.iter().all(|error| error.path.is_empty());
    if is_refused && response.data == async_graphql::Value::Null {
        return refused(errors.into_iter().map(of_validation).collect());
    }
    // An error without a code is of the value of an argument: the other ones are problems of services.
    response.errors = errors.into_iter().take(ERRORS_MAX).map(|error| with_code(error, "INVALID_ARGUMENT")).collect();
    Executed::Answered(response)
}

/// An answer to a subscription. Its fields are of the event, so that an error is one of the document.
fn answered(mut response: Response) -> Response {
    response.errors = response.errors.into_iter().take(ERRORS_MAX).map(of_validation).collect();
    response
}

/// The hash of a persisted document, where Apollo clients send it.
fn hash_in(extensions: &Extensions) -> Option<String> {
    let query = extensions.0.get("persistedQuery")?.clone().into_json().ok()?;
    query["sha256Hash"].as_str().map(str::to_owned)
}

/// The error of a document that the schema refuses.
fn of_validation(error: ServerError) -> ServerError {
    let code = if error.message == TOO_COMPLEX { "QUERY_TOO_COMPLEX" } else { "INVALID_QUERY" };
    with_code(error, code)
}

fn refused(mut errors: Vec<ServerError>) -> Executed {
    errors.truncate(ERRORS_MAX);
    for error in &errors {
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        tracing::debug!(code = ?code, "a GraphQL request was refused");
    }
    metrics::counter!("graphql_refused_total").increment(1);
    Executed::Refused(errors)
}
