//! What the worker does without being asked: takes the steps that nobody takes, and clears claims that led to nothing.

use futures::{StreamExt as _, stream};

use super::{Error, Ordering};
use crate::{ports::Progress, saga::drive};

/// Sagas leased at a time, and how many of them are driven at once.
const SAGAS_MAX: u32 = 32;
const SAGAS_AT_ONCE: usize = 8;
/// Claims looked at at a time.
const CLAIMS_MAX: u32 = 50;

impl Ordering {
    /// Takes the steps of sagas that wait for somebody; gives back how many sagas that were.
    pub async fn continue_sagas(&self) -> Result<usize, Error> {
        let driver = self.driver();
        let due = self.orders.lease_due(driver, SAGAS_MAX).await?;
        let count = due.len();
        let drive_one = |progress: Progress| async move {
            let order = progress.state.order.id;
            match drive(&self.drive(), progress, driver).await {
                Ok(_) => {}
                Err(error) => tracing::warn!(%order, error = ?error, "an order's saga waits for its lease to end"),
            }
        };
        stream::iter(due).for_each_concurrent(SAGAS_AT_ONCE, drive_one).await;
        Ok(count)
    }

    /// Clears claims that are older than a minute and have no order: the cart is given back, the key may start afresh.
    /// Gives back how many claims were looked at.
    pub async fn clear_claims(&self) -> Result<usize, Error> {
        let stale = self.orders.stale_claims(CLAIMS_MAX).await?;
        let count = stale.len();
        for id in stale {
            // With an order the answer comes with the change that makes it possible.
            if self.orders.load(id, None).await?.is_none() {
                self.undo_claim(id, true).await?;
            }
        }
        Ok(count)
    }

    /// How many sagas fail for so long that somebody should look.
    pub async fn stuck(&self) -> Result<u64, Error> {
        Ok(self.orders.stuck().await?)
    }
}
