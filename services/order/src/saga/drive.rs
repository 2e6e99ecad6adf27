//! Takes step after step of one order for as long as the lease lasts and there is one to take.

use std::sync::Arc;

use agora_outbox::DedupKey;

use super::{Services, Step, next};
use crate::{
    domain::State,
    ports::{ApplyError, Driver, Orders, Progress},
};

/// Most steps in one go; the longest way (hold, pay, hold lost, hold, commit) has far fewer.
const STEPS_MAX: usize = 20;

/// What driving needs.
#[derive(Clone)]
pub struct Drive {
    /// Where orders are kept.
    pub orders: Arc<dyn Orders>,
    /// What is called.
    pub services: Services,
}

/// Takes the steps that there are; gives back where the order stands then. Ends at once without the lease.
///
/// May be dropped between any two awaits: whoever has the lease next repeats the step that was cut off, under the same
/// command id.
pub async fn drive(drive: &Drive, mut progress: Progress, driver: Driver) -> Result<State, ApplyError> {
    for _ in 0..STEPS_MAX {
        let step = next(&progress.state, progress.now);
        if !progress.leased || matches!(step, Step::Rest { .. }) {
            return Ok(progress.state);
        }
        let (command, dedup_key) = drive.services.act(&progress.state, step).await;
        let order = progress.state.order.id;
        let done = drive.orders.advance(progress, &command, &dedup_key, driver).await?;
        progress = if done.is_duplicate() {
            // The news had come before, and yet the step was still to be taken: what it says holds all the same.
            drive.orders.apply(order, &command, &DedupKey::None, Some(driver)).await?.into_inner()
        } else {
            done.into_inner()
        };
    }
    tracing::error!(order = %progress.state.order.id, "an order's saga takes more steps than it can have");
    drive.orders.yield_lease(progress.state.order.id, driver).await?;
    Ok(progress.state)
}
