//! The other services in memory: as much of them as an order can see, with their promise that undo wins over a late do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_vocab::{
    AddressId, CartId, CommandId, Currency, Money, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId,
};
use async_trait::async_trait;
use uuid::Uuid;

use super::Fuse;
use crate::{
    domain::{Address, CartVersion, Method, PaymentOutcome, Product, Shortage, Token, Wanted},
    ports::{Addresses, CallFailed, Carts, Catalog, NewHold, Payable, Payments, Report, Reserving, TakeError, Taken},
};

fn lock<T>(inner: &Mutex<T>) -> MutexGuard<'_, T> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A catalogue in memory.
#[derive(Clone, Debug)]
pub struct InMemoryCatalog {
    /// Ends the calling process.
    pub fuse: Fuse,
    inner: Arc<Mutex<Shelves>>,
}

#[derive(Debug, Default)]
struct Shelves {
    products: BTreeMap<ProductId, Product>,
    on_hand: BTreeMap<ProductId, u32>,
    holds: BTreeMap<(OrderId, i32), (Vec<Wanted>, &'static str)>,
}

impl InMemoryCatalog {
    /// Nothing in it.
    pub fn new(fuse: Fuse) -> Self {
        Self { fuse, inner: Arc::default() }
    }

    /// The same catalogue as another process sees it.
    #[must_use]
    pub fn seen_by(&self, fuse: Fuse) -> Self {
        Self { fuse, inner: self.inner.clone() }
    }

    /// Adds a product of `cents` euro cents of which `units` are there.
    pub fn offer(&self, cents: i64, units: u32) -> ProductId {
        let mut inner = lock(&self.inner);
        let id = ProductId::new(Uuid::from_u128(0xA_0000 + inner.products.len() as u128));
        let product = Product {
            id,
            name: format!("Lamp {}", inner.products.len() + 1),
            price: Money { amount: cents, currency: Currency::EUR },
            brand: Some("Lumen".to_owned()),
            category: Some("Lighting".to_owned()),
            supplier: None,
            seller: SellerId::HOUSE,
        };
        inner.products.insert(id, product);
        inner.on_hand.insert(id, units);
        id
    }

    /// Units that nobody holds.
    pub fn available(&self, product: ProductId) -> u32 {
        lock(&self.inner).on_hand.get(&product).copied().unwrap_or_default()
    }

    /// What became of a hold.
    pub fn hold(&self, order: OrderId, hold: i32) -> Option<&'static str> {
        lock(&self.inner).holds.get(&(order, hold)).map(|(_, state)| *state)
    }

    /// Ends a hold as catalogue's own clock does.
    pub fn expire(&self, order: OrderId, hold: i32) {
        lock(&self.inner).end(order, hold, "expired");
    }
}

impl Shelves {
    fn short(&self, lines: &[Wanted]) -> Option<Shortage> {
        lines.iter().find_map(|line| {
            let available = self.on_hand.get(&line.product).copied().unwrap_or_default();
            let requested = line.quantity.get();
            (available < requested).then_some(Shortage { product: Some(line.product), requested, available })
        })
    }

    fn end(&mut self, order: OrderId, hold: i32, state: &'static str) {
        let Some((lines, present)) = self.holds.get_mut(&(order, hold)) else {
            self.holds.insert((order, hold), (Vec::new(), "tombstone"));
            return;
        };
        let back = *present == "held" || (*present == "committed" && state == "released");
        if back {
            *present = state;
            for line in lines.iter() {
                *self.on_hand.entry(line.product).or_default() += line.quantity.get();
            }
        }
    }
}

#[async_trait]
impl Catalog for InMemoryCatalog {
    async fn quote(&self, products: &[ProductId]) -> Result<Vec<Product>, CallFailed> {
        self.fuse.pass()?;
        let inner = lock(&self.inner);
        Ok(products.iter().filter_map(|id| inner.products.get(id).cloned()).collect())
    }

