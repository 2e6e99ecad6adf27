//! The gateway: routing, authentication, limits, headers and compatibility routes.
//!
//! This file wires the parts together. The gateway has no database and no rules of its own: it forwards requests, and
//! rejects early what a service would reject.

mod auth_layer;
mod compat;
mod config;
mod front;
mod headers;
mod proxy;
mod upstream;

use std::{sync::Arc, time::Duration};

use agora_chassis::{Ports, Process, Routers, settings};
use agora_vocab::Ids;
use agora_web::{HttpLimits, TokenVerifier};
use anyhow::Context as _;
use axum::Router;
use futures::future::BoxFuture;

pub use compat::{Alias, Document, table};
pub use config::{Config, LegacyAliases, Origins};
pub use upstream::{UpstreamError, Upstreams};

/// Time-out until a response begins: longer than the services' own, so that their error reaches the client.
const ANSWER_BEGINS_MAX: Duration = Duration::from_secs(15);

/// Starts the gateway with the settings of the environment.
pub fn start(process: Process) -> BoxFuture<'static, anyhow::Result<(Ports, Routers)>> {
    Box::pin(async move { build(settings("gateway", Config::read)?, &process) })
}

/// Starts the gateway; returns what to serve.
pub fn build(config: Config, process: &Process) -> anyhow::Result<(Ports, Routers)> {
    let Config { ports, tokens, origins, legacy_aliases, upstreams } = config;
    let upstreams = Upstreams::new(upstreams, process).context("the client of the services")?;
    let front = Front { verifier: tokens.verifier(process), origins, legacy_aliases, ids: process.ids() };
    Ok((ports, Routers { public: router(upstreams, front), internal: Router::new() }))
}

/// Settings of the router besides the services.
#[derive(Clone, Debug)]
pub struct Front {
    /// Verifies access tokens.
    pub verifier: TokenVerifier,
    /// Allowed CORS origins.
    pub origins: Origins,
    /// Whether compatibility routes are served.
    pub legacy_aliases: LegacyAliases,
    /// Generates idempotency keys for compatibility routes.
    pub ids: Arc<dyn Ids>,
}

/// The whole router with all layers.
pub fn router(upstreams: Upstreams, front: Front) -> Router {
    let Front { verifier, origins, legacy_aliases, ids } = front;
    let aliases = match legacy_aliases {
        LegacyAliases::Enabled => compat::router(upstreams.clone(), ids),
        LegacyAliases::Disabled => Router::new(),
    };
    let routes = Router::new().merge(front::router()).merge(proxy::router().with_state(upstreams)).merge(aliases);
    let limits = HttpLimits {
        verifier: Some(verifier),
        token_rule: auth_layer::token_rule,
        timeout: ANSWER_BEGINS_MAX,
        ..HttpLimits::default()
    };
    // Responses of the port's layer need the headers of the others, errors and preflights included.
    routes.layer((headers::SecurityHeaders, headers::cors(&origins), agora_web::port_layer(limits)))
}
