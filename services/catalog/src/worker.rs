//! Background worker: ends expired holds and deletes old ones. Contains no rule about holds.

use std::time::Duration;

use agora_chassis::chain;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::service::CatalogService;

/// Interval between two searches for expired holds.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between two deletions of old holds.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Ends expired holds every second and deletes old ones every hour, until shutdown. Any number of replicas may run it:
/// row locks ensure that one of them processes each hold.
pub async fn run(service: CatalogService, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(EXPIRY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep_at = Instant::now() + SWEEP_INTERVAL;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        match service.expire().await {
            Ok(ended) => metrics::counter!("hold_expired_total").increment(u64::from(ended)),
            // The health endpoint already reports an unavailable database; the next tick retries.
            Err(error) => {
                tracing::warn!(error = chain(&error), "could not end expired holds; retrying on the next tick");
            }
        }
        if Instant::now() >= sweep_at {
            sweep_at = Instant::now() + SWEEP_INTERVAL;
            if let Err(error) = service.sweep().await {
                tracing::warn!(error = chain(&error), "could not delete old holds; retrying in an hour");
            }
        }
    }
    Ok(())
}
