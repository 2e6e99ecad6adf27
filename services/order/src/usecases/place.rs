//! Making an order: claim the key, take and quote, write, hold, and pay if the request says how.
//!
//! Every end without an order gives the cart back and then gives up the claim, so that the same key may start afresh.

use std::time::Duration;

use agora_outbox::{Acquisition, DedupKey, StoredResponse};
use agora_vocab::{AddressId, OrderId, PaymentId, UserId};

use super::{Error, Ordering};
use crate::{
    domain::{Address, CartVersion, Draft, PayWith, Source, State, Unpriced, Wanted, Wrong, price},
    ports::{CreateError, Driver, Progress, TakeError},
    saga::{command_id, drive as drive_to_rest},
};

/// A client waits so long for the saga to rest; after that he is told how far it came.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// What a client wants to order.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// Who orders.
    pub user: UserId,
    /// What.
    pub source: Source,
    /// Where it goes.
    pub shipping: Shipping,
    /// How it is paid, if at once.
    pub pay: Option<PayWith>,
}

/// Where an order goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shipping {
    /// Nobody said.
    Unknown,
    /// To this address.
    To(Address),
    /// To an entry of the user's address book.
    Entry(AddressId),
}

/// What became of the wish.
#[derive(Clone, Debug)]
pub enum Placed {
    /// Its end, the same at every repetition.
    Answered(StoredResponse),
    /// The order exists and its saga goes on.
    Provisional(Box<State>),
}

impl Ordering {
    /// Makes an order, once for each `dedup_key`.
    pub async fn place(&self, new: NewOrder, dedup_key: &DedupKey) -> Result<Placed, Error> {
        let fresh = OrderId::new(self.ids.next());
        let driver = self.driver();
        match self.orders.claim(dedup_key, fresh).await? {
            Acquisition::Completed(answer) => Ok(Placed::Answered(answer)),
            Acquisition::InProgress { .. } => Err(Error::Running),
            Acquisition::Started { recovery_id } => self.place_new(OrderId::new(recovery_id), new, driver).await,
            Acquisition::Resumed { recovery_id } => self.resume(OrderId::new(recovery_id), new, driver).await,
        }
    }

    async fn place_new(&self, id: OrderId, new: NewOrder, driver: Driver) -> Result<Placed, Error> {
        let progress = self.make(id, new, driver).await?;
        self.finish(progress, driver).await
    }

    /// An earlier try may have come as far as the order itself; then a repetition waits until it can be answered.
    async fn resume(&self, id: OrderId, new: NewOrder, driver: Driver) -> Result<Placed, Error> {
        let Some(progress) = self.orders.load(id, Some(driver)).await? else {
            return self.place_new(id, new, driver).await;
        };
        match self.finish(progress, driver).await? {
            Placed::Provisional(_) => Err(Error::Running),
            answered @ Placed::Answered(_) => Ok(answered),
        }
    }

    async fn make(&self, id: OrderId, new: NewOrder, driver: Driver) -> Result<Progress, Error> {
        let from_cart = new.source == Source::Cart;
        let made = match self.draft(id, new).await {
            Ok(draft) => self.orders.create(draft, driver).await,
            Err(error) => return Err(self.without_order(id, from_cart, error).await),
        };
        match made {
            Ok(progress) => Ok(progress),
            Err(CreateError::CartTaken) => Err(self.without_order(id, from_cart, Error::CartTaken).await),
            Err(CreateError::Exists) => self.orders.load(id, Some(driver)).await?.ok_or(Error::Running),
            Err(CreateError::ClaimGone) => Err(Error::Running),
            // Whether the order exists is unknown: a repetition or the worker will see.
            Err(CreateError::Store(error)) => Err(error.into()),
        }
    }

