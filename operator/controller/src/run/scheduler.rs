//! When a Marketplace is reconciled: at once when asked, at most every 250 ms, later again when it waits or failed.
//!
//! One task per Marketplace, so that none waits for another and no two reconcile the same.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cluster::error_chain::error_chain;
use crate::market::{MarketRef, backoff};
use crate::run::context::Shared;
use crate::run::next::Next;
use crate::run::reconcile;

/// Least time between the beginnings of two reconciles of one Marketplace.
const GAP: Duration = Duration::from_millis(250);
/// A reconcile that takes longer is given up and counted as failed.
const DEADLINE: Duration = Duration::from_mins(1);

/// Reconciles what is asked for, until nobody can ask any more or the process ends.
pub async fn run(context: Shared, mut asked: mpsc::UnboundedReceiver<MarketRef>) {
    let mut workers: BTreeMap<MarketRef, mpsc::Sender<()>> = BTreeMap::new();
    let shutdown = context.process.shutdown();
    while let Some(Some(market)) = shutdown.run_until_cancelled(asked.recv()).await {
        let waiting = workers.get(&market).map(|worker| worker.try_send(()));
        match waiting {
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

/// The life of one Marketplace.
async fn work(context: Shared, market: MarketRef, mut asked: mpsc::Receiver<()>) {
    let shutdown = context.process.shutdown();
    let mut due: Option<Instant> = None;
    let mut earliest = Instant::now();
    let mut failures = 0;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            asked = asked.recv() => if asked.is_none() { return },
            () = until(due) => {}
        }
        sleep_until(earliest).await;
        while asked.try_recv().is_ok() {}
        earliest = Instant::now() + GAP;
        // A reconcile may end anywhere: the next one, of this process or another, goes on from what it finds.
        let Some(next) = shutdown.run_until_cancelled(once(&context, &market)).await else { return };
        failures = if next.is_ok() { 0 } else { failures + 1 };
        due = match next {
            Ok(Next::Await) => None,
            Ok(Next::After(pause)) => Some(Instant::now() + pause),
            Ok(Next::Gone) => {
                // Nobody can ask this task any more; whoever just did is heard by a new one.
                asked.close();
                if asked.recv().await.is_some() {
                    context.trigger.send(market);
                }
                return;
            }
            Err(()) => Some(Instant::now() + backoff(failures)),
        };
    }
}

/// Never, without a time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn once(context: &Shared, market: &MarketRef) -> Result<Next, ()> {
    let begun = Instant::now();
    let result = timeout(DEADLINE, reconcile::reconcile(context, market)).await;
    metrics::histogram!("operator_reconcile_seconds").record(begun.elapsed().as_secs_f64());
    let (namespace, name) = (&market.namespace, &market.name);
    match result {
        Ok(Ok(next)) => return Ok(next),
        Ok(Err(error)) => {
            let error = error_chain(&error);
            tracing::warn!(namespace, name, error, "a reconcile failed and is tried again");
        }
        Err(_) => tracing::warn!(namespace, name, "a reconcile took longer than its deadline and is tried again"),
    }
    metrics::counter!("operator_reconcile_failed_total").increment(1);
    Err(())
}
