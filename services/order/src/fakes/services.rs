//! In-memory cart, catalog, payment and user services. As in the real ones, a cancellation wins over a late request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_vocab::{
    AddressId, CartId, CommandId, Currency, Money, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId,
};
use async_trait::async_trait;
use uuid::Uuid;

use super::Failpoint;
use crate::{
    domain::{Address, CartVersion, Method, PaymentOutcome, Product, RequestedLine, Shortage, Token},
    ports::{
        Addresses, CallFailed, Carts, Catalog, Checkout, CheckoutError, NewHold, Payable, Payments, Report, Reserving,
    },
};

fn lock<T>(inner: &Mutex<T>) -> MutexGuard<'_, T> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In-memory catalog service.
#[derive(Clone, Debug)]
pub struct InMemoryCatalog {
    /// Failpoint of the calling process.
    pub failpoint: Failpoint,
    inner: Arc<Mutex<CatalogState>>,
}

#[derive(Debug, Default)]
struct CatalogState {
    products: BTreeMap<ProductId, Product>,
    on_hand: BTreeMap<ProductId, u32>,
    holds: BTreeMap<(OrderId, i32), (Vec<RequestedLine>, &'static str)>,
}

impl InMemoryCatalog {
    /// An empty catalog.
    pub fn new(failpoint: Failpoint) -> Self {
        Self { failpoint, inner: Arc::default() }
    }

    /// The same catalog, called by another process.
    #[must_use]
    pub fn seen_by(&self, failpoint: Failpoint) -> Self {
        Self { failpoint, inner: self.inner.clone() }
    }

    /// Adds a product with a price of `cents` euro cents and `units` in stock.
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

    /// Units that are not reserved.
    pub fn available(&self, product: ProductId) -> u32 {
        lock(&self.inner).on_hand.get(&product).copied().unwrap_or_default()
    }

    /// State of a reservation.
    pub fn hold(&self, order: OrderId, hold: i32) -> Option<&'static str> {
        lock(&self.inner).holds.get(&(order, hold)).map(|(_, state)| *state)
    }

    /// Expires a reservation, as catalog does when its time ends.
    pub fn expire(&self, order: OrderId, hold: i32) {
        lock(&self.inner).end(order, hold, "expired");
    }
}

impl CatalogState {
    fn short(&self, lines: &[RequestedLine]) -> Option<Shortage> {
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
        self.failpoint.pass()?;
        let inner = lock(&self.inner);
        Ok(products.iter().filter_map(|id| inner.products.get(id).cloned()).collect())
    }

    async fn reserve(&self, _: CommandId, hold: &NewHold) -> Result<Reserving, CallFailed> {
        self.failpoint.pass()?;
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
        self.failpoint.pass()?;
        Ok(done)
    }

    async fn commit(&self, _: CommandId, order: OrderId, hold: i32) -> Result<bool, CallFailed> {
        self.failpoint.pass()?;
        let committed = match lock(&self.inner).holds.get_mut(&(order, hold)) {
            Some((_, state @ ("held" | "committed"))) => {
                *state = "committed";
                true
            }
            _ => false,
        };
        self.failpoint.pass()?;
        Ok(committed)
    }

    async fn release(&self, _: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed> {
        self.failpoint.pass()?;
        lock(&self.inner).end(order, hold, "released");
        Ok(self.failpoint.pass()?)
    }
}

/// In-memory cart service.
#[derive(Clone, Debug)]
pub struct InMemoryCarts {
    /// Failpoint of the calling process.
    pub failpoint: Failpoint,
    inner: Arc<Mutex<CartState>>,
}

#[derive(Debug, Default)]
struct CartState {
    carts: BTreeMap<UserId, (CartVersion, Vec<RequestedLine>)>,
    checkouts: BTreeMap<OrderId, (UserId, Option<Checkout>)>,
}

impl InMemoryCarts {
    /// A cart service with empty carts.
    pub fn new(failpoint: Failpoint) -> Self {
        Self { failpoint, inner: Arc::default() }
    }

    /// The same carts, called by another process.
    #[must_use]
    pub fn seen_by(&self, failpoint: Failpoint) -> Self {
        Self { failpoint, inner: self.inner.clone() }
    }

    /// Adds a line to a user's cart.
    pub fn add(&self, user: UserId, product: ProductId, quantity: Quantity) {
        let mut inner = lock(&self.inner);
        let fresh = CartVersion { id: CartId::new(user.uuid()), version: 0 };
        let (cart, lines) = inner.carts.entry(user).or_insert((fresh, Vec::new()));
        cart.version += 1;
        lines.push(RequestedLine { product, variant: String::new(), quantity });
    }

