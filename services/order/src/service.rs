//! Use cases of the order service, one method each. Depends on domain and ports; must not depend on HTTP or SQL.

mod change;
mod known_rules;
mod maintenance;
mod pay;
mod place;
mod prices;
mod read;
mod report;
mod saga;
mod unfinished;
mod verify;

use std::{sync::Arc, time::Duration};

use agora_chassis::{BoxError, FlagSwitch};
use agora_outbox::StoredResponse;
use agora_vocab::{Ids, Money, MoneyError, ProductId};
use tokio::sync::Notify;

pub use self::{
    known_rules::KnownRules,
    pay::PAYMENT_RESULT_WITHIN,
    place::{NewOrder, Placed, Shipping},
    prices::PriceService,
    report::ReportService,
    saga::Services,
    unfinished::{UnfinishedUndo, UnfinishedUndos},
    verify::{LISTED_MAX, Verification, VerifyService},
};

use crate::{
    domain::{FieldError, LimitReached, Refused, RunnerId, State, Status},
    ports::{Addresses, ApplyError, CallFailed, OrderStore, StoreError},
};

/// How long a request waits for its saga; after that the response is provisional.
pub const PROVISIONAL_AFTER: Duration = Duration::from_secs(3);

/// The use cases of orders.
#[derive(Clone)]
pub struct OrderService {
    pub store: Arc<dyn OrderStore>,
    /// Clients of the services that sagas call.
    pub services: Services,
    /// Client of the user service's address book.
    pub addresses: Arc<dyn Addresses>,
    pub prices: PriceService,
    /// Whether new orders are taken.
    pub takes_orders: FlagSwitch,
    /// Generator of UUIDv7 ids.
    pub ids: Arc<dyn Ids>,
    /// Notification that wakes the worker before its next poll.
    pub work: Arc<Notify>,
    /// Requests whose cart and lease this process could not give back yet.
    pub unfinished: Arc<UnfinishedUndos>,
    /// Final response to the request that created an order, stored and repeated on retries; `None` while the saga has
    /// steps to take. A parameter, because only the HTTP layer knows status codes and bodies.
    pub answer: fn(&State) -> Option<StoredResponse>,
    /// Time that a request waits for its saga before it gets a provisional response: [`PROVISIONAL_AFTER`], shorter in
    /// tests.
    pub provisional_after: Duration,
}

/// Error of a use case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Invalid fields of the request.
    #[error("invalid fields")]
    Invalid(Vec<FieldError>),
    /// The order does not exist or belongs to another user.
    #[error("no such order")]
    NotFound,
    /// An administrator has blocked the user.
    #[error("the user is blocked")]
    Blocked,
    /// The shop takes no new orders for now.
    #[error("no new orders are taken")]
    OrdersPaused,
    /// The cart has no lines.
    #[error("the cart is empty")]
    EmptyCart,
    /// Products that do not exist.
    #[error("products do not exist")]
    UnknownProducts(Vec<ProductId>),
    /// The total overflows or mixes currencies.
    #[error("the total overflows or mixes currencies")]
    NoSum(#[source] MoneyError),
    /// The total differs from the one that the user expects.
    #[error("the order costs {total}")]
    TotalChanged {
        /// The total now.
        total: Money,
    },
    /// The user has as many unpaid orders or held units as a user can have.
    #[error(transparent)]
    LimitReached(LimitReached),
    /// All uses of the coupon, or all of the user's, are claimed.
    #[error("the coupon is used up")]
    CouponExhausted,
    /// The user has sent too many codes that are no coupons.
    #[error("too many wrong coupon codes")]
    TooManyGuesses {
        /// Seconds until another code is looked up.
        retry_after: u32,
    },
    /// Another setting has the code.
    #[error("the code is taken")]
    CodeTaken,
    /// The shop has the greatest number of such settings.
    #[error("there are {limit} already")]
    TooManySettings { limit: u16 },
    /// Another live order has this version of the cart.
    #[error("another order has this cart")]
    CartAlreadyOrdered,
    /// The order's state does not allow it.
    #[error("the order's state does not allow it")]
    Refused(#[source] Refused),
    /// The order was never paid.
    #[error("the order was not paid")]
    NotPaid,
    /// The idempotency key was used with another request body.
    #[error("the idempotency key was used with another request")]
    KeyMismatch,
    /// The same request or a concurrent change of the order is in progress; retry.
    #[error("the same request is in progress")]
    Running,
    /// A required service or the database is unavailable; retry.
    #[error("a required service is unavailable")]
    Unavailable(#[source] BoxError),
    /// A bug or corrupt data; a retry does not help.
    #[error("internal error")]
    Broken(#[source] BoxError),
}

impl OrderService {
    fn saga_runner(&self) -> saga::SagaRunner {
        saga::SagaRunner { store: self.store.clone(), services: self.services.clone() }
    }

    fn runner_id(&self) -> RunnerId {
        RunnerId(self.ids.next())
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
