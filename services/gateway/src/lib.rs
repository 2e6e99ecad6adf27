//! The gateway: routing, authentication, limits, headers and compatibility routes.
//!
//! This file wires the parts together. The gateway has no database and no rules of its own: it forwards requests, and
//! rejects early what a service would reject.

mod clients;
mod config;
mod http;

use agora_chassis::{Ports, Process, Routers, settings};
use anyhow::Context as _;
use futures::future::BoxFuture;

pub use clients::upstream::{Call, SERVICE_ANSWER_BEGINS_MAX, UpstreamError, Upstreams};
pub use config::{Config, LegacyAliases, Origins};
pub use http::{
    ANSWER_BEGINS_MAX, Front,
    compat::{Alias, Document, table},
    router,
};

/// Starts the gateway with the settings of the environment.
pub fn start(process: Process) -> BoxFuture<'static, anyhow::Result<(Ports, Routers)>> {
    Box::pin(async move { build(settings("gateway", Config::read)?, &process) })
}

/// Starts the gateway; returns what to serve.
pub fn build(config: Config, process: &Process) -> anyhow::Result<(Ports, Routers)> {
    let Config { ports, tokens, origins, legacy_aliases, upstreams } = config;
    let upstreams = Upstreams::new(upstreams, process).context("the client of the services")?;
    let front = Front { verifier: tokens.verifier(process), origins, legacy_aliases, ids: process.ids() };
    Ok((ports, Routers { public: router(upstreams, front), internal: axum::Router::new() }))
}
