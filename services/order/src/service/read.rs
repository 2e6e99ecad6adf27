//! Use cases that read orders.

use agora_vocab::{OrderId, Page, UserId};

use super::{Error, OrderService};
use crate::{
    domain::{Order, invoice},
    ports::Listing,
};

impl OrderService {
    /// Returns an order of `user`, or any order if `user` is `None`. Another user's order is [`Error::NotFound`].
    pub async fn order(&self, id: OrderId, user: Option<UserId>) -> Result<Order, Error> {
        let found = self.store.find(id).await?;
        found.filter(|order| user.is_none_or(|user| order.user == user)).ok_or(Error::NotFound)
    }

    /// Returns the invoice of an order of `user`, or of any order if `user` is `None`, as HTML. An order has one once it was
    /// paid, whatever happens to it later.
    pub async fn invoice(&self, id: OrderId, user: Option<UserId>) -> Result<String, Error> {
        let order = self.order(id, user).await?;
        let paid_at = self.store.paid_at(id).await?.ok_or(Error::NotPaid)?;
        invoice(&order, paid_at).map_err(|error| Error::Broken(error.into()))
    }

    /// Returns a page of orders, newest first.
    pub async fn page(&self, listing: &Listing) -> Result<Page<Order>, Error> {
        Ok(self.store.page(listing).await?)
    }

    /// Returns those of these orders that are of `user`, or all if `user` is `None`, in the order of the ids.
    pub async fn many(&self, orders: &[OrderId], user: Option<UserId>) -> Result<Vec<Order>, Error> {
        let mut found = self.store.many(orders, user).await?;
        found.sort_by_key(|order| orders.iter().position(|id| *id == order.id));
        Ok(found)
    }
}
