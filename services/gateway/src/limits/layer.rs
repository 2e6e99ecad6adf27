//! The layer that counts each request by its client and the class of its route. It lies inside the layer of the port, which
//! has checked the token, and around all routes.

use std::{
    convert::Infallible,
    mem,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use agora_api::{Route, RouteClass, gateway::routes::GRAPHQL};
use agora_web::{Identity, Problem};
use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use futures::future::BoxFuture;
use tower::{Layer, Service};

use super::{
    address::{client_of, limited},
    rate::{Client, RateLimits, Standing},
    settings::LimitKey,
};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Counts requests. The address of the client behind trusted proxies takes the place of that of the connection.
#[derive(Clone, Debug)]
pub struct LimitLayer {
    limits: RateLimits,
    trusted_proxies: u8,
}

/// Counts what a client makes the gateway call for one request, as if the client had called it. In the extensions of a
/// request of GraphQL.
#[derive(Clone, Debug)]
pub struct CallLimits {
    limits: RateLimits,
    client: Client,
}

impl CallLimits {
    /// Counts a call of a route of this class. Browsing is not counted: the request itself is.
    pub async fn count(&self, class: RouteClass) -> Result<(), Problem> {
        if class == RouteClass::Browsing {
            return Ok(());
        }
        match self.limits.take(class, self.client).await {
            Some(standing) if !standing.allowed => Err(refused(&standing)),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Limited<S> {
    inner: S,
    layer: LimitLayer,
}

impl LimitLayer {
    pub fn new(limits: RateLimits, trusted_proxies: u8) -> Self {
        Self { limits, trusted_proxies }
    }

    /// The client of a request, whose address is set to the client's.
    fn client(&self, request: &mut Request) -> Client {
        let user = request.extensions().get::<Identity>().map(|identity| identity.user);
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        let Some(peer) = peer else { return Client { address: None, user } };
        let address = client_of(request.headers(), peer.ip(), self.trusted_proxies);
        if address != peer.ip() {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, peer.port())));
        }
        Client { address: limited(address, self.trusted_proxies), user }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, layer: self.clone() }
    }
}

impl<S> Service<Request> for Limited<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let client = self.layer.client(&mut request);
        let route = request.extensions().get::<Route>().copied();
        if route == Some(GRAPHQL) {
            request.extensions_mut().insert(CallLimits { limits: self.layer.limits.clone(), client });
        }
        // A path that no route has is for browsing.
        let class = route.map_or(RouteClass::Browsing, |route| route.class);
        // The service that is ready is the one to call; the clone takes its place.
        let fresh = self.clone();
        let Self { mut inner, layer } = mem::replace(self, fresh);
        Box::pin(async move {
            let Some(standing) = layer.limits.take(class, client).await else { return inner.call(request).await };
            let mut response =
                if standing.allowed { inner.call(request).await? } else { refused(&standing).into_response() };
            show(&standing, response.headers_mut());
            Ok(response)
        })
    }
}

fn refused(standing: &Standing) -> Problem {
    let limit = standing.limit;
    let whose = match limit.key {
        LimitKey::Address => "address",
        LimitKey::User => "account",
    };
    let detail = format!("one {whose} may send {} {} requests a minute", limit.per_minute, limit.class.name());
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED").detail(detail).retry_after(seconds(standing.next_in))
}

/// Shows the client where it stands, before it is refused.
fn show(standing: &Standing, headers: &mut HeaderMap) {
    let limit = standing.limit;
    let numbers = [(LIMIT, limit.burst.get()), (REMAINING, standing.left), (RESET, seconds(standing.full_in()))];
    for (name, number) in numbers {
        headers.insert(name, HeaderValue::from(number));
    }
    if let Ok(policy) = HeaderValue::try_from(format!("{};w=60;burst={}", limit.per_minute, limit.burst)) {
        headers.insert(POLICY, policy);
    }
}

/// Whole seconds, rounded up: a client that waits for as long is not too early.
fn seconds(duration: Duration) -> u32 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(whole).unwrap_or(u32::MAX)
}
