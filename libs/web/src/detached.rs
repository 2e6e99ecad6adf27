//! Work of requests that goes on when its client has left or its port has answered.
//!
//! A change that claims a key, moves a cart or charges a card must not stop halfway because a connection ends. It runs in a
//! task of its own: bounded in number and time, and waited for at shutdown. A repetition with the same key finds its outcome.

use std::{convert::Infallible, sync::Arc, time::Duration};

use agora_api::{Method, Policy, Route};
use agora_chassis::{
    Process,
    deadline::{self, Deadline},
    trace,
};
use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use tokio::sync::{Semaphore, oneshot};
use tower::Service;

use crate::{
    body::{self, BodyFault},
    problem::Problem,
    stack::{BodyLimits, STREAM_TIMEOUT, call, too_slow},
};

/// Time after which detached work is dropped. Longer than the calls to other services that one request makes.
pub const WORK_TIME_MAX: Duration = Duration::from_secs(20);
/// Requests of one port whose work runs at once; others wait for their turn within the time limit of the port.
const WORKS_MAX: usize = 512;

/// Runs the work of requests in tasks that the process tracks.
#[derive(Clone, Debug)]
pub struct DetachedWork {
    process: Process,
    permits: Arc<Semaphore>,
}

impl DetachedWork {
    pub(crate) fn new(process: &Process) -> Self {
        Self { process: process.clone(), permits: Arc::new(Semaphore::new(WORKS_MAX)) }
    }

    /// Serves a request whose body is read first, so that the work does not depend on the connection.
    pub(crate) async fn serve<S>(&self, inner: S, request: Request, limits: BodyLimits) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let (parts, body) = request.into_parts();
        let body = body::limited(body, limits.bytes_max, limits.time_max);
        let body = match axum::body::to_bytes(body, limits.bytes_max).await {
            Ok(body) => body,
            Err(error) => return Problem::from(BodyFault::of(&error)).into_response(),
        };
        let request = Request::from_parts(parts, Body::from(body));
        let response = self.run(call(inner, request, limits), WORK_TIME_MAX).await;
        response.unwrap_or_else(|| too_slow().into_response())
    }

    /// Serves a request whose body is too large to be read first. The work goes on when the client has left, and finds the end
    /// of the body then.
    pub(crate) async fn serve_stream<S>(&self, inner: S, request: Request, limits: BodyLimits) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let response = self.run(call(inner, request, limits), STREAM_TIMEOUT).await;
        response.unwrap_or_else(|| too_slow().into_response())
    }

    /// Runs `work` to its end, also if the caller is dropped. `None` if it takes longer than `max`.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static, max: Duration) -> Option<T> {
        let permit = self.permits.clone().acquire_owned().await.ok()?;
        // Work that begins runs to its end; that of a caller that has stopped waiting is not begun.
        if deadline::left().is_some_and(|left| left.is_zero()) {
            return None;
        }
        let limit = Deadline::after(max, deadline::caller_retries());
        let (sender, result) = oneshot::channel();
        let bounded = async move {
            let ended = tokio::time::timeout(max, limit.within(work)).await;
            drop(permit);
            if let Ok(result) = ended {
                // Nobody receives the result of a request whose client has left.
                drop(sender.send(result));
            } else {
                tracing::warn!("the work of a request took too long and was dropped");
            }
        };
        self.process.track(trace::carried(bounded));
        result.await.ok()
    }
}

/// Whether the work of a route goes on without its client: changes on behalf of a user or a service do. Reads have no effect,
/// and what anybody can ask for is not worth finishing for a client that has left.
pub(crate) fn is_detached(route: &Route) -> bool {
    let known = matches!(route.policy, Policy::User | Policy::Role(_) | Policy::Service(_));
    known && route.method != Method::Get
}
