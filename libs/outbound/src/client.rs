//! HTTP client of one service: calls are bounded in time, retried where that is safe, and fail as refused or unavailable.
//!
//! Must not depend on routes or bodies.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agora_chassis::{BoxError, Dependency, Process, deadline, trace};
use agora_vocab::{Clock, Ids, UserId};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    breaker::{Breaker, Change},
    failure::{CallError, Failure, unexplained},
    retry::{self, RetryBudget},
    signer::InternalSigner,
    transport::{self, HttpClient, InvalidOrigin, Origin, TimeLimits, TransportError},
};

const INTERNAL_TOKEN: HeaderName = HeaderName::from_static("x-internal-token");
const COMMAND_ID: HeaderName = HeaderName::from_static("x-command-id");

/// Time until a connection is open.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Time limits of the calls to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Longest time of one try.
    pub try_max: Duration,
    /// Longest time of a call with all its tries and pauses.
    pub call_max: Duration,
}

impl CallLimits {
    /// For callees that answer from their own database.
    pub const DEFAULT: Self = Self { try_max: retry::TRY_MAX, call_max: retry::CALL_MAX };
}

/// A client of one service; clones share connections and breaker.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    subject: Option<UserId>,
}

#[derive(Debug)]
struct Shared {
    callee: &'static str,
    origin: Result<Origin, InvalidOrigin>,
    signer: InternalSigner,
    http: HttpClient,
    limits: CallLimits,
    breaker: Breaker,
    retries: RetryBudget,
    dependency: Dependency,
    process: Process,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

/// A call before its headers of one try.
struct Call<'a> {
    method: Method,
    path: &'a str,
    command: Option<Uuid>,
    body: Option<Bytes>,
}

/// An answer that is no failure.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
}

impl Answer {
    /// The body of a 2xx, which is what was asked for; 4xx is the callee's decision.
    fn accepted(&self) -> Result<&[u8], CallError> {
        if self.status.is_client_error() {
            let status = self.status.as_u16();
            let problem = serde_json::from_slice(&self.body).unwrap_or_else(|_| unexplained(self.status));
            return Err(CallError::Refused { status, problem: Box::new(problem), retry_after: self.retry_after });
        }
        Ok(&self.body)
    }
}

impl Client {
    /// A client of `callee` ("catalog") at `base_url` ("http://shop-catalog:4002"). A wrong address shows at the first
    /// call. If `callee` runs in the same process, calls go to its router and the address is not used.
    pub fn new(callee: &'static str, base_url: &str, signer: InternalSigner, process: &Process) -> Self {
        Self::with_limits(callee, base_url, signer, process, CallLimits::DEFAULT)
    }

    /// The same for a callee that needs more time than others, because it calls others itself.
    pub fn with_limits(
        callee: &'static str,
        base_url: &str,
        signer: InternalSigner,
        process: &Process,
        limits: CallLimits,
    ) -> Self {
        let CallLimits { try_max, .. } = limits;
        metrics::gauge!("outbound_breaker_open", "callee" => callee).set(0.0);
        let shared = Shared {
            callee,
            origin: Origin::parse(base_url),
            signer,
            http: HttpClient::new(TimeLimits { connect: CONNECT_MAX, silence: try_max, total: try_max }),
            limits,
            breaker: Breaker::default(),
            retries: RetryBudget::default(),
            dependency: process.dependency(callee),
            process: process.clone(),
            clock: process.clock(),
            ids: process.ids(),
        };
        Self { shared: Arc::new(shared), subject: None }
    }

    /// The same client, whose tokens name the user for whom it calls.
    #[must_use]
    pub fn for_user(&self, user: UserId) -> Self {
        Self { subject: Some(user), ..self.clone() }
    }

