//! Background workers: delete old checkouts and expired carts of guests, report lines of deleted products and of changed
//! prices, and empty carts of erased users. Contain no rule about carts.

use std::time::Duration;

use agora_chassis::chain;
use tokio_util::sync::CancellationToken;

use crate::service::{CartService, Error};

/// Interval between two deletions of old checkouts and expired carts.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
/// Interval between two looks for products that were deleted or repriced.
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

/// Events of lines that changed without an act of their shopper.
#[derive(Clone, Copy, Debug)]
enum Report {
    Removed,
    Repriced,
}

impl Report {
    /// The lines that it is about.
    const fn lines(self) -> &'static str {
        match self {
            Self::Removed => "lines of deleted products",
            Self::Repriced => "lines whose price changed",
        }
    }

    /// Reports one page of carts. Returns whether there may be another one.
    async fn page(self, service: &CartService) -> Result<bool, Error> {
        match self {
            Self::Removed => service.report_removed_lines().await,
            Self::Repriced => service.report_repriced_lines().await,
        }
    }
}

/// Reports lines of deleted products, and lines whose price changed, every minute, until shutdown.
pub async fn report(service: CartService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(REPORT_INTERVAL)).await.is_some() {
        for report in [Report::Removed, Report::Repriced] {
            all_pages(report, &service, &shutdown).await;
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

async fn all_pages(report: Report, service: &CartService, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        match report.page(service).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let (lines, error) = (report.lines(), chain(&error));
                tracing::warn!(error, "could not report {lines}; retrying in a minute");
                break;
            }
        }
    }
}
