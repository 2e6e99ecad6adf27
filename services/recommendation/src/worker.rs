//! Background worker: computes results that are due, and runs over all users by schedule or on request. Contains no rule.

use std::time::Duration;

use agora_chassis::{Pauses, chain};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{ports::StoreError, service::RecommendationService};

/// First and longest pause between two looks for work. A user whose order was placed in this process is not waited for.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// Runs until shutdown, whatever fails. Safe with any number of replicas: one takes each result that is due, and one leads the
/// run over all users. `instance` identifies this one.
pub async fn run(service: RecommendationService, instance: Uuid, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut pauses = Pauses::new(PAUSE_MIN, PAUSE_MAX);
    loop {
        service.flush_cache().await;
        match work(&service, instance, &shutdown).await {
            Ok(true) => pauses.reset(),
            Ok(false) => {}
            Err(error) => tracing::warn!(error = chain(&error), "could not compute recommendations; retrying"),
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = service.work.notified() => pauses.reset(),
            () = tokio::time::sleep(pauses.pause()) => {}
        }
    }
    if let Err(error) = service.resign(instance).await {
        tracing::debug!(error = chain(&error), "another instance leads the recomputation after the lease");
    }
    Ok(())
}

/// Whether there was anything to do. Results that are due come before the run over all users.
async fn work(
    service: &RecommendationService,
    instance: Uuid,
    shutdown: &CancellationToken,
) -> Result<bool, StoreError> {
    let mut worked = false;
    while !shutdown.is_cancelled() {
        let due = service.compute_due().await? > 0;
        let more = service.continue_recomputation(instance).await?;
        worked |= due || more;
        if !due && !more {
            break;
        }
    }
    Ok(worked)
}