    /// Sends a command. The callee does it once for each `id`, however often it is sent.
    pub async fn command<Q, A>(&self, path: &str, id: Uuid, body: &Q) -> Result<A, CallError>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let body = Some(self.shared.written(body)?);
        self.call(&Call { method: Method::POST, path, command: Some(id), body }).await
    }

    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, CallError> {
        self.call(&Call { method: Method::GET, path, command: None, body: None }).await
    }

    /// Gets an answer of one JSON value a line (`application/x-ndjson`), at most 8 MiB.
    pub async fn get_lines<A: DeserializeOwned>(&self, path: &str) -> Result<Vec<A>, CallError> {
        let answer = self.answer(&Call { method: Method::GET, path, command: None, body: None }).await?;
        let body = answer.accepted()?;
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| self.shared.parsed(line)).collect()
    }

    /// Asks with a body; the callee must change nothing, as the call may be repeated.
    pub async fn post<Q, A>(&self, path: &str, body: &Q) -> Result<A, CallError>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let body = Some(self.shared.written(body)?);
        self.call(&Call { method: Method::POST, path, command: None, body }).await
    }

    async fn call<A: DeserializeOwned>(&self, call: &Call<'_>) -> Result<A, CallError> {
        let answer = self.answer(call).await?;
        let body = answer.accepted()?;
        self.shared.parsed(if body.is_empty() { b"null" } else { body })
    }

    async fn answer(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let shared = &self.shared;
        let call_max = deadline::left().map_or(shared.limits.call_max, |left| left.min(shared.limits.call_max));
        if call_max.is_zero() {
            shared.count("late");
            return Err(CallError::Unavailable(Failure::Late { callee: shared.callee }.into()));
        }
        shared.retries.deposit();
        let deadline = Instant::now() + call_max;
        // Else each layer would multiply the tries of the one above it.
        let retries = !deadline::caller_retries();
        let mut tries = 0;
        let failure = loop {
            tries += 1;
            let failure = match self.attempt(call, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let pause = (retries && failure.worth_another_try()).then(|| {
                let random = shared.ids.next().as_u64_pair().1;
                retry::pause(tries, left, failure.retry_after(), random)
            });
            let Some(Some(pause)) = pause else { break failure };
            if !shared.retries.withdraw() {
                metrics::counter!("outbound_retry_refused_total", "callee" => shared.callee).increment(1);
                break failure;
            }
            metrics::counter!("outbound_retry_total", "callee" => shared.callee).increment(1);
            tracing::debug!(callee = shared.callee, %failure, pause_ms = pause.as_millis(), "trying again");
            tokio::time::sleep(pause).await;
        };
        Err(CallError::Unavailable(failure.into()))
    }

    /// One try, reported to breaker and metrics.
    async fn attempt(&self, call: &Call<'_>, deadline: Instant) -> Result<Answer, Failure> {
        let shared = &self.shared;
        let started = Instant::now();
        if !shared.breaker.admits(started) {
            shared.count("open");
            return Err(Failure::Open { callee: shared.callee });
        }
        let wait = deadline.saturating_duration_since(started).min(shared.limits.try_max);
        let result = self.send(call, wait).await;
        shared.report(&result, started.elapsed(), wait);
        result
    }

    /// Waits for `wait` at most, and tells the callee so.
    async fn send(&self, call: &Call<'_>, wait: Duration) -> Result<Answer, Failure> {
        let shared = &*self.shared;
        let mut request = Request::new(call.body.clone().map_or_else(transport::empty, transport::full));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.path.parse::<Uri>().map_err(|error| shared.not_callable(error))?;
        *request.headers_mut() = self.headers(call)?;
        deadline::send(request.headers_mut(), wait);
        let response = if let Some(routers) = shared.process.routers_of(shared.callee) {
            transport::in_process(routers.internal, request.map(axum::body::Body::new), wait).await
        } else {
            let origin = shared.origin.as_ref().map_err(|error| shared.not_callable(*error))?;
            shared.http.send(origin, request, wait).await.map(|response| response.map(BodyExt::boxed_unsync))
        };
        let response = response.map_err(|error| shared.failed(error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        if !is_decision(status) {
            return Err(Failure::Status { callee: shared.callee, status: status.as_u16(), retry_after });
        }
        let body = shared.read(response.into_body()).await?;
        Ok(Answer { status, retry_after, body })
    }

    /// The headers of one try: the token is fresh each time.
    fn headers(&self, call: &Call<'_>) -> Result<HeaderMap, Failure> {
        let shared = &self.shared;
        let mut headers = HeaderMap::new();
        trace::inject(&mut headers);
        let token = shared.signer.token(shared.callee, self.subject, shared.clock.now());
        let token = HeaderValue::try_from(token.map_err(|error| shared.not_callable(error))?);
        let mut token = token.map_err(|error| shared.not_callable(error))?;
        token.set_sensitive(true);
        headers.insert(INTERNAL_TOKEN, token);
        if let Some(id) = call.command
            && let Ok(id) = HeaderValue::try_from(id.to_string())
        {
            headers.insert(COMMAND_ID, id);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(headers)
    }
}

impl Shared {
    fn written<Q: Serialize + ?Sized>(&self, body: &Q) -> Result<Bytes, CallError> {
        match serde_json::to_vec(body) {
            Ok(body) => Ok(body.into()),
            Err(error) => Err(CallError::Unavailable(self.not_callable(error).into())),
        }
    }

    fn not_callable(&self, source: impl Into<BoxError>) -> Failure {
        Failure::Request { callee: self.callee, source: source.into() }
    }

    fn failed(&self, source: TransportError) -> Failure {
        match source {
            source if source.is_of_the_request() => self.not_callable(source),
            source => Failure::Transport { callee: self.callee, source },
        }
    }

    /// The body, as far as it is within the limit.
    async fn read(&self, mut body: UnsyncBoxBody<Bytes, TransportError>) -> Result<Bytes, Failure> {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| self.failed(error))?.into_data() else { continue };
            if bytes.len() + data.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Body { callee: self.callee, source: None });
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    }

    fn parsed<A: DeserializeOwned>(&self, json: &[u8]) -> Result<A, CallError> {
        serde_json::from_slice(json)
            .map_err(|error| CallError::Unavailable(Failure::Body { callee: self.callee, source: Some(error) }.into()))
    }

    /// `wait` is how long the answer was waited for.
    fn report(&self, result: &Result<Answer, Failure>, took: Duration, wait: Duration) {
        let change = match result {
            Ok(answer) => {
                self.count(if answer.status.is_client_error() { "refused" } else { "ok" });
                self.breaker.succeeded()
            }
            // Neither a call that could not be made nor one that the callee had no time for says anything about the callee.
            Err(failure) if !failure.is_of_the_callee() || (failure.is_timeout() && wait < self.limits.try_max) => {
                return self.count(failure.label());
            }
            Err(failure) => {
                self.count(failure.label());
                self.breaker.failed(Instant::now())
            }
        };
        metrics::histogram!("outbound_request_duration_seconds", "callee" => self.callee).record(took.as_secs_f64());
        let open = match change {
            Change::None => return,
            Change::Opened => 1.0,
            Change::Closed => 0.0,
        };
        metrics::gauge!("outbound_breaker_open", "callee" => self.callee).set(open);
        match result {
            Ok(_) => self.dependency.up(),
            Err(failure) => self.dependency.down(failure.to_string()),
        }
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("outbound_request_total", "callee" => self.callee, "outcome" => outcome).increment(1);
    }
}

/// Whether the status is an answer of the callee's to what it was asked. Every other status says that it could not be asked:
/// it fails, redirects, does not accept the caller's token, or is not the version that the caller knows.
fn is_decision(status: StatusCode) -> bool {
    let undecided = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::UPGRADE_REQUIRED,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    !status.is_server_error() && !status.is_redirection() && !undecided.contains(&status)
}

/// `Retry-After` in seconds; our services send no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