    async fn reserve(&self, _: CommandId, hold: &NewHold) -> Result<Reserving, CallFailed> {
        self.fuse.pass()?;
        let done = {
            let mut inner = lock(&self.inner);
            match (inner.holds.get(&(hold.order, hold.hold)), inner.short(&hold.lines)) {
                (Some((_, "held" | "committed")), _) => Reserving::Held,
                (Some(_), _) => Reserving::Short(Shortage { product: None, requested: 0, available: 0 }),
                (None, Some(shortage)) => Reserving::Short(shortage),
                (None, None) => {
                    for line in &hold.lines {
                        *inner.on_hand.entry(line.product).or_default() -= line.quantity.get();
                    }
                    inner.holds.insert((hold.order, hold.hold), (hold.lines.clone(), "held"));
                    Reserving::Held
                }
            }
        };
        self.fuse.pass()?;
        Ok(done)
    }

    async fn commit(&self, _: CommandId, order: OrderId, hold: i32) -> Result<bool, CallFailed> {
        self.fuse.pass()?;
        let committed = match lock(&self.inner).holds.get_mut(&(order, hold)) {
            Some((_, state @ ("held" | "committed"))) => {
                *state = "committed";
                true
            }
            _ => false,
        };
        self.fuse.pass()?;
        Ok(committed)
    }

    async fn release(&self, _: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed> {
        self.fuse.pass()?;
        lock(&self.inner).end(order, hold, "released");
        Ok(self.fuse.pass()?)
    }
}

/// Carts in memory.
#[derive(Clone, Debug)]
pub struct InMemoryCarts {
    /// Ends the calling process.
    pub fuse: Fuse,
    inner: Arc<Mutex<Baskets>>,
}

#[derive(Debug, Default)]
struct Baskets {
    carts: BTreeMap<UserId, (CartVersion, Vec<Wanted>)>,
    takings: BTreeMap<OrderId, (UserId, Option<Taken>)>,
}

impl InMemoryCarts {
    /// Every cart is empty.
    pub fn new(fuse: Fuse) -> Self {
        Self { fuse, inner: Arc::default() }
    }

    /// The same carts as another process sees them.
    #[must_use]
    pub fn seen_by(&self, fuse: Fuse) -> Self {
        Self { fuse, inner: self.inner.clone() }
    }

    /// Puts something into a user's cart.
    pub fn add(&self, user: UserId, product: ProductId, quantity: Quantity) {
        let mut inner = lock(&self.inner);
        let fresh = CartVersion { id: CartId::new(user.uuid()), version: 0 };
        let (cart, lines) = inner.carts.entry(user).or_insert((fresh, Vec::new()));
        cart.version += 1;
        lines.push(Wanted { product, variant: String::new(), quantity });
    }

    /// How many lines a user's cart has.
    pub fn lines(&self, user: UserId) -> usize {
        lock(&self.inner).carts.get(&user).map_or(0, |(_, lines)| lines.len())
    }
}

#[async_trait]
impl Carts for InMemoryCarts {
    async fn take(&self, _: CommandId, order: OrderId, user: UserId) -> Result<Taken, TakeError> {
        self.fuse.pass().map_err(CallFailed::from)?;
        let taken = {
            let mut inner = lock(&self.inner);
            let Baskets { carts, takings } = &mut *inner;
            match (takings.get(&order), carts.get_mut(&user)) {
                (Some((_, Some(taken))), _) => taken.clone(),
                (Some((_, None)), _) => return Err(TakeError::Undone),
                (None, Some((cart, lines))) if !lines.is_empty() => {
                    let taken = Taken { cart: *cart, lines: std::mem::take(lines) };
                    cart.version += 1;
                    takings.insert(order, (user, Some(taken.clone())));
                    taken
                }
                (None, _) => return Err(TakeError::Empty),
            }
        };
        self.fuse.pass().map_err(CallFailed::from)?;
        Ok(taken)
    }

    async fn give_back(&self, _: CommandId, order: OrderId) -> Result<(), CallFailed> {
        self.fuse.pass()?;
        {
            let mut inner = lock(&self.inner);
            let Baskets { carts, takings } = &mut *inner;
            match takings.get_mut(&order) {
                None => {
                    takings.insert(order, (UserId::new(Uuid::nil()), None));
                }
                Some((user, taking)) => {
                    if let (Some(taken), Some((cart, lines))) = (taking.take(), carts.get_mut(user)) {
                        cart.version += 1;
                        lines.extend(taken.lines);
                    }
                }
            }
        }
        Ok(self.fuse.pass()?)
    }
}

/// Payments in memory: `tok_declined`, `tok_error` and `tok_slow` do what they say, every other token is charged.
#[derive(Clone, Debug)]
pub struct InMemoryPayments {
    /// Ends the calling process.
    pub fuse: Fuse,
    inner: Arc<Mutex<BTreeMap<PaymentId, Made>>>,
}

#[derive(Clone, Copy, Debug)]
struct Made {
    order: OrderId,
    outcome: Option<PaymentOutcome>,
    captures: u32,
    result: CommandId,
}

impl InMemoryPayments {
    /// None yet.
    pub fn new(fuse: Fuse) -> Self {
        Self { fuse, inner: Arc::default() }
    }

