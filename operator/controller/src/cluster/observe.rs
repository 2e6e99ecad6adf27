//! Reads what a reconciliation decides by: the caches, the last inspections of the data servers, and the few Secrets that
//! no cache holds. Generates missing credentials in memory; writes nothing.

use std::collections::BTreeMap;

use kube::ResourceExt;
use time::OffsetDateTime;

use crate::cluster::Cluster;
use crate::cluster::credentials::{self, CredentialError};
use crate::cluster::writes;
use crate::decide::desired::is_owned;
use crate::decide::observed::{LastInspection, Observed, ReferencedSecret, secret_values};
use crate::decide::plan::Plan;
use crate::decide::purpose::Purposes;
use crate::kinds::Kind;
use crate::market::MarketRef;

#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error("cannot read the metadata of Secret {name}")]
    Secret { name: String, source: kube::Error },
    #[error("cannot read or generate the credentials")]
    Credentials(#[from] CredentialError),
}

pub struct Snapshot {
    pub observed: Observed,
    /// Whether a cache does not show an own write yet: the state has to be read again soon.
    pub cache_lags: bool,
}

pub async fn observe(
    cluster: &Cluster,
    market: &MarketRef,
    plan: &Plan,
    last: LastInspection,
    now: OffsetDateTime,
) -> Result<Snapshot, ObserveError> {
    let mut children = cluster.stores.children(market);
    let cache_lags = cluster.writes(market, |writes| writes::overlay(&mut children, writes));
    let mut referenced_secrets = BTreeMap::new();
    for (name, _) in plan.referenced_secrets() {
        let secret = referenced_secret(cluster, market, &name).await?;
        referenced_secrets.insert(name, secret);
    }
    // The values of an object that belongs to another owner are not used.
    children.0.retain(|_, object| is_owned(plan, &object.metadata));
    let credentials = credentials::credentials(&market.name, &children)?;
    let LastInspection { databases, topics, redis, services } = last;
    let observed = Observed { children, credentials, referenced_secrets, databases, topics, redis, services, now };
    Ok(Snapshot { observed, cache_lags })
}

/// Sends a request only for a Secret that is not in the cache: to learn whether it exists without the label. The request
/// is for metadata alone.
async fn referenced_secret(
    cluster: &Cluster,
    market: &MarketRef,
    name: &str,
) -> Result<ReferencedSecret, ObserveError> {
    if let Some(secret) = cluster.stores.usable_secret(&market.namespace, name) {
        return Ok(ReferencedSecret::Usable { values: secret_values(&secret), purposes: Purposes::of(&secret) });
    }
    let api = cluster.api(Kind::Secret, &market.namespace);
    let metadata = match api.get_metadata_opt(name).await {
        // The Role of the namespace is gone: so it is while the namespace is deleted.
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(ReferencedSecret::Forbidden),
        answer => answer.map_err(|source| ObserveError::Secret { name: name.to_owned(), source })?,
    };
    Ok(match metadata {
        None => ReferencedSecret::Missing,
        // The label was set a moment ago, and the cache does not show it yet.
        Some(secret) if secret.labels().get(agora_crd::USABLE).is_some_and(|value| value == "true") => {
            ReferencedSecret::Missing
        }
        Some(_) => ReferencedSecret::NotUsable,
    })
}
