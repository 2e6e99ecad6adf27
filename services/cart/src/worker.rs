//! Background workers: delete old checkouts and expired carts of guests, report lines of deleted products, and empty carts
//! of erased users. Contain no rule about carts.

use std::time::Duration;

use agora_chassis::chain;
use tokio_util::sync::CancellationToken;

use crate::service::CartService;

/// Interval between two deletions of old checkouts and expired carts.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
/// Interval between two looks for products that were deleted.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// Interval between two looks for carts of erased users.
const ERASE_INTERVAL: Duration = Duration::from_mins(1);

/// Deletes old checkouts and expired carts of guests every hour, until shutdown.
pub async fn run(service: CartService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_some() {
        if let Err(error) = service.sweep().await {
            tracing::warn!(error = chain(&error), "could not delete old checkouts and carts; retrying in an hour");
        }
    }
    Ok(())
}

/// Reports lines of deleted products every minute, until shutdown.
pub async fn report(service: CartService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(REPORT_INTERVAL)).await.is_some() {
        while !shutdown.is_cancelled() {
            match service.report_removed_lines().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "could not report lines of deleted products; retrying in a minute"
                    );
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Empties carts of erased users that were filled at the moment of the erasure, every minute, until shutdown.
pub async fn erase(service: CartService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(ERASE_INTERVAL)).await.is_some() {
        match service.look_at_erased_carts().await {
            Ok(0) => {}
            Ok(carts) => tracing::info!(carts, "looked at carts of erased users once more"),
            Err(error) => {
                tracing::warn!(error = chain(&error), "could not empty carts of erased users; retrying in a minute");
            }
        }
    }
    Ok(())
}
