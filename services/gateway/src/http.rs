//! HTTP API: the routes of the services, those of the gateway itself, compatibility routes, and the layers of the port.

pub mod compat;
mod fallbacks;
mod front;
mod headers;
mod proxy;

use std::{sync::Arc, time::Duration};

use agora_vocab::Ids;
use agora_web::{PortSettings, Routes, TokenVerifier};
use axum::Router;

use crate::{
    clients::upstream::Upstreams,
    config::{LegacyAliases, Origins},
};

/// Time-out until a response begins: longer than the services' own, so that their error reaches the client.
pub const ANSWER_BEGINS_MAX: Duration = Duration::from_secs(15);

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
        LegacyAliases::Enabled => compat::routes(upstreams.clone(), ids),
        LegacyAliases::Disabled => Routes::new(),
    };
    let routes = Routes::new().merge(front::routes()).merge(proxy::routes().with_state(upstreams)).merge(aliases);
    let settings = PortSettings {
        verifier: Some(verifier),
        timeout: ANSWER_BEGINS_MAX,
        follows_sampling: false,
        ..PortSettings::default()
    };
    let (inner, port) = agora_web::layered(routes, settings);
    // Responses of the port's layer need the headers of the others, errors and preflights included.
    inner.layer((headers::SecurityHeaders, headers::cors(&origins), port))
}
