//! Background workers: one continues due sagas, cancels expired idempotency leases and erases what erased users leave, one
//! refreshes reports. Contains no order logic.

use std::time::Duration;

use agora_chassis::{Pauses, chain};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::service::{Error, OrderService, ReportService};

/// First and longest pause between two looks for due sagas, such as an expired lease or an ended payment window.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// Interval of the cleanup of expired idempotency leases, of looks for ended orders of erased users, and of the count of
/// stuck sagas.
const CLEAR_EVERY: Duration = Duration::from_secs(10);

/// Interval of looks at the age of the reports.
const REPORTS_EVERY: Duration = Duration::from_secs(20);

/// Refreshes the reports when they are old, until shutdown. Safe with any number of replicas: one of them refreshes.
pub async fn refresh_reports(service: ReportService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(REPORTS_EVERY)).await.is_some() {
        if let Err(error) = service.refresh().await {
            tracing::warn!(error = chain(&error), "could not refresh the reports; retrying after a pause");
        }
    }
    Ok(())
}

/// Runs until shutdown, whatever fails: a due saga or an expired lease that cannot be handled is retried with the next look.
/// Safe with any number of replicas: one replica leases each saga and each request.
pub async fn run(service: OrderService, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut pauses = Pauses::new(PAUSE_MIN, PAUSE_MAX);
    let mut clear_at = Instant::now();
    loop {
        if let Err(error) = continue_sagas(&service, &shutdown, &mut pauses).await {
            tracing::warn!(error = chain(&error), "could not look for due sagas; retrying after a pause");
        }
        if service.retry_unfinished().await > 0 {
            pauses.reset();
        }
        if Instant::now() >= clear_at {
            if let Err(error) = clear(&service).await {
                tracing::warn!(error = chain(&error), "could not cancel expired idempotency leases; retrying");
            }
            if let Err(error) = erase(&service).await {
                tracing::warn!(error = chain(&error), "could not erase personal fields of ended orders; retrying");
            }
            clear_at = Instant::now() + CLEAR_EVERY;
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = service.work.notified() => pauses.reset(),
            () = tokio::time::sleep(pauses.pause()) => {}
        }
    }
}

async fn continue_sagas(
    service: &OrderService,
    shutdown: &CancellationToken,
    pauses: &mut Pauses,
) -> Result<(), Error> {
    while service.continue_sagas().await? > 0 && !shutdown.is_cancelled() {
        pauses.reset();
    }
    Ok(())
}

async fn erase(service: &OrderService) -> Result<(), Error> {
    let erased = service.erase_ended_orders().await?;
    if erased > 0 {
        tracing::info!(erased, "removed the personal fields of ended orders of erased users");
    }
    Ok(())
}

async fn clear(service: &OrderService) -> Result<(), Error> {
    let cleared = service.cancel_expired_leases().await?;
    if cleared > 0 {
        tracing::info!(cleared, "cancelled idempotency leases of interrupted requests");
    }
    #[expect(clippy::cast_precision_loss, reason = "a gauge; the count stays far below 2^53")]
    metrics::gauge!("order_saga_stuck").set(service.stuck().await? as f64);
    Ok(())
}
