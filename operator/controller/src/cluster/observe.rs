//! Reads what a reconciliation decides by: the caches, the last inspections of the data servers, and the few Secrets and
//! children that no cache holds. Generates missing credentials in memory; writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use kube::ResourceExt;
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::cluster::credentials::{self, CredentialError};
use crate::cluster::error_chain::error_chain;
use crate::cluster::hidden::hidden;
use crate::cluster::refusals::refusals;
use crate::cluster::writes;
use crate::decide::credentials::{JWKS, RETIRED_KEYS, SIGNING_KEYS, jwks_name, signing_secret};
use crate::decide::desired::is_owned;
use crate::decide::observed::{LastInspection, Observed, ReferencedSecret, secret_values};
use crate::decide::plan::Plan;
use crate::decide::purpose::Purposes;
use crate::kinds::Kind;
use crate::market::MarketRef;

/// Time that the API server has for the metadata of a Secret. Without an answer, the rest is reconciled.
const SECRET_READ_MAX: Duration = Duration::from_secs(2);
/// Time that a lost signing key stays published besides the lifetime of a token: the user service may sign with it until the new
/// one has reached every service, and clocks differ.
const RETIRED_KEY: time::Duration = time::Duration::minutes(5);

#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
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
    // The values of an object that belongs to another owner are not used.
    children.0.retain(|_, object| is_owned(plan, &object.metadata));
    let cache_lags = cluster.writes(market, |writes| writes::overlay(&mut children, writes));
    let hidden = hidden(cluster, market, plan, &children).await;
    children.0.extend(hidden);
    let names: BTreeSet<String> = plan.referenced_secrets().into_iter().map(|(name, _)| name).collect();
    let read = names.into_iter().map(async |name| {
        let secret = referenced_secret(cluster, market, &name).await;
        (name, secret)
    });
    let referenced_secrets = join_all(read).await.into_iter().collect();
    let mut credentials = credentials::credentials(&market.name, &children)?;
    credentials::rotate(&mut credentials, &market.name, now, plan.key_rotation)?;
    if let Ok(keys) = &mut credentials.signing {
        let stored = children.secret(&signing_secret(&market.name));
        let stored = stored.is_some_and(|values| SIGNING_KEYS.iter().all(|key| values.contains_key(*key)));
        let keep = RETIRED_KEY + time::Duration::seconds(plan.access_token_lifetime_seconds.into());
        let earlier = children.config_map(&jwks_name(&market.name));
        let earlier = earlier.as_ref().map(|data| (text(data, JWKS), text(data, RETIRED_KEYS)));
        keys.published = cluster.published(market, |published| {
            published.restore(earlier, now);
            published.publish(&keys.published.jwks, stored, now, keep)
        });
    }
    let LastInspection { databases, topics, redis, services } = last;
    let refusals = refusals(cluster, market, &children, now).await;
    let observed =
        Observed { children, credentials, referenced_secrets, databases, topics, redis, services, refusals, now };
    Ok(Snapshot { observed, cache_lags })
}

fn text<'a>(data: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    data.get(key).map(String::as_str).unwrap_or_default()
}

/// Sends a request only for a Secret that is not in the cache: to learn whether it exists without the label. The request
/// is for metadata alone. An error is part of what was observed: it must not stop what does not need the Secret.
async fn referenced_secret(cluster: &Cluster, market: &MarketRef, name: &str) -> ReferencedSecret {
    if let Some(secret) = cluster.stores.usable_secret(&market.namespace, name) {
        return ReferencedSecret::Usable { values: secret_values(&secret), purposes: Purposes::of(&secret) };
    }
    let api = cluster.api(Kind::Secret, &market.namespace);
    let Ok(answer) = timeout(SECRET_READ_MAX, api.get_metadata_opt(name)).await else {
        return ReferencedSecret::Unread(format!("no answer in {} s", SECRET_READ_MAX.as_secs()));
    };
    match answer {
        // The Role of the namespace is gone: so it is while the namespace is deleted.
        Err(kube::Error::Api(status)) if status.code == 403 => ReferencedSecret::Forbidden,
        Err(error) => ReferencedSecret::Unread(error_chain(&error)),
        Ok(None) => ReferencedSecret::Missing,
        // The label was set a moment ago, and the cache does not show it yet.
        Ok(Some(secret)) if secret.labels().get(agora_crd::USABLE).is_some_and(|value| value == "true") => {
            ReferencedSecret::Missing
        }
        Ok(Some(_)) => ReferencedSecret::NotUsable,
    }
}
