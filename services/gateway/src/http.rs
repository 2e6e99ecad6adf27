//! HTTP API: the routes of the services, those of the gateway itself, compatibility routes, and the layers of the port.

pub mod compat;
mod content_policy;
mod front;
mod graphql;
mod headers;
mod proxy;

use std::{sync::Arc, time::Duration};

use agora_chassis::Process;
use agora_web::{AccessLog, PortSettings, Routes, TokenVerifier};
use axum::Router;

use crate::{
    clients::upstream::Upstreams,
    config::{LegacyAliases, Origins},
    graphql::{GraphQl, Settings},
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
    /// Whether compatibility routes are served.
    pub legacy_aliases: LegacyAliases,
    /// Settings of the GraphQL API.
    pub graphql: Settings,
    /// Generates idempotency keys for compatibility routes, and runs the calls of the GraphQL API.
    pub process: Process,
}

/// The whole router with all layers.
pub fn router(upstreams: Upstreams, front: Front) -> Router {
    let Front { verifier, origins, legacy_aliases, graphql, process } = front;
    let aliases = match legacy_aliases {
        LegacyAliases::Enabled => compat::routes(upstreams.clone(), process.ids()),
        LegacyAliases::Disabled => Routes::new(),
    };
    let graphql = graphql::routes(GraphQl::new(graphql, upstreams.clone(), process));
    let proxy = proxy::routes().with_state(upstreams);
    let routes = Routes::new().merge(front::routes()).merge(proxy).merge(graphql).merge(aliases);
    let settings = PortSettings {
        verifier: Some(verifier),
        timeout: ANSWER_BEGINS_MAX,
        edge: Some(Arc::new(AccessLog::new(READS_LOGGED_ONE_IN))),
        ..PortSettings::default()
    };
    let (inner, port) = agora_web::layered(routes, settings);
    // Responses of the port's layer need the headers of the others, errors and preflights included.
    inner.layer((headers::SecurityHeaders, headers::cors(&origins), port))
}
