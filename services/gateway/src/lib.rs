//! The gateway: routing, authentication, limits, headers and compatibility routes.
//!
//! This file wires the parts together. The gateway has no database and no rules of its own: it forwards requests, and
//! rejects early what a service would reject.

mod clients;
mod config;
mod graphql;
mod http;

use agora_chassis::{Ports, Process, Routers, settings};
use anyhow::Context as _;
use futures::future::BoxFuture;

pub use clients::upstream::{Call, UpstreamError, Upstreams};
pub use config::{Config, Documents, Introspection, LegacyAliases, Origins};
pub use graphql::{ListFault, PersistedDocuments, Settings as GraphQlSettings, sdl, sha256};
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
    let Config { ports, tokens, origins, legacy_aliases, introspection, documents, persisted_documents, upstreams } =
        config;
    let upstreams = Upstreams::new(upstreams, process).context("the client of the services")?;
    let persisted = PersistedDocuments::open(persisted_documents).context("GRAPHQL_PERSISTED_DOCUMENTS_FILE")?;
    let graphql = GraphQlSettings { introspection, documents, persisted };
    let verifier = tokens.verifier(process);
    let front = Front { verifier, origins, legacy_aliases, graphql, process: process.clone() };
    Ok((ports, Routers { public: router(upstreams, front), internal: axum::Router::new() }))
}