    async fn draft(&self, id: OrderId, new: NewOrder) -> Result<Draft, Error> {
        let NewOrder { user, source, shipping, pay } = new;
        let address = self.address(user, shipping).await?;
        let (cart, wanted) = self.lines(id, user, source).await?;
        let mut products: Vec<_> = wanted.iter().map(|line| line.product).collect();
        products.sort_unstable();
        products.dedup();
        let quoted = self.services.catalog.quote(&products).await?;
        let (lines, total) = price(&wanted, quoted).map_err(|unpriced| match unpriced {
            Unpriced::Unknown(products) => Error::UnknownProducts(products),
            Unpriced::Sum(error) => Error::NoSum(error),
        })?;
        let pay = pay.map(|pay| (PaymentId::new(self.ids.next()), pay));
        Ok(Draft { id, user, cart, lines, total, address, pay })
    }

    /// There will be no order: nothing may stay taken or claimed. What cannot be undone now is left to the worker.
    async fn without_order(&self, id: OrderId, from_cart: bool, why: Error) -> Error {
        if let Err(failure) = self.undo_claim(id, from_cart).await {
            tracing::warn!(order = %id, error = ?failure, "a claim without an order is left to the worker");
        }
        why
    }

    async fn address(&self, user: UserId, shipping: Shipping) -> Result<Option<Address>, Error> {
        match shipping {
            Shipping::Unknown => Ok(None),
            Shipping::To(address) => Ok(Some(address)),
            Shipping::Entry(entry) => match self.addresses.find(user, entry).await? {
                Some(address) => Ok(Some(address)),
                None => Err(Error::Invalid(vec![Wrong::new("addressId", "must be an entry of your address book")])),
            },
        }
    }

    async fn lines(
        &self,
        id: OrderId,
        user: UserId,
        source: Source,
    ) -> Result<(Option<CartVersion>, Vec<Wanted>), Error> {
        let basket = match source {
            Source::Items(basket) => return Ok((None, basket.into_lines())),
            Source::Cart => self.services.carts.take(self.cart_command(id, "take"), id, user).await,
        };
        match basket {
            Ok(taken) if taken.lines.is_empty() => Err(Error::EmptyCart),
            Ok(taken) => Ok((Some(taken.cart), taken.lines)),
            Err(TakeError::Empty) => Err(Error::EmptyCart),
            // The claim was cleared while this try was under way: the next one starts afresh.
            Err(TakeError::Undone) => Err(Error::Running),
            Err(TakeError::Failed(failed)) => Err(failed.into()),
        }
    }

    /// Gives back what a claim without an order may have taken, then the claim.
    pub(super) async fn undo_claim(&self, id: OrderId, from_cart: bool) -> Result<(), Error> {
        if from_cart {
            self.services.carts.give_back(self.cart_command(id, "give-back"), id).await?;
        }
        // With an order it stays: the order's saga settles it.
        self.orders.abandon(id).await?;
        Ok(())
    }

    fn cart_command(&self, id: OrderId, name: &str) -> agora_vocab::CommandId {
        command_id(id, self.services.epoch.0, name, 0)
    }

    /// Drives the saga for as long as the client waits, and keeps the answer if it came to rest.
    async fn finish(&self, progress: Progress, driver: Driver) -> Result<Placed, Error> {
        let id = progress.state.order.id;
        if let Some(answer) = (self.answer)(&progress.state) {
            return Ok(Placed::Answered(answer));
        }
        let drive = self.drive();
        let rested = tokio::time::timeout(ANSWER_WITHIN, drive_to_rest(&drive, progress.clone(), driver)).await;
        let state = if let Ok(state) = rested {
            state?
        } else {
            self.orders.yield_lease(id, driver).await?;
            self.orders.load(id, None).await?.map_or(progress.state, |progress| progress.state)
        };
        if let Some(answer) = (self.answer)(&state) {
            return Ok(Placed::Answered(answer));
        }
        self.work.notify_one();
        Ok(Placed::Provisional(Box::new(state)))
    }
}
