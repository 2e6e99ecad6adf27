//! Use cases that read orders.

use agora_vocab::{OrderId, Page, UserId};

use super::{Error, OrderService};
use crate::{domain::Order, ports::Listing};

impl OrderService {
    /// Returns an order of `user`, or any order if `user` is `None`. Another user's order is [`Error::NotFound`].
    pub async fn order(&self, id: OrderId, user: Option<UserId>) -> Result<Order, Error> {
        let found = self.store.find(id).await?;
        found.filter(|order| user.is_none_or(|user| order.user == user)).ok_or(Error::NotFound)
    }

    /// Returns a page of orders, newest first.
    pub async fn page(&self, listing: &Listing) -> Result<Page<Order>, Error> {
        Ok(self.store.page(listing).await?)
    }
}
