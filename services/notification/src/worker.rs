//! Background workers: send the mails that are due, continue campaigns, delete what is old. Contain no rule about mails.

use std::time::Duration;

use agora_chassis::{Pauses, chain};
use tokio_util::sync::CancellationToken;

use crate::{domain::Priority, service::NotificationService};

/// First and longest pause after a look that found nothing; a mail that this process queues ends it at once.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Interval between two measurements of the queue, and how many of them pass between two deletions: an hour.
const MEASURE_INTERVAL: Duration = Duration::from_secs(30);
const SWEEP_ROUNDS: u32 = 120;

/// Sends mails of a priority, or continues campaigns without one, until shutdown. Safe with any number of replicas: one of
/// them leases each mail and each campaign.
pub async fn run(
    service: NotificationService,
    priority: Option<Priority>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (mut pauses, mut queued) = (Pauses::new(PAUSE_MIN, PAUSE_MAX), service.queued());
    while !shutdown.is_cancelled() {
        let worked = match priority {
            Some(priority) => service.send_due(priority).await.map(|due| due > 0),
            None => service.continue_campaign().await.map(|notified| notified.is_some()),
        };
        match worked {
            Ok(true) => {
                pauses.reset();
                continue;
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(error = chain(&error), "could not look for mails or campaigns"),
        }
        let pause = pauses.pause();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            Ok(()) = queued.changed() => pauses.reset(),
        }
    }
    Ok(())
}

/// Deletes what is old, every hour until shutdown, and measures the queue in between.
pub async fn sweep(service: NotificationService, shutdown: CancellationToken) -> anyhow::Result<()> {
    for round in 1_u32.. {
        if shutdown.run_until_cancelled(tokio::time::sleep(MEASURE_INTERVAL)).await.is_none() {
            break;
        }
        match service.waiting_mails().await {
            #[expect(clippy::cast_precision_loss, reason = "a gauge of mails")]
            Ok(waiting) => metrics::gauge!("mail_queue_waiting").set(waiting as f64),
            Err(error) => tracing::debug!(error = chain(&error), "could not count the mails that wait"),
        }
        if round % SWEEP_ROUNDS == 0
            && let Err(error) = service.sweep().await
        {
            tracing::warn!(error = chain(&error), "could not delete old notifications; retrying in an hour");
        }
    }
    Ok(())
}
