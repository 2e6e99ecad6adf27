//! Wakes by itself and when something happened: takes the steps of sagas that wait, and clears what was cut off.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::usecases::{Error, Ordering};

/// How often sagas are looked for without a call: a lease that ended, a window that closed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often claims are cleared and stuck sagas counted.
const CLEAR_EVERY: Duration = Duration::from_secs(10);

/// Works until the process ends. Any number of replicas may: each saga and claim is leased by one of them.
pub async fn run(ordering: Ordering, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clear_at = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = ordering.work.notified() => {}
            _ = ticks.tick() => {}
        }
        while ordering.continue_sagas().await? > 0 && !shutdown.is_cancelled() {}
        if Instant::now() >= clear_at {
            clear(&ordering).await?;
            clear_at = Instant::now() + CLEAR_EVERY;
        }
    }
}

async fn clear(ordering: &Ordering) -> Result<(), Error> {
    let cleared = ordering.clear_claims().await?;
    if cleared > 0 {
        tracing::info!(cleared, "looked after requests that were cut off");
    }
    #[expect(clippy::cast_precision_loss, reason = "a gauge; nobody has 2^53 stuck sagas")]
    metrics::gauge!("order_saga_stuck").set(ordering.stuck().await? as f64);
    Ok(())
}
