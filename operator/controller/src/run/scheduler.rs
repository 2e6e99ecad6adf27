//! When a Marketplace is reconciled: on request, at most every 250 ms, and again after a delay if it waits or failed.
//!
//! Each Marketplace has one worker task. So no Marketplace waits for another, and no two reconciliations of one overlap.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::error_chain::error_chain;
use crate::market::{MarketRef, backoff};
use crate::run::context::SharedContext;
use crate::run::next::Next;
use crate::run::reconcile;

/// Minimum time between the starts of two reconciliations of one Marketplace.
const INTERVAL_MIN: Duration = Duration::from_millis(250);
/// A reconciliation that takes longer is cancelled and counts as failed.
const DEADLINE: Duration = Duration::from_mins(1);

/// Starts a worker for each requested Marketplace, until the process shuts down.
pub async fn run(context: SharedContext, mut requests: mpsc::UnboundedReceiver<MarketRef>) {
    let mut workers: BTreeMap<MarketRef, mpsc::Sender<()>> = BTreeMap::new();
    let shutdown = context.process.shutdown();
    while let Some(Some(market)) = shutdown.run_until_cancelled(requests.recv()).await {
        let sent = workers.get(&market).map(|worker| worker.try_send(()));
        match sent {
            Some(Ok(()) | Err(TrySendError::Full(()))) => {}
            None | Some(Err(TrySendError::Closed(()))) => {
                let (sender, receiver) = mpsc::channel(1);
                let _ = sender.try_send(());
                workers.retain(|_, worker| !worker.is_closed());
                workers.insert(market.clone(), sender);
                let context = context.clone();
                context.process.clone().spawn("reconcile", async move {
                    work(context, market, receiver).await;
                    Ok(())
                });
            }
        }
    }
}

/// Reconciles one Marketplace until it is deleted or the process shuts down.
async fn work(context: SharedContext, market: MarketRef, mut requests: mpsc::Receiver<()>) {
    let shutdown = context.process.shutdown();
    let mut due: Option<Instant> = None;
    let mut earliest = Instant::now();
    let mut failures = 0;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            request = requests.recv() => if request.is_none() { return },
            () = until(due) => {}
        }
        sleep_until(earliest).await;
        while requests.try_recv().is_ok() {}
        earliest = Instant::now() + INTERVAL_MIN;
        // A cancelled reconciliation leaves no state that the next one needs: it continues from what it observes.
        let Some(next) = shutdown.run_until_cancelled(attempt(&context, &market)).await else {
            return;
        };
        failures = if next.is_ok() { 0 } else { failures + 1 };
        due = match next {
            Ok(Next::OnChange) => None,
            Ok(Next::After(delay)) => Some(Instant::now() + delay),
            Ok(Next::Gone) => {
                // After `close` a request starts a new worker; one that arrived before is sent again.
                requests.close();
                if requests.recv().await.is_some() {
                    context.trigger.send(market);
                }
                return;
            }
            Err(()) => Some(Instant::now() + backoff(failures)),
        };
    }
}

/// Does not return without a time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn attempt(context: &SharedContext, market: &MarketRef) -> Result<Next, ()> {
    let started = Instant::now();
    let result = timeout(DEADLINE, Box::pin(reconcile::reconcile(context, market))).await;
    metrics::histogram!("operator_reconcile_seconds").record(started.elapsed().as_secs_f64());
    let (namespace, name) = (&market.namespace, &market.name);
    match result {
        Ok(Ok(next)) => return Ok(next),
        Ok(Err(error)) => {
            let error = error_chain(&error);
            tracing::warn!(namespace, name, error, "cannot reconcile the Marketplace; it is retried with backoff");
        }
        Err(_) => {
            let seconds = DEADLINE.as_secs();
            tracing::warn!(
                namespace,
                name,
                seconds,
                "cancelled the reconciliation of the Marketplace at its deadline; it is retried with backoff"
            );
        }
    }
    metrics::counter!("operator_reconcile_failed_total").increment(1);
    Err(())
}
