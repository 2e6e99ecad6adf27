//! Children that exist although no watch shows them: another client changed the labels by which the watches select. They are
//! read from the API server until their labels are repaired. Writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::core::DynamicObject;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::cluster::error_chain::error_chain;
use crate::decide::desired::is_owned_without_labels;
use crate::decide::observed::Children;
use crate::decide::plan::Plan;
use crate::kinds::ObjectKey;
use crate::market::MarketRef;

/// Time that the API server has for one child. Without an answer, the child counts as missing in this reconciliation.
const READ_MAX: Duration = Duration::from_secs(2);

/// The own children that this process has seen and that `shown` does not contain. Sends no request if there is none.
pub async fn hidden(
    cluster: &Cluster,
    market: &MarketRef,
    plan: &Plan,
    shown: &Children,
) -> BTreeMap<ObjectKey, Arc<DynamicObject>> {
    let missing: Vec<ObjectKey> = cluster.writes(market, |writes| {
        let seen = writes.iter().filter(|(_, last)| last.existed).map(|(key, _)| key);
        seen.filter(|key| shown.get(key).is_none()).cloned().collect()
    });
    let reads = missing.into_iter().map(async |key| {
        let live = read(cluster, market, plan, &key).await?;
        Some((key, live))
    });
    join_all(reads).await.into_iter().flatten().collect()
}

async fn read(cluster: &Cluster, market: &MarketRef, plan: &Plan, key: &ObjectKey) -> Option<Arc<DynamicObject>> {
    match timeout(READ_MAX, read_own(cluster, market, plan, key)).await {
        Ok(Ok(live)) => live.map(Arc::new),
        Ok(Err(error)) => {
            let (namespace, name, error) = (&market.namespace, &market.name, error_chain(&error));
            tracing::debug!(namespace, name, error, "cannot read {key}, which no watch shows");
            None
        }
        Err(_) => None,
    }
}

/// Reads first whose it is: the contents of another owner's object are not read.
async fn read_own(
    cluster: &Cluster,
    market: &MarketRef,
    plan: &Plan,
    key: &ObjectKey,
) -> Result<Option<DynamicObject>, kube::Error> {
    let api = cluster.api(key.kind, &market.namespace);
    let metadata = api.get_metadata_opt(&key.name).await?;
    if metadata.is_none_or(|live| !is_owned_without_labels(plan, &live.metadata)) {
        return Ok(None);
    }
    let mut live = api.get_opt(&key.name).await?;
    if let Some(live) = &mut live {
        live.metadata.managed_fields = None;
    }
    Ok(live)
}
