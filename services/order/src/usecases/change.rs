//! Cancelling an order, and moving it on.

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{OrderId, UserId};

use super::{Error, Ordering};
use crate::domain::{Command, Order, Refused, Status};

impl Ordering {
    /// Calls an order off, at once; its stock and money follow. `user` is the owner, or absent for an admin.
    pub async fn cancel(
        &self,
        id: OrderId,
        user: Option<UserId>,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Order>, Error> {
        let order = self.order(id, user).await?;
        self.change(order.id, &Command::Cancel, dedup_key).await
    }

    /// Moves an order to a state that an admin may give it.
    pub async fn advance(&self, id: OrderId, to: &str, dedup_key: &DedupKey) -> Result<Outcome<Order>, Error> {
        let order = self.order(id, None).await?;
        let from = order.standing.status;
        // A state that does not exist has no edge from anywhere.
        let to: Status = to.parse().map_err(|_| Error::Refused(Refused::InvalidTransition { from, to: None }))?;
        self.change(order.id, &Command::Advance(to), dedup_key).await
    }

    async fn change(&self, id: OrderId, command: &Command, dedup_key: &DedupKey) -> Result<Outcome<Order>, Error> {
        let done = self.orders.apply(id, command, dedup_key, None).await?;
        self.work.notify_one();
        Ok(done.map(|progress| progress.state.order))
    }
}
