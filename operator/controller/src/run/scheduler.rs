//! When a Marketplace is reconciled: on request, at most every 250 ms, and again after a delay if it waits or failed.
//!
//! Each Marketplace has one worker task. So no Marketplace waits for another, and no two reconciliations of one overlap.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc};
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
/// A reconciliation that has not even ended this long after its start blocks its thread: the process is restarted.
const RUNNING_MAX: Duration = Duration::from_mins(2);

/// Starts the task that starts a worker for each requested Marketplace.
pub fn start(context: SharedContext, requests: mpsc::UnboundedReceiver<MarketRef>) {
    let requests = Arc::new(Mutex::new(requests));
    context.process.clone().supervise("scheduler", move || {
        let (context, requests) = (context.clone(), requests.clone());
        async move {
            run(context, &mut *requests.lock().await).await;
            Ok(())
        }
    });
}

/// Returns when the process shuts down.
async fn run(context: SharedContext, requests: &mut mpsc::UnboundedReceiver<MarketRef>) {
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
    let (namespace, name) = (&market.namespace, &market.name);
    let _running = context.process.heartbeat(format!("reconcile/{namespace}/{name}"), RUNNING_MAX);
    // A panic counts as a failure of this attempt, so that the next one is due after the usual delay.
    let attempt = AssertUnwindSafe(reconcile::reconcile(context, market)).catch_unwind();
    let result = timeout(DEADLINE, Box::pin(attempt)).await;
    metrics::histogram!("operator_reconcile_seconds").record(started.elapsed().as_secs_f64());
    match result {
        Ok(Ok(Ok(next))) => return Ok(next),
        Ok(Err(_)) => tracing::error!(
            namespace,
            name,
            "the reconciliation of the Marketplace panicked, see the log before; it is retried with backoff"
        ),
        Ok(Ok(Err(error))) => {
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