    /// The same payments as another process sees them.
    #[must_use]
    pub fn seen_by(&self, fuse: Fuse) -> Self {
        Self { fuse, inner: self.inner.clone() }
    }

    /// Ends a payment that has no result, or makes one that somebody else began; gives back the result's id.
    pub fn resolve(&self, order: OrderId, payment: PaymentId, outcome: PaymentOutcome) -> CommandId {
        let mut inner = lock(&self.inner);
        let made = inner.entry(payment).or_insert(Made::new(order, payment));
        made.end(outcome);
        made.result
    }

    /// What became of a payment; `None` if it is not known or has no result.
    pub fn outcome(&self, payment: PaymentId) -> Option<PaymentOutcome> {
        lock(&self.inner).get(&payment).and_then(|made| made.outcome)
    }

    /// How many payments took money for an order, whether or not it went back.
    pub fn captures(&self, order: OrderId) -> u32 {
        lock(&self.inner).values().filter(|made| made.order == order).map(|made| made.captures).sum()
    }

    fn report(&self, payment: &Payable, act: impl FnOnce(&mut Made)) -> Result<Report, CallFailed> {
        self.fuse.pass()?;
        let report = {
            let mut inner = lock(&self.inner);
            let made = inner.entry(payment.payment).or_insert(Made::new(payment.order, payment.payment));
            act(made);
            Report { outcome: made.outcome, result: made.outcome.map(|_| made.result) }
        };
        self.fuse.pass()?;
        Ok(report)
    }
}

impl Made {
    fn new(order: OrderId, payment: PaymentId) -> Self {
        let result = CommandId::new(Uuid::from_u128(payment.uuid().as_u128()));
        Self { order, outcome: None, captures: 0, result }
    }

    fn end(&mut self, outcome: PaymentOutcome) {
        self.captures += u32::from(outcome == PaymentOutcome::Captured);
        self.outcome = Some(outcome);
        self.result = CommandId::new(Uuid::from_u128(self.result.uuid().as_u128().wrapping_add(1 << 100)));
    }
}

#[async_trait]
impl Payments for InMemoryPayments {
    async fn pay(&self, _: CommandId, payment: &Payable, (_, token): (Method, &Token)) -> Result<Report, CallFailed> {
        let outcome = match token.expose() {
            "tok_declined" => Some(PaymentOutcome::Declined),
            "tok_error" => Some(PaymentOutcome::Failed),
            "tok_slow" => None,
            _ => Some(PaymentOutcome::Captured),
        };
        self.report(payment, |made| {
            if let (None, Some(outcome)) = (made.outcome, outcome) {
                made.end(outcome);
            }
        })
    }

    async fn settle(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        let known = lock(&self.inner).contains_key(&payment.payment);
        self.report(payment, |made| {
            if !known {
                made.end(PaymentOutcome::Voided);
            }
        })
    }

    async fn void(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        self.report(payment, |made| {
            if made.outcome.is_none() {
                made.end(PaymentOutcome::Voided);
            }
        })
    }

    async fn refund(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        self.report(payment, |made| {
            if matches!(made.outcome, Some(PaymentOutcome::Captured | PaymentOutcome::PartiallyRefunded)) {
                made.end(PaymentOutcome::Refunded);
            }
        })
    }
}

/// Address books in memory.
#[derive(Clone, Debug, Default)]
pub struct InMemoryAddresses(Arc<Mutex<BTreeMap<(UserId, AddressId), Address>>>);

impl InMemoryAddresses {
    /// Writes an entry.
    pub fn add(&self, user: UserId, entry: AddressId, address: Address) {
        lock(&self.0).insert((user, entry), address);
    }
}

#[async_trait]
impl Addresses for InMemoryAddresses {
    async fn find(&self, user: UserId, address: AddressId) -> Result<Option<Address>, CallFailed> {
        Ok(lock(&self.0).get(&(user, address)).cloned())
    }
}
