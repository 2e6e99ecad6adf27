//! Background workers: send the mails and webhooks that are due, continue campaigns, delete what is old. Contain no rule about
//! them.

use std::time::Duration;

use agora_chassis::{FlagSwitch, Pauses, chain};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::Priority,
    ports::DueDelivery,
    service::{AT_ONCE_MAX, NotificationService, WebhookService},
};

/// First and longest pause after a look that found nothing; a mail that this process queues ends it at once.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Interval between two measurements of the queue, and how many of them pass between two deletions: an hour.
const MEASURE_INTERVAL: Duration = Duration::from_secs(30);
const SWEEP_ROUNDS: u32 = 120;
/// Time in which webhooks under way are finished at shutdown; their leases end by themselves.
const FINISH_MAX: Duration = Duration::from_secs(8);

/// Sends mails of a priority, or continues campaigns without one, until shutdown. Safe with any number of replicas: one of
/// them leases each mail and each campaign. While `standard` is off, mails of that priority wait.
pub async fn run(
    service: NotificationService,
    (priority, standard): (Option<Priority>, FlagSwitch),
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (mut pauses, mut queued) = (Pauses::new(PAUSE_MIN, PAUSE_MAX), service.queued());
    while !shutdown.is_cancelled() {
        let worked = match priority {
            Some(Priority::Standard) if !standard.is_on() => Ok(false),
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

/// Sends webhooks until shutdown, each as soon as another one has ended. Safe with any number of replicas: one of them leases
/// each delivery.
pub async fn send_webhooks(webhooks: WebhookService, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (mut pauses, mut queued) = (Pauses::new(PAUSE_MIN, PAUSE_MAX), webhooks.queued());
    let mut running = FuturesUnordered::new();
    while !shutdown.is_cancelled() {
        let free = AT_ONCE_MAX.saturating_sub(u16::try_from(running.len()).unwrap_or(AT_ONCE_MAX));
        let due = if free > 0 { lease(&webhooks, free).await } else { Vec::new() };
        if !due.is_empty() {
            pauses.reset();
        }
        running.extend(due.into_iter().map(|due| deliver(&webhooks, due)));
        let pause = pauses.pause();
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(()) = running.next() => {}
            () = tokio::time::sleep(pause) => {}
            Ok(()) = queued.changed() => pauses.reset(),
        }
    }
    let finish = async { while running.next().await.is_some() {} };
    if tokio::time::timeout(FINISH_MAX, finish).await.is_err() {
        tracing::info!("webhooks under way at shutdown are sent again by another process");
    }
    Ok(())
}

async fn lease(webhooks: &WebhookService, limit: u16) -> Vec<DueDelivery> {
    webhooks.lease(limit).await.unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "could not look for webhooks");
        Vec::new()
    })
}

async fn deliver(webhooks: &WebhookService, due: DueDelivery) {
    if let Err(error) = webhooks.deliver(&due).await {
        let (endpoint, event) = (due.endpoint, due.event);
        tracing::warn!(%endpoint, %event, error = chain(&error), "the outcome of a webhook was not stored: it is sent again");
    }
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
        if let Err(error) = service.measure_dead_letters().await {
            tracing::debug!(error = chain(&error), "could not count the open dead letters");
        }
        keep_up_webhooks(service.webhooks()).await;
        if round % SWEEP_ROUNDS == 0
            && let Err(error) = service.sweep().await
        {
            tracing::warn!(error = chain(&error), "could not delete old notifications; retrying in an hour");
        }
        if round % SWEEP_ROUNDS == 0
            && let Err(error) = service.webhooks().sweep().await
        {
            tracing::warn!(error = chain(&error), "could not delete old webhooks; retrying in an hour");
        }
    }
    Ok(())
}

/// Measures the webhooks that wait, and seals their secrets under the current key.
async fn keep_up_webhooks(webhooks: &WebhookService) {
    match webhooks.waiting().await {
        #[expect(clippy::cast_precision_loss, reason = "a gauge of deliveries")]
        Ok(waiting) => metrics::gauge!("webhook_waiting").set(waiting as f64),
        Err(error) => tracing::debug!(error = chain(&error), "could not count the webhooks that wait"),
    }
    match webhooks.rewrap_secrets().await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "secrets of webhooks sealed under the current ENCRYPTION_KEY"),
        Err(error) => tracing::warn!(error = chain(&error), "could not look for secrets of webhooks under an old key"),
    }
}
