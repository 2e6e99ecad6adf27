//! Reading orders.

use agora_vocab::{OrderId, Page, UserId};

use super::{Error, Ordering};
use crate::{domain::Order, ports::Listing};

impl Ordering {
    /// An order of `user`, or any order where no user is named. Somebody else's is not found.
    pub async fn order(&self, id: OrderId, user: Option<UserId>) -> Result<Order, Error> {
        let found = self.orders.load(id, None).await?.map(|progress| progress.state.order);
        found.filter(|order| user.is_none_or(|user| order.user == user)).ok_or(Error::NotFound)
    }

    /// A page of orders, newest first.
    pub async fn page(&self, listing: &Listing) -> Result<Page<Order>, Error> {
        Ok(self.orders.page(listing).await?)
    }
}
