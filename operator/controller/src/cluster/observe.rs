//! Reads everything that a reconcile decides by: caches, what was last seen outside, and the few Secrets that no cache
//! holds. Draws credentials that have no Secret yet, in memory alone.

use std::collections::BTreeMap;

use kube::ResourceExt;
use time::OffsetDateTime;

use crate::cluster::Cluster;
use crate::cluster::credentials::{self, CredentialError};
use crate::cluster::written;
use crate::decide::observed::{Named, Observed, Seen, secret_values};
use crate::decide::plan::Plan;
use crate::kinds::Kind;
use crate::market::MarketRef;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The API server did not say whether a Secret exists.
    #[error("asking for Secret {name}")]
    Secret {
        /// Its name.
        name: String,
        /// What the client said.
        source: kube::Error,
    },
    /// Credentials could be neither read nor drawn.
    #[error("reading the credentials")]
    Credentials(#[from] CredentialError),
}

/// What was read, and whether a cache lags behind own writes: then it has to be read again soon.
pub struct Observation {
    /// What was read.
    pub observed: Observed,
    /// Whether a cache lags.
    pub lags: bool,
}

/// Reads everything.
pub async fn observe(
    cluster: &Cluster,
    market: &MarketRef,
    plan: &Plan,
    seen: Seen,
    now: OffsetDateTime,
) -> Result<Observation, ObserveError> {
    let mut children = cluster.stores.children(market);
    let lags = cluster.written(market, |written| written::overlay(&mut children, written));
    let mut named = BTreeMap::new();
    for name in plan.named_secrets() {
        let found = named_secret(cluster, market, &name).await?;
        named.insert(name, found);
    }
    let credentials = credentials::credentials(&market.name, &children)?;
    let Seen { databases, topics, redis } = seen;
    Ok(Observation { observed: Observed { children, credentials, named, databases, topics, redis, now }, lags })
}

/// From the cache; only of a Secret that is not there it is asked whether it exists without the label, and then of its
/// metadata alone.
async fn named_secret(cluster: &Cluster, market: &MarketRef, name: &str) -> Result<Named, ObserveError> {
    if let Some(secret) = cluster.stores.usable(&market.namespace, name) {
        return Ok(Named::Usable(secret_values(&secret)));
    }
    let api = cluster.api(Kind::Secret, &market.namespace);
    let found = api.get_metadata_opt(name).await;
    let found = found.map_err(|source| ObserveError::Secret { name: name.to_owned(), source })?;
    Ok(match found {
        None => Named::Missing,
        Some(secret) if secret.labels().get(agora_crd::USABLE).is_some_and(|value| value == "true") => Named::Missing,
        Some(_) => Named::NotUsable,
    })
}
