//! Use cases that cancel an order, ship it or change its fulfilment status.

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{OrderId, ReturnId, ShipmentId, UserId};

use super::{Error, OrderService};
use crate::domain::{NewReturn, NewShipment, Order, Refused, ReturnChange, SagaEvent, Status};

impl OrderService {
    /// Cancels an order; the worker releases stock and refunds later. `user` is the owner, `None` for an admin.
    pub async fn cancel(
        &self,
        id: OrderId,
        user: Option<UserId>,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Order>, Error> {
        let order = self.order(id, user).await?;
        self.change(order.id, SagaEvent::CancelRequested, dedup_key).await
    }

    /// Changes the fulfilment status on behalf of an admin.
    pub async fn advance(&self, id: OrderId, to: &str, dedup_key: &DedupKey) -> Result<Outcome<Order>, Error> {
        let order = self.order(id, None).await?;
        let from = order.progress.status;
        // An unknown status is rejected like a transition that is not allowed.
        let to: Status = to.parse().map_err(|_| Error::Refused(Refused::InvalidTransition { from, to: None }))?;
        self.change(order.id, SagaEvent::StatusRequested(to), dedup_key).await
    }

    /// An id for a new shipment.
    pub fn new_shipment_id(&self) -> ShipmentId {
        ShipmentId::new(self.ids.next())
    }

    /// Adds a shipment on behalf of an admin. The status of the order follows.
    pub async fn ship(
        &self,
        id: OrderId,
        shipment: NewShipment,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Order>, Error> {
        self.change(id, SagaEvent::ShipmentRequested(shipment), dedup_key).await
    }

    /// Marks a shipment as delivered on behalf of an admin; no effect if it is. The status of the order follows.
    pub async fn deliver(
        &self,
        id: OrderId,
        shipment: ShipmentId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Order>, Error> {
        self.change(id, SagaEvent::DeliveryReported(shipment), dedup_key).await
    }

    /// An id for a new return.
    pub fn new_return_id(&self) -> ReturnId {
        ReturnId::new(self.ids.next())
    }

    /// Requests the return of delivered units on behalf of `user`, the owner; `None` for an admin.
    pub async fn request_return(
        &self,
        id: OrderId,
        user: Option<UserId>,
        new: NewReturn,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Order>, Error> {
        let order = self.order(id, user).await?;
        self.change(order.id, SagaEvent::ReturnRequested(new), dedup_key).await
    }

    /// Accepts, rejects or receives a return on behalf of an admin; repeatable. The worker refunds and restocks what is
    /// received.
    pub async fn change_return(
        &self,
        id: OrderId,
        returned: ReturnId,
        change: ReturnChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Order>, Error> {
        self.change(id, SagaEvent::ReturnChanged { id: returned, change }, dedup_key).await
    }

    async fn change(&self, id: OrderId, event: SagaEvent, dedup_key: &DedupKey) -> Result<Outcome<Order>, Error> {
        let done = self.store.apply(id, &[event], dedup_key, None).await?;
        self.work.notify_one();
        Ok(done.map(|snapshot| snapshot.state.order))
    }
}
