//! Why Jobs have no pods, from the events of the Job controller: it reports nowhere else that the API server refuses its pods.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::decide::observed::Children;
use crate::decide::status::jobs_without_pods;
use crate::market::MarketRef;

/// Time that the API server has for the events of one Job.
const READ_MAX: Duration = Duration::from_secs(2);
/// The API server merges repetitions, so that one Job has few events.
const EVENTS_MAX: u32 = 50;

/// The latest refusal of each Job that has no pod. What cannot be read is left out: the status then says only that there is no
/// pod.
pub async fn refusals(
    cluster: &Cluster,
    market: &MarketRef,
    children: &Children,
    now: OffsetDateTime,
) -> BTreeMap<String, String> {
    let read = jobs_without_pods(children, now).into_iter().map(async |job| {
        let refusal = refusal(cluster, market, &job.uid).await;
        refusal.map(|refusal| (job.name, refusal))
    });
    join_all(read).await.into_iter().flatten().collect()
}

async fn refusal(cluster: &Cluster, market: &MarketRef, uid: &str) -> Option<String> {
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), &market.namespace);
    let of_job = ListParams::default().fields(&format!("regarding.uid={uid},reason=FailedCreate")).limit(EVENTS_MAX);
    let events = match timeout(READ_MAX, events.list(&of_job)).await {
        Ok(Ok(events)) => events.items,
        Ok(Err(error)) => {
            tracing::debug!(namespace = market.namespace, name = market.name, %error, "cannot read the events of a Job");
            return None;
        }
        Err(_) => return None,
    };
    events.into_iter().max_by_key(last_seen).and_then(|event| event.note)
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let single = event.event_time.as_ref().map(|time| time.0);
    series.or_else(|| event.deprecated_last_timestamp.as_ref().map(|time| time.0)).or(single)
}
