//! The gateway: routing, authentication, limits, headers, live events and compatibility routes.
//!
//! This file wires the parts together. The gateway has no database and no rules of its own: it forwards requests, rejects
//! early what a service would reject, and sends users their events.

mod clients;
mod config;
mod graphql;
mod http;
mod limits;
mod push;

use agora_chassis::{Ports, Process, Routers, ServerTls, TlsPort, settings};
use agora_redis::Redis;
use anyhow::Context as _;
use futures::future::BoxFuture;

pub use clients::upstream::{Call, Demand, Priority, SERVICE_ANSWER_BEGINS_MAX, UpstreamError, Upstreams};
pub use config::{Config, Documents, Introspection, LegacyAliases, Origins, Tls};
pub use graphql::{ListFault, PersistedDocuments, Settings as GraphQlSettings, sdl, sha256};
pub use http::{
    ANSWER_BEGINS_MAX, Front,
    compat::{Alias, Document, table},
    router,
};
pub use limits::{LimitLayer, RateLimits};
pub use push::Hub;

/// Starts the gateway with the settings of the environment.
pub fn start(process: Process) -> BoxFuture<'static, anyhow::Result<(Ports, Routers)>> {
    Box::pin(async move { build(settings("gateway", Config::read)?, &process) })
}

/// Starts the gateway; returns what to serve.
pub fn build(config: Config, process: &Process) -> anyhow::Result<(Ports, Routers)> {
    let Config {
        ports,
        tls,
        hsts,
        public_url,
        tokens,
        origins,
        legacy_aliases,
        introspection,
        documents,
        persisted_documents,
        rate_limits,
        trusted_proxies,
        kafka,
        upstreams,
    } = config;
    let upstreams = Upstreams::new(upstreams, process).context("the client of the services")?;
    let persisted = PersistedDocuments::open(persisted_documents).context("GRAPHQL_PERSISTED_DOCUMENTS_FILE")?;
    let graphql = GraphQlSettings { introspection, documents, persisted };
    // Without limits, Redis is asked for ended sessions alone.
    let redis = if rate_limits.is_some() { tokens.redis.clone() } else { tokens.redis.clone().with_one_connection() };
    let redis = Redis::connect(&redis, process);
    let limits = match rate_limits {
        Some(file) => RateLimits::follow(redis.clone(), file, process),
        None => RateLimits::none(),
    };
    let verifier = tokens.verifier_with(redis, process);
    let (hub, revoked) = (Hub::new(process.ids().as_ref(), process.clock()), verifier.clone());
    hub.supervise(move |session| revoked.has_ended(session), process);
    push::follow(hub.clone(), kafka, process);
    let limits = LimitLayer::new(limits, trusted_proxies);
    if let Some(Tls { port, files }) = tls {
        let tls = ServerTls::follow(files, process).context("TLS_CERTIFICATE_FILE and TLS_KEY_FILE")?;
        process.terminate_tls(TlsPort { number: port, tls, plain: http::to_tls(public_url) });
    }
    let front = Front { verifier, origins, hsts, legacy_aliases, graphql, limits, hub, process: process.clone() };
    Ok((ports, Routers { public: router(upstreams, front), internal: axum::Router::new() }))
}
