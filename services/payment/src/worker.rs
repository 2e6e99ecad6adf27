//! Background worker: continues payments, refunds and order callbacks whose lease has expired. Contains no payment logic.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::PaymentService;

/// Pause after a batch without rows.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until shutdown, or until the database fails. Safe with any number of replicas: one replica leases each row.
pub async fn run(service: PaymentService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        if service.recover_once().await? == 0 {
            shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }
    Ok(())
}
