//! Background workers: one continues payments, refunds, order callbacks and messages whose lease has expired, one compares
//! the ledger with the provider, seals tokens under a new key and deletes old messages. Contain no payment logic.

use std::time::Duration;

use agora_chassis::{Pauses, chain};
use tokio_util::sync::CancellationToken;

use crate::service::{PaymentService, ReconciliationSchedule};

/// First and longest pause after a look that found no row. Leases last longer.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// Pause between two looks for tokens under an old key and for the next reconciliation.
const UPKEEP_PAUSE: Duration = Duration::from_secs(30);

/// Runs until shutdown, whatever fails: what could not be continued is retried after a pause. Safe with any number of
/// replicas: one replica leases each row.
pub async fn run(service: PaymentService, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut pauses = Pauses::new(PAUSE_MIN, PAUSE_MAX);
    while !shutdown.is_cancelled() {
        match service.recover_once().await {
            Ok(0) => {}
            Ok(_) => {
                pauses.reset();
                continue;
            }
            Err(error) => tracing::warn!(error = chain(&error), "could not look for payments to continue"),
        }
        shutdown.run_until_cancelled(tokio::time::sleep(pauses.pause())).await;
    }
    Ok(())
}

/// Reconciles, seals tokens under the current key and deletes old messages, until shutdown, whatever fails. Safe with any number of replicas.
pub async fn keep_up(service: PaymentService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        match service.rewrap_tokens().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "Tokens sealed under the current ENCRYPTION_KEY"),
            Err(error) => tracing::warn!(error = chain(&error), "could not look for tokens under an old key"),
        }
        if let Err(error) = service.delete_old_events().await {
            tracing::warn!(error = chain(&error), "could not delete old messages of the payment provider");
        }
        if let Err(error) = service.reconcile(ReconciliationSchedule::SHOP).await {
            tracing::warn!(error = chain(&error), "could not compare the ledger with the payment provider");
        }
        if let Err(error) = service.count_differences().await {
            tracing::warn!(error = chain(&error), "could not count differences between ledger and payment provider");
        }
        shutdown.run_until_cancelled(tokio::time::sleep(UPKEEP_PAUSE)).await;
    }
    Ok(())
}
