//! Background worker: ends expired holds, deletes old ones, renames the products of renamed terms, and starts
//! promotions. Contains no rule about them.

use std::time::Duration;

use agora_chassis::{FlagSwitch, Pauses, chain};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{domain::Campaign, service::CatalogService};

/// First and longest pause between two searches for expired holds.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// Interval between two deletions of old holds.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Ends expired holds, renames products and starts promotions every few seconds, and deletes old holds and imports every hour, until shutdown. Any number of
/// replicas may run it: row locks ensure that one of them processes each hold and each term. While `promotes` is off, no promotion
/// starts.
pub async fn run(
    service: CatalogService,
    (campaign, promotes): (Option<Campaign>, FlagSwitch),
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut pauses = Pauses::new(PAUSE_MIN, PAUSE_MAX);
    let mut sweep_at = Instant::now() + SWEEP_INTERVAL;
    loop {
        service.flush_cache().await;
        match service.expire().await {
            Ok(ended) => {
                if ended > 0 {
                    pauses.reset();
                }
                metrics::counter!("hold_expired_total").increment(u64::from(ended));
            }
            // The health endpoint already reports an unavailable database; the next search retries.
            Err(error) => {
                tracing::warn!(error = chain(&error), "could not end expired holds; retrying after a pause");
            }
        }
        if let Err(error) = service.rename_products().await {
            tracing::warn!(
                error = chain(&error),
                "could not rename the products of a renamed term; retrying after a pause"
            );
        }
        if let Some(campaign) = &campaign
            && promotes.is_on()
        {
            promote(&service, campaign).await;
        }
        if Instant::now() >= sweep_at {
            sweep_at = Instant::now() + SWEEP_INTERVAL;
            if let Err(error) = service.sweep().await {
                tracing::warn!(error = chain(&error), "could not delete old holds; retrying in an hour");
            }
            if let Err(error) = service.sweep_imports().await {
                tracing::warn!(error = chain(&error), "could not delete old imports; retrying in an hour");
            }
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(pauses.pause())).await.is_none() {
            return Ok(());
        }
    }
}

async fn promote(service: &CatalogService, campaign: &Campaign) {
    match service.start_promotion(campaign).await {
        Ok(0) => {}
        Ok(products) => tracing::info!(products, "promotion started by schedule"),
        Err(error) => tracing::warn!(error = chain(&error), "could not start a promotion; retrying after a pause"),
    }
}
