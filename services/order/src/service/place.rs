//! Use case that places an order: acquire the idempotency lease, begin the checkout, quote, write, run the saga.
//!
//! If no order results, it cancels the checkout and then the lease, so that the same key can be used again.

use agora_chassis::trace;
use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{Address, AddressId, Money, OrderId, PaymentId, UserId};
use time::OffsetDateTime;

use super::{Error, OrderService, UnfinishedUndo, prices::refused_coupon};
use crate::{
    domain::{
        CartVersion, ChargeError, ChargeTerms, CouponCode, FieldError, MethodCode, OrderDraft, PayWith, PricingError,
        RequestedLine, RunnerId, Source, State, charge, command_id, price,
    },
    ports::{CheckoutError, CreateError, Issued, RequestLease, SagaSnapshot},
};

/// A validated request for a new order.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// User who places the order.
    pub user: UserId,
    /// Where the lines come from.
    pub source: Source,
    /// Shipping address, its entry in the address book, or none.
    pub shipping: Shipping,
    /// Payment to make on creation, if any.
    pub pay: Option<PayWith>,
    /// Total that the user expects; any if absent.
    pub expected_total: Option<Money>,
    pub coupon: Option<CouponCode>,
    /// The cheapest that delivers if absent.
    pub shipping_method: Option<MethodCode>,
}

/// Shipping address of a new order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shipping {
    /// No address given.
    Unknown,
    To(Address),
    /// An entry of the user's address book.
    AddressBook(AddressId),
}

/// Result of placing an order.
#[derive(Clone, Debug)]
pub enum Placed {
    /// The final response, repeated on every retry.
    Answered(StoredResponse),
    /// The order exists and its saga is still running.
    Provisional(Box<State>),
}

impl OrderService {
    /// Places an order; idempotent by `dedup_key`.
    pub async fn place(&self, new: NewOrder, dedup_key: &DedupKey) -> Result<Placed, Error> {
        let fresh = OrderId::new(self.ids.next());
        let runner = self.runner_id();
        match self.store.acquire_idempotency_lease(dedup_key, fresh, new.user).await? {
            RequestLease::Blocked => Err(Error::Blocked),
            RequestLease::Completed(answer) => Ok(Placed::Answered(answer)),
            RequestLease::InProgress => Err(Error::Running),
            RequestLease::Held { order, resumed: false, issued } => self.place_new((order, issued), new, runner).await,
            RequestLease::Held { order, resumed: true, issued } => self.resume((order, issued), new, runner).await,
        }
    }

    async fn place_new(&self, id: (OrderId, Issued), new: NewOrder, runner: RunnerId) -> Result<Placed, Error> {
        trace::note_order(id.0);
        let snapshot = self.make(id, new, runner).await?;
        self.finish(snapshot, runner).await
    }

    /// Continues an interrupted request. If its order exists, the retry waits for the final response.
    async fn resume(&self, id: (OrderId, Issued), new: NewOrder, runner: RunnerId) -> Result<Placed, Error> {
        let Some(snapshot) = self.store.acquire_lease(id.0, runner).await? else {
            return self.place_new(id, new, runner).await;
        };
        match self.finish(snapshot, runner).await? {
            Placed::Provisional(_) => Err(Error::Running),
            answered @ Placed::Answered(_) => Ok(answered),
        }
    }

    async fn make(
        &self,
        (id, issued): (OrderId, Issued),
        new: NewOrder,
        runner: RunnerId,
    ) -> Result<SagaSnapshot, Error> {
        let from_cart = new.source == Source::Cart;
        let drafted =
            if self.takes_orders.is_on() { self.draft((id, issued.at), new).await } else { Err(Error::OrdersPaused) };
        let created = match drafted {
            Ok(draft) => self.store.create(draft, issued, runner).await,
            Err(error) => return Err(self.without_order(id, from_cart, error).await),
        };
        match created {
            Ok(snapshot) => Ok(snapshot),
            Err(CreateError::CartAlreadyOrdered) => {
                Err(self.without_order(id, from_cart, Error::CartAlreadyOrdered).await)
            }
            Err(CreateError::LimitReached(limit)) => {
                Err(self.without_order(id, from_cart, Error::LimitReached(limit)).await)
            }
            Err(CreateError::CouponExhausted) => Err(self.without_order(id, from_cart, Error::CouponExhausted).await),
            Err(CreateError::Exists) => self.store.acquire_lease(id, runner).await?.ok_or(Error::Running),
            Err(CreateError::LeaseLost) => Err(Error::Running),
            // It is unknown whether the order exists: a retry or the worker resolves it.
            Err(CreateError::Store(error)) => Err(error.into()),
        }
    }

