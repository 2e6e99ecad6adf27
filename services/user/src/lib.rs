//! User service: registration, sessions and their tokens, profiles, addresses.
//!
//! This file wires the parts together; no other file depends on all of them.

mod cache;
mod clients;
mod config;
mod crypto;
pub mod domain;
mod http;
pub mod ports;
mod postgres;
pub mod service;
pub mod worker;

use std::sync::Arc;

use agora_chassis::{Ports, Process, Routers, settings};
use agora_redis::Redis;
use agora_web::TokenSettings;
use anyhow::Context as _;
use futures::future::BoxFuture;
use sqlx::migrate::Migrator;

pub use cache::RedisRevocations;
pub use clients::oidc::{OidcProvider, OidcSettings};
pub use config::{Config, FirstAdmin, Oidc};
pub use crypto::{Argon2Passwords, DerivedTokens, Issue, SignedTokens};
pub use http::routers;
pub use postgres::{PgRevocations, PgUsers};

use self::domain::GroupRoles;
use self::service::{AttemptLimits, RevocationPublisher, Staff, UserService};

/// Migrations of this service's tables, including the outbox.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Starts the service with the settings of the environment.
pub fn start(process: Process) -> BoxFuture<'static, anyhow::Result<(Ports, Routers)>> {
    Box::pin(async move { build(settings("user", Config::read)?, &process).await })
}

/// Starts database, outbox relay and background tasks, and returns the routers to serve.
pub async fn build(config: Config, process: &Process) -> anyhow::Result<(Ports, Routers)> {
    let Config {
        ports,
        postgres,
        kafka,
        epoch,
        signing_key,
        tokens,
        access_lifetime_s,
        internal_secret,
        oidc,
        first_admin,
    } = config;
    let db = agora_postgres::connect(&postgres, &MIGRATIONS, process).await;
    let store = Arc::new(PgUsers::new(db.clone(), process.ids(), epoch));
    let TokenSettings { keys, issuer, audience, redis } = tokens.clone();
    let redis = Redis::connect(&redis, process);
    let publisher = RevocationPublisher {
        store: Arc::new(PgRevocations::new(db.clone(), access_lifetime_s)),
        list: Arc::new(RedisRevocations(redis.clone())),
    };
    let sessions_ended = store.sessions_ended();
    let issue = Issue { issuer, audience, lifetime_s: access_lifetime_s };
    let verifier = tokens.verifier_with(redis, process);
    let service = UserService {
        users: store.clone(),
        control: store.clone(),
        resets: store.clone(),
        email_changes: store.clone(),
        personal_data: store.clone(),
        reset_tokens: Arc::new(DerivedTokens(internal_secret.clone())),
        staff: oidc.map(|oidc| staff(oidc, store.clone())).transpose()?,
        reset_requested: Arc::default(),
        sessions: store.clone(),
        addresses: store,
        passwords: Arc::new(Argon2Passwords::new().context("the parameters of argon2id")?),
        tokens: Arc::new(SignedTokens::new(signing_key, keys, issue, process.clock(), process.ids())),
        limits: Arc::new(AttemptLimits::new(process.clock())),
        ids: process.ids(),
    };
    let producer = agora_kafka::Producer::new(&kafka);
    agora_outbox::relay(db.clone(), producer, process);
    agora_outbox::sweep(db, process);
    worker::publish_revocations(publisher, sessions_ended, process);
    worker::start(&service, first_admin.map(|FirstAdmin { email, password }| (email, password)), process);
    Ok((ports, http::routers(service, verifier, internal_secret, process)))
}

/// Logins at the identity provider. It may be away: only such logins need it.
fn staff(oidc: Oidc, accounts: Arc<PgUsers>) -> anyhow::Result<Staff> {
    let Oidc { issuer_url, client_id, client_secret, redirect_url, groups_claim, roles, plain_http } = oidc;
    let roles = roles.parse::<GroupRoles>().context("OIDC_ROLES")?;
    let settings = OidcSettings { issuer_url, client_id, client_secret, redirect_url, groups_claim, roles, plain_http };
    let provider = OidcProvider::new(settings).context("the client of the identity provider")?;
    Ok(Staff { provider: Arc::new(provider), accounts })
}
