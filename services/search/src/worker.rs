//! Background worker: builds the index from the catalog and deletes old generations. Contains no rule about products.

use std::time::Duration;

use agora_chassis::{Pauses, chain};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::service::SearchService;

/// First and longest pause between two looks for a build that was requested in another process or was left unfinished.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Interval between two deletions of tombstones.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Builds the index if it was never built and whenever a build is requested, until shutdown. Any number of replicas may run it:
/// a lease ensures that one of them builds.
pub async fn run(service: SearchService, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut pauses = Pauses::new(PAUSE_MIN, PAUSE_MAX);
    let mut sweep_at = Instant::now() + SWEEP_INTERVAL;
    loop {
        match shutdown.run_until_cancelled(step(&service)).await {
            Some(true) => sweep_at = Instant::now(),
            Some(false) => {}
            None => return Ok(()),
        }
        if Instant::now() >= sweep_at {
            sweep_at = Instant::now() + SWEEP_INTERVAL;
            if let Err(error) = service.sweep().await {
                tracing::warn!(error = chain(&error), "could not delete old generations of the index; retrying later");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = service.rebuild_requested() => pauses.reset(),
            () = tokio::time::sleep(pauses.pause()) => {}
        }
    }
}

/// Builds if there is something to build. Returns whether the index was exchanged.
async fn step(service: &SearchService) -> bool {
    let built = async {
        service.ensure_built().await?;
        service.build().await
    };
    match built.await {
        Ok(built) => {
            if built {
                tracing::info!("the index was built from the catalog");
            }
            built
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "could not build the index; retrying after a pause");
            false
        }
    }
}