    /// Number of lines in a user's cart.
    pub fn lines(&self, user: UserId) -> usize {
        lock(&self.inner).carts.get(&user).map_or(0, |(_, lines)| lines.len())
    }
}

#[async_trait]
impl Carts for InMemoryCarts {
    async fn begin_checkout(&self, _: CommandId, order: OrderId, user: UserId) -> Result<Checkout, CheckoutError> {
        self.failpoint.pass().map_err(CallFailed::from)?;
        let checkout = {
            let mut inner = lock(&self.inner);
            let CartState { carts, checkouts } = &mut *inner;
            match (checkouts.get(&order), carts.get_mut(&user)) {
                (Some((_, Some(checkout))), _) => checkout.clone(),
                (Some((_, None)), _) => return Err(CheckoutError::Cancelled),
                (None, Some((cart, lines))) if !lines.is_empty() => {
                    let checkout = Checkout { cart: *cart, lines: std::mem::take(lines) };
                    cart.version += 1;
                    checkouts.insert(order, (user, Some(checkout.clone())));
                    checkout
                }
                (None, _) => return Err(CheckoutError::Empty),
            }
        };
        self.failpoint.pass().map_err(CallFailed::from)?;
        Ok(checkout)
    }

    async fn cancel_checkout(&self, _: CommandId, order: OrderId) -> Result<(), CallFailed> {
        self.failpoint.pass()?;
        {
            let mut inner = lock(&self.inner);
            let CartState { carts, checkouts } = &mut *inner;
            match checkouts.get_mut(&order) {
                None => {
                    checkouts.insert(order, (UserId::new(Uuid::nil()), None));
                }
                Some((user, begun)) => {
                    if let (Some(checkout), Some((cart, lines))) = (begun.take(), carts.get_mut(user)) {
                        cart.version += 1;
                        lines.extend(checkout.lines);
                    }
                }
            }
        }
        Ok(self.failpoint.pass()?)
    }
}

/// In-memory payment service: `tok_declined` is declined, `tok_error` fails, `tok_slow` stays pending, others are captured.
#[derive(Clone, Debug)]
pub struct InMemoryPayments {
    /// Failpoint of the calling process.
    pub failpoint: Failpoint,
    inner: Arc<Mutex<BTreeMap<PaymentId, PaymentRecord>>>,
}

#[derive(Clone, Copy, Debug)]
struct PaymentRecord {
    order: OrderId,
    outcome: Option<PaymentOutcome>,
    captures: u32,
    result: CommandId,
}

impl InMemoryPayments {
    /// A payment service without payments.
    pub fn new(failpoint: Failpoint) -> Self {
        Self { failpoint, inner: Arc::default() }
    }

    /// The same payments, called by another process.
    #[must_use]
    pub fn seen_by(&self, failpoint: Failpoint) -> Self {
        Self { failpoint, inner: self.inner.clone() }
    }

    /// Sets the outcome of a payment, creating it if it does not exist; returns the result id.
    pub fn resolve(&self, order: OrderId, payment: PaymentId, outcome: PaymentOutcome) -> CommandId {
        let mut inner = lock(&self.inner);
        let record = inner.entry(payment).or_insert(PaymentRecord::new(order, payment));
        record.end(outcome);
        record.result
    }

    /// Outcome of a payment; `None` if it is unknown or pending.
    pub fn outcome(&self, payment: PaymentId) -> Option<PaymentOutcome> {
        lock(&self.inner).get(&payment).and_then(|record| record.outcome)
    }

    /// Number of captures for an order, refunded ones included.
    pub fn captures(&self, order: OrderId) -> u32 {
        lock(&self.inner).values().filter(|record| record.order == order).map(|record| record.captures).sum()
    }

    fn report(&self, payment: &Payable, act: impl FnOnce(&mut PaymentRecord)) -> Result<Report, CallFailed> {
        self.failpoint.pass()?;
        let report = {
            let mut inner = lock(&self.inner);
            let record = inner.entry(payment.payment).or_insert(PaymentRecord::new(payment.order, payment.payment));
            act(record);
            Report { outcome: record.outcome, result: record.outcome.map(|_| record.result) }
        };
        self.failpoint.pass()?;
        Ok(report)
    }
}

impl PaymentRecord {
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
        self.report(payment, |record| {
            if let (None, Some(outcome)) = (record.outcome, outcome) {
                record.end(outcome);
            }
        })
    }

    async fn settle(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        let known = lock(&self.inner).contains_key(&payment.payment);
        self.report(payment, |record| {
            if !known {
                record.end(PaymentOutcome::Voided);
            }
        })
    }

    async fn void(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        self.report(payment, |record| {
            if record.outcome.is_none() {
                record.end(PaymentOutcome::Voided);
            }
        })
    }

    async fn refund(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        self.report(payment, |record| {
            if matches!(record.outcome, Some(PaymentOutcome::Captured | PaymentOutcome::PartiallyRefunded)) {
                record.end(PaymentOutcome::Refunded);
            }
        })
    }
}

/// In-memory address book.
#[derive(Clone, Debug, Default)]
pub struct InMemoryAddresses(Arc<Mutex<BTreeMap<(UserId, AddressId), Address>>>);

impl InMemoryAddresses {
    /// Adds or replaces an entry.
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