    async fn draft(&self, (id, at): (OrderId, OffsetDateTime), new: NewOrder) -> Result<OrderDraft, Error> {
        let NewOrder { user, source, shipping, pay, expected_total, coupon, shipping_method } = new;
        let address = self.address(user, shipping).await?;
        let coupon = match coupon {
            Some(code) => Some(self.prices.redeemable(user, &code).await?),
            None => None,
        };
        let (cart, requested) = self.lines(id, user, source).await?;
        let mut products: Vec<_> = requested.iter().map(|line| line.product).collect();
        products.sort_unstable();
        products.dedup();
        let quoted = self.services.catalog.quote(&products).await?;
        let (lines, goods) = price(&requested, quoted).map_err(|unpriced| match unpriced {
            PricingError::Unknown(products) => Error::UnknownProducts(products),
            PricingError::UnknownVariants(lines) => Error::Invalid(unknown_variants(&lines)),
            PricingError::Sum(error) => Error::NoSum(error),
        })?;
        let rules = self.prices.rules().await?;
        let terms = ChargeTerms {
            at,
            rules: &rules,
            country: address.as_ref().map(|address| &address.country),
            coupon: coupon.as_ref(),
            shipping_method: shipping_method.as_ref(),
        };
        let (charges, total) = charge(&lines, goods, terms).map_err(|refused| match refused {
            ChargeError::Coupon(refused) => refused_coupon(refused),
            ChargeError::Shipping(refused) => {
                Error::Invalid(vec![FieldError::new("shippingMethod", refused.to_string())])
            }
            ChargeError::Sum(error) => Error::NoSum(error),
        })?;
        if expected_total.is_some_and(|expected| expected != total) {
            return Err(Error::TotalChanged { total });
        }
        let pay = pay.map(|pay| (PaymentId::new(self.ids.next()), pay));
        Ok(OrderDraft { id, user, cart, lines, total, charges, address, pay })
    }

    /// Cancels checkout and idempotency lease after a failure; the worker retries at once if that fails too.
    async fn without_order(&self, id: OrderId, from_cart: bool, why: Error) -> Error {
        if let Err(failure) = self.undo_claim(id, from_cart).await {
            tracing::warn!(order = %id, error = ?failure, "could not cancel an idempotency lease without an order; the worker retries it");
            self.unfinished.push(UnfinishedUndo { order: id, from_cart });
            self.work.notify_one();
        }
        why
    }

    async fn address(&self, user: UserId, shipping: Shipping) -> Result<Option<Address>, Error> {
        match shipping {
            Shipping::Unknown => Ok(None),
            Shipping::To(address) => Ok(Some(address)),
            Shipping::AddressBook(entry) => match self.addresses.find(user, entry).await? {
                Some(address) => Ok(Some(address)),
                None => {
                    Err(Error::Invalid(vec![FieldError::new("addressId", "must be an entry of your address book")]))
                }
            },
        }
    }

    async fn lines(
        &self,
        id: OrderId,
        user: UserId,
        source: Source,
    ) -> Result<(Option<CartVersion>, Vec<RequestedLine>), Error> {
        let basket = match source {
            Source::Items(basket) => return Ok((None, basket.into_lines())),
            Source::Cart => self.services.carts.begin_checkout(self.cart_command(id, "begin-checkout"), id, user).await,
        };
        match basket {
            Ok(checkout) if checkout.lines.is_empty() => Err(Error::EmptyCart),
            Ok(checkout) => Ok((Some(checkout.cart), checkout.lines)),
            Err(CheckoutError::Empty) => Err(Error::EmptyCart),
            // The worker cancelled the lease during this attempt: the next attempt starts again.
            Err(CheckoutError::Cancelled) => Err(Error::Running),
            Err(CheckoutError::Failed(failed)) => Err(failed.into()),
        }
    }

    /// Cancels the checkout of a request without an order, then its idempotency lease.
    pub(super) async fn undo_claim(&self, id: OrderId, from_cart: bool) -> Result<(), Error> {
        if from_cart {
            self.services.carts.cancel_checkout(self.cart_command(id, "cancel-checkout"), id).await?;
        }
        // If the order exists, the lease stays: the order's saga completes it.
        self.store.cancel_idempotency_lease(id).await?;
        Ok(())
    }

    fn cart_command(&self, id: OrderId, name: &str) -> agora_vocab::CommandId {
        command_id(id, self.services.epoch.0, name, 0)
    }

    /// Runs the saga for at most `provisional_after` and returns the final response if there is one.
    async fn finish(&self, snapshot: SagaSnapshot, runner: RunnerId) -> Result<Placed, Error> {
        let id = snapshot.state.order.id;
        if let Some(answer) = (self.answer)(&snapshot.state) {
            return Ok(Placed::Answered(answer));
        }
        let saga_runner = self.saga_runner();
        let rested = tokio::time::timeout(self.provisional_after, saga_runner.run(snapshot.clone(), runner)).await;
        let state = if let Ok(state) = rested {
            state?
        } else {
            self.store.release_lease(id, runner).await?;
            self.store.load(id).await?.map_or(snapshot.state, |snapshot| snapshot.state)
        };
        if let Some(answer) = (self.answer)(&state) {
            return Ok(Placed::Answered(answer));
        }
        self.work.notify_one();
        Ok(Placed::Provisional(Box::new(state)))
    }
}

fn unknown_variants(lines: &[usize]) -> Vec<FieldError> {
    let error = |at: &usize| FieldError::new(format!("items[{at}].variant"), "is not a variant of the product");
    lines.iter().map(error).collect()
}
