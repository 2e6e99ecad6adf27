//! Background worker: deletes old checkouts. Contains no rule about carts.

use std::time::Duration;

use agora_chassis::chain;
use tokio_util::sync::CancellationToken;

use crate::service::CartService;

/// Interval between two deletions of old checkouts.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Deletes old checkouts every hour, until shutdown.
pub async fn run(service: CartService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_some() {
        if let Err(error) = service.sweep().await {
            tracing::warn!(error = chain(&error), "could not delete old checkouts; retrying in an hour");
        }
    }
    Ok(())
}
