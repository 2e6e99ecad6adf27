//! The one way in: routes, token check, limits, headers, the older documents' aliases.
//!
//! This file puts the parts together. The gateway has no database and decides nothing that a service decides: it passes
//! on, and refuses early what would be refused anyway.

mod aliases;
mod config;
mod front;
mod guard;
mod headers;
mod proxy;
mod upstream;

use std::{sync::Arc, time::Duration};

use agora_chassis::{Ports, Process, Routers, settings};
use agora_vocab::Ids;
use agora_web::{Edge, TokenVerifier};
use anyhow::Context as _;
use axum::{Router, middleware::from_fn};
use futures::future::BoxFuture;

pub use aliases::{Alias, Document, table};
pub use config::{Config, LegacyAliases, Origins};
pub use upstream::{UpstreamError, Upstreams};

/// Longest time until an answer begins: longer than the services' own limit, so that theirs is the one that shows.
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

/// What the gateway is besides the services behind it.
#[derive(Clone, Debug)]
pub struct Front {
    /// Checks access tokens.
    pub verifier: TokenVerifier,
    /// Origins whose pages may call.
    pub origins: Origins,
    /// Whether the older documents' paths exist.
    pub legacy_aliases: LegacyAliases,
    /// Fresh idempotency keys for aliases.
    pub ids: Arc<dyn Ids>,
}

/// Everything that the gateway answers, with every layer.
pub fn router(upstreams: Upstreams, front: Front) -> Router {
    let Front { verifier, origins, legacy_aliases, ids } = front;
    let aliases = match legacy_aliases {
        LegacyAliases::Enabled => aliases::router(upstreams.clone(), ids),
        LegacyAliases::Disabled => Router::new(),
    };
    let routes = Router::new().merge(front::router()).merge(proxy::router().with_state(upstreams)).merge(aliases);
    let guarded = routes.layer(from_fn(guard::check));
    let edge = Edge { verifier: Some(verifier), timeout: ANSWER_BEGINS_MAX, ..Edge::default() };
    headers::outermost(agora_web::public(guarded, edge), &origins)
}
