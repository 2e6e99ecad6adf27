//! What can be asked of orders: one method each. Knows the domain and the ports; must not know HTTP or SQL.

mod change;
mod pay;
mod place;
mod read;
mod tidy;

use std::sync::Arc;

use agora_chassis::BoxError;
use agora_outbox::StoredResponse;
use agora_vocab::{Ids, MoneyError, ProductId};
use tokio::sync::Notify;

pub use place::{NewOrder, Placed, Shipping};

use crate::{
    domain::{Refused, State, Status, Wrong},
    ports::{Addresses, ApplyError, CallFailed, Driver, Orders, StoreError},
    saga::{Drive, Services},
};

/// Everything that orders can do.
#[derive(Clone)]
pub struct Ordering {
    /// Where orders are kept.
    pub orders: Arc<dyn Orders>,
    /// What their sagas call.
    pub services: Services,
    /// Address books.
    pub addresses: Arc<dyn Addresses>,
    /// Where ids come from.
    pub ids: Arc<dyn Ids>,
    /// Wakes the worker.
    pub work: Arc<Notify>,
    /// What the client who made an order is told once its saga rests, and again whenever he repeats his request; `None`
    /// while it does not rest. Given by the edge, which alone knows statuses and bodies.
    pub answer: fn(&State) -> Option<StoredResponse>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields that were refused.
    #[error("fields were refused")]
    Invalid(Vec<Wrong>),
    /// No such order, or somebody else's.
    #[error("no such order")]
    NotFound,
    /// The cart has nothing to order.
    #[error("the cart is empty")]
    EmptyCart,
    /// Products that do not exist.
    #[error("products do not exist")]
    UnknownProducts(Vec<ProductId>),
    /// The prices have no sum.
    #[error("the prices have no sum")]
    NoSum(#[source] MoneyError),
    /// Another live order has this version of the cart.
    #[error("another order has this cart")]
    CartTaken,
    /// The order's state does not allow it.
    #[error("the order's state does not allow it")]
    Refused(#[source] Refused),
    /// The key was used before with another body.
    #[error("the idempotency key was used with another request")]
    KeyMismatch,
    /// The same request, or another step of the same order, is being worked on.
    #[error("the same request is still running")]
    Running,
    /// Something that is needed is away for a moment.
    #[error("something that is needed does not answer")]
    Unavailable(#[source] BoxError),
    /// A bug.
    #[error("an order could not be handled")]
    Broken(#[source] BoxError),
}

impl Ordering {
    fn drive(&self) -> Drive {
        Drive { orders: self.orders.clone(), services: self.services.clone() }
    }

    fn driver(&self) -> Driver {
        Driver(self.ids.next())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyReused => Self::KeyMismatch,
            StoreError::Running => Self::Running,
            StoreError::Unavailable(source) => Self::Unavailable(source),
            StoreError::Broken(source) => Self::Broken(source),
        }
    }
}

impl From<ApplyError> for Error {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::NotFound | ApplyError::Refused(Refused::Foreign) => Self::NotFound,
            ApplyError::Refused(refused) => {
                if let Refused::InvalidTransition { from, to } = refused {
                    count_refused(from, to);
                }
                Self::Refused(refused)
            }
            ApplyError::Store(error) => error.into(),
        }
    }
}

impl From<CallFailed> for Error {
    fn from(failed: CallFailed) -> Self {
        Self::Unavailable(failed.into())
    }
}

fn count_refused(from: Status, to: Option<Status>) {
    let to = to.map_or("unknown", Status::as_str);
    metrics::counter!("order_transition_refused_total", "from" => from.as_str(), "to" => to).increment(1);
}
