//! In-memory cart service.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use agora_order::{
    domain::{CartVersion, RequestedLine},
    ports::{CallFailed, Carts, Checkout, CheckoutError},
};
use agora_vocab::{CartId, CommandId, OrderId, ProductId, Quantity, UserId, Variant};
use async_trait::async_trait;
use uuid::Uuid;

use super::{Failpoint, lock};

/// In-memory cart service.
#[derive(Clone, Debug)]
pub struct InMemoryCarts {
    /// Failpoint of the calling process.
    failpoint: Failpoint,
    inner: Arc<Mutex<CartState>>,
}

#[derive(Debug, Default)]
struct CartState {
    carts: BTreeMap<UserId, (CartVersion, Vec<RequestedLine>)>,
    checkouts: BTreeMap<OrderId, (UserId, Option<Checkout>)>,
}

impl InMemoryCarts {
    pub fn new() -> Self {
        Self { failpoint: Failpoint::never(), inner: Arc::default() }
    }

    /// The same service, called by a process that crashes at `failpoint`.
    pub fn called_until(&self, failpoint: &Failpoint) -> Self {
        Self { failpoint: failpoint.clone(), inner: self.inner.clone() }
    }

    /// Adds a line to a user's cart.
    pub fn add(&self, user: UserId, product: ProductId, quantity: Quantity) {
        let mut inner = lock(&self.inner);
        let fresh = CartVersion { id: CartId::new(user.uuid()), version: 0 };
        let (cart, lines) = inner.carts.entry(user).or_insert((fresh, Vec::new()));
        cart.version += 1;
        lines.push(RequestedLine { product, variant: Variant::default(), quantity });
    }

    /// Adds a line of a variant to a user's cart.
    pub fn add_variant(&self, user: UserId, product: ProductId, variant: &str) {
        self.add(user, product, Quantity::ONE);
        let mut inner = lock(&self.inner);
        if let Some(line) = inner.carts.get_mut(&user).and_then(|(_, lines)| lines.last_mut()) {
            line.variant = Variant::stored(variant.to_owned());
        }
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
