//! HTTP API: the routes of the services, those of the gateway itself, compatibility routes, and the layers of the port.

pub mod compat;
mod compression;
mod content_policy;
mod documents;
mod fallbacks;
mod front;
mod graphql;
mod graphql_socket;
mod headers;
mod proxy;
mod redirect;
mod streams;
mod web_socket;

use std::{sync::Arc, time::Duration};

use agora_chassis::Process;
use agora_web::{AccessLog, PortSettings, Routes, TokenVerifier};
use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
};
use tower::util::MapRequestLayer;
use tower_http::set_header::SetResponseHeaderLayer;

pub use redirect::to_tls;

use crate::{
    clients::upstream::Upstreams,
    config::{LegacyAliases, Origins},
    graphql::{GraphQl, Settings},
    limits::LimitLayer,
    push::Hub,
};

/// Time-out until a response begins: longer than the services' own, so that their error reaches the client.
pub const ANSWER_BEGINS_MAX: Duration = Duration::from_secs(15);

/// Of so many reads that succeed, one is in the access log; everything else is in it.
const READS_LOGGED_ONE_IN: u32 = 100;

/// Settings of the router besides the services.
#[derive(Clone, Debug)]
pub struct Front {
    /// Verifies access tokens.
    pub verifier: TokenVerifier,
    /// Allowed CORS origins.
    pub origins: Origins,
    /// `Strict-Transport-Security` of every response; `None`: there is none.
    pub hsts: Option<HeaderValue>,
    /// Whether compatibility routes are served.
    pub legacy_aliases: LegacyAliases,
    /// Settings of the GraphQL API.
    pub graphql: Settings,
    /// Counts requests.
    pub limits: LimitLayer,
    /// The streams of users.
    pub hub: Hub,
    /// Generates idempotency keys for compatibility routes, runs the calls of the GraphQL API, and tracks open streams.
    pub process: Process,
}

/// The whole router with all layers.
pub fn router(upstreams: Upstreams, front: Front) -> Router {
    let Front { verifier, origins, hsts, legacy_aliases, graphql, limits, hub, process } = front;
    let aliases = match legacy_aliases {
        LegacyAliases::Enabled => compat::routes(upstreams.clone(), process.ids()),
        LegacyAliases::Disabled => Routes::new(),
    };
    let cors = headers::cors(&origins);
    let graphql = GraphQl::new(graphql, upstreams.clone(), process.clone());
    let graphql = graphql::routes(graphql, hub.clone(), origins.clone(), process.clone());
    let own = front::routes().merge(documents::routes()).merge(streams::routes(hub, origins, process)).merge(graphql);
    let routes = own.merge(proxy::routes().with_state(upstreams)).merge(aliases);
    let settings = PortSettings {
        verifier: Some(verifier),
        timeout: ANSWER_BEGINS_MAX,
        edge: Some(Arc::new(AccessLog::new(READS_LOGGED_ONE_IN))),
        shows_route: true,
        ..PortSettings::default()
    };
    let (inner, port) = agora_web::layered(routes, settings);
    let token_of_protocol = MapRequestLayer::new(streams::token_of_protocol as fn(Request) -> Request);
    // Responses of the port's layer need the headers of the others, errors and preflights included. Requests are counted
    // once the port knows whose they are.
    let hsts = SetResponseHeaderLayer::overriding(header::STRICT_TRANSPORT_SECURITY, hsts);
    inner.layer((headers::SecurityHeaders, hsts, cors, token_of_protocol, port, limits))
}
