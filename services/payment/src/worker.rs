//! Background worker: continues payments, refunds and order callbacks whose lease has expired. Contains no payment logic.

use std::time::Duration;

use agora_chassis::{Pauses, chain};
use tokio_util::sync::CancellationToken;

use crate::service::PaymentService;

/// First and longest pause after a look that found no row. Leases last longer.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(4);

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
