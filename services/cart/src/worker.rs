//! Background worker: deletes old checkouts and expired carts of guests. Contains no rule about carts.

use std::time::Duration;

use agora_chassis::chain;
use tokio_util::sync::CancellationToken;

use crate::service::CartService;

/// Interval between two deletions of old checkouts and expired carts.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Deletes old checkouts and expired carts of guests every hour, until shutdown.
pub async fn run(service: CartService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_some() {
        if let Err(error) = service.sweep().await {
            tracing::warn!(error = chain(&error), "could not delete old checkouts and carts; retrying in an hour");
        }
    }
    Ok(())
}
