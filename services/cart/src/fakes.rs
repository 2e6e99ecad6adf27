//! In-memory implementation of the ports for tests; the carts pass the same contract tests as PostgreSQL.
//!
//! One mutex guards the state, and each change works on a copy: a rejected change has no effect, like a rolled-back
//! transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_outbox::{DedupKey, Outcome, StoredResults};
use agora_vocab::{LineId, Money, OrderId, ProductId, Quantity, UserId};
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    domain::{Cart, Checkout, CheckoutState, Contents, ProductCopy, QuoteResult, QuotedLine, Refused, Variant, View},
    ports::{CartError, Carts, Catalog, CatalogUnavailable, CheckoutError, NewLine, StoreError},
};

/// The [`Carts`] port in memory.
#[derive(Clone, Debug, Default)]
pub struct InMemoryCarts(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    carts: BTreeMap<UserId, Cart>,
    copies: BTreeMap<ProductId, ProductCopy>,
    /// `None` is a tombstone.
    checkouts: BTreeMap<OrderId, (CheckoutState, Option<(UserId, Checkout)>)>,
    answers: StoredResults,
    /// While set, every call fails with [`StoreError::Unavailable`].
    unavailable: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InMemoryCarts {
    /// Simulates an unavailable database while `unavailable` is true.
    pub fn set_unavailable(&self, unavailable: bool) {
        lock(&self.0).unavailable = unavailable;
    }

    /// Applies a change atomically, once per deduplication key.
    fn apply<T, E>(&self, dedup_key: &DedupKey, work: impl FnOnce(&mut State) -> Result<T, E>) -> Result<Outcome<T>, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<StoreError>,
    {
        let mut state = lock(&self.0);
        if state.unavailable {
            return Err(StoreError::Unavailable("the fake database is unavailable".into()).into());
        }
        if let Some(stored) = state.answers.find_result(dedup_key)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let mut next = state.clone();
        let answer = work(&mut next)?;
        next.answers.store_result(dedup_key, &answer)?;
        *state = next;
        Ok(Outcome::Applied(answer))
    }
}

impl State {
    fn contents(&self, user: UserId) -> Contents {
        let cart = self.carts.get(&user).cloned().unwrap_or(Cart::of(user));
        let copies = cart.products().into_iter().filter_map(|id| Some((id, self.copies.get(&id)?.clone())));
        let copies = copies.collect();
        Contents::of(cart, copies)
    }

    /// Changes the user's cart as [`contents`](Self::contents) returns it.
    fn update<T>(
        &mut self,
        user: UserId,
        change: impl FnOnce(&mut Cart) -> Result<T, CartError>,
    ) -> Result<T, CartError> {
        let mut cart = self.contents(user).cart;
        let changed = change(&mut cart)?;
        self.carts.insert(user, cart);
        Ok(changed)
    }

    fn store_copy(&mut self, copy: &ProductCopy) {
        let kept = self.copies.entry(copy.product).or_insert_with(|| copy.clone());
        if kept.version < copy.version && copy.deleted {
            (kept.version, kept.deleted) = (copy.version, true);
        } else if kept.version < copy.version {
            *kept = copy.clone();
        }
    }

    fn finish(
        &self,
        user: UserId,
        product: ProductId,
        variant: &Variant,
        quote: &QuoteResult,
    ) -> Result<View, CartError> {
        let contents = self.contents(user);
        let quoted = quote.of(product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
        contents.check(product, variant, quoted).map_err(CartError::Refused)?;
        contents.view(quote).map_err(CartError::Refused)
    }

    fn gone(&self) -> BTreeSet<ProductId> {
        self.copies.values().filter(|copy| copy.deleted).map(|copy| copy.product).collect()
    }
}

#[async_trait]
impl Carts for InMemoryCarts {
    async fn find(&self, user: UserId) -> Result<Contents, StoreError> {
        let state = lock(&self.0);
        if state.unavailable {
            return Err(StoreError::Unavailable("the fake database is unavailable".into()));
        }
        Ok(state.contents(user))
    }

    async fn stored_view(&self, dedup_key: &DedupKey) -> Result<Option<View>, StoreError> {
        let state = lock(&self.0);
        if state.unavailable {
            return Err(StoreError::Unavailable("the fake database is unavailable".into()));
        }
        state.answers.find_result(dedup_key)
    }

    async fn add(
        &self,
        found: Contents,
        line: &NewLine,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        let user = found.cart.user;
        self.apply(dedup_key, |state| {
            let product = line.product;
            let quoted = quote.of(product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
            state.store_copy(&quoted.copy);
            if state.gone().contains(&product) {
                return Err(CartError::Refused(Refused::UnknownProduct));
            }
            state.update(user, |cart| Ok(cart.add(line.at(quoted.price))?))?;
            state.finish(user, product, &line.variant, quote)
        })
    }

    async fn change(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        self.apply(dedup_key, |state| {
            let changed = state.update(user, |cart| {
                let product = cart.line(line).ok_or(CartError::NotFound)?.product;
                let quoted = quote.of(product).ok_or(Refused::UnknownProduct)?;
                cart.change(line, quantity, quoted.price).ok_or(CartError::NotFound)
            })?;
            state.finish(user, changed.product, &changed.variant, quote)
        })
    }

    async fn lower(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        self.apply(dedup_key, |state| {
            state.update(user, |cart| {
                let there = cart.line(line).ok_or(CartError::NotFound)?;
                let (quantity, seen) = (quantity.min(there.quantity), there.seen);
                cart.change(line, quantity, seen).ok_or(CartError::NotFound)
            })?;
            state.contents(user).view(&QuoteResult::default()).map_err(CartError::Refused)
        })
    }

    async fn remove(&self, user: UserId, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, CartError> {
        self.apply(dedup_key, |state| state.update(user, |cart| cart.remove(line).map(drop).ok_or(CartError::NotFound)))
    }

    async fn begin_checkout(
        &self,
        order: OrderId,
        user: UserId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Checkout>, CheckoutError> {
        self.apply(dedup_key, |state| match state.checkouts.get(&order) {
            Some((CheckoutState::Taken | CheckoutState::Done, Some((_, checkout)))) => Ok(checkout.clone()),
            Some(_) => Err(CheckoutError::Cancelled),
            None => {
                let (emptied, checkout) = state.contents(user).cart.check_out(order).ok_or(CheckoutError::Empty)?;
                state.carts.insert(user, emptied);
                state.checkouts.insert(order, (CheckoutState::Taken, Some((user, checkout.clone()))));
                Ok(checkout)
            }
        })
    }

    async fn cancel_checkout(
        &self,
        order: OrderId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<CheckoutState>, StoreError> {
        self.apply(dedup_key, |state| match state.checkouts.get(&order).cloned() {
            Some((CheckoutState::Taken, Some((user, checkout)))) => {
                let (mut cart, gone) = (state.contents(user).cart, state.gone());
                cart.restore(checkout.lines.clone(), &gone);
                state.carts.insert(user, cart);
                state.checkouts.insert(order, (CheckoutState::Returned, Some((user, checkout))));
                Ok(CheckoutState::Returned)
            }
            Some((found, _)) => Ok(found),
            None => {
                state.checkouts.insert(order, (CheckoutState::Returned, None));
                Ok(CheckoutState::Returned)
            }
        })
    }

    async fn complete_checkouts(&self, orders: &[OrderId]) -> Result<(), StoreError> {
        let completed = self.apply(&DedupKey::None, |state| {
            for order in orders {
                if let Some((found @ CheckoutState::Taken, _)) = state.checkouts.get_mut(order) {
                    *found = CheckoutState::Done;
                }
            }
            Ok(())
        });
        completed.map(Outcome::into_inner)
    }

    async fn store_copies(&self, copies: &[ProductCopy]) -> Result<(), StoreError> {
        let stored = self.apply(&DedupKey::None, |state| {
            for copy in copies {
                state.store_copy(copy);
            }
            Ok(())
        });
        stored.map(Outcome::into_inner)
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A catalog that quotes the products added by [`FakeCatalog::list_product`].
#[derive(Clone, Debug, Default)]
pub struct FakeCatalog(Arc<Mutex<(BTreeMap<ProductId, QuotedLine>, bool)>>);

impl FakeCatalog {
    /// Adds a product or replaces it; its name contains the version.
    pub fn list_product(&self, product: ProductId, version: i64, price: Money, stock: i64) {
        let copy = ProductCopy {
            product,
            version,
            name: format!("Chair {version}"),
            image_url: Some("https://example.com/chair.png".into()),
            price: Some(price),
            deleted: false,
        };
        lock(&self.0).0.insert(product, QuotedLine { copy, price, stock });
    }

    /// Removes a product.
    pub fn withdraw(&self, product: ProductId) {
        lock(&self.0).0.remove(&product);
    }

    /// Simulates an unavailable catalog while `unavailable` is true.
    pub fn set_unavailable(&self, unavailable: bool) {
        lock(&self.0).1 = unavailable;
    }
}

#[async_trait]
impl Catalog for FakeCatalog {
    async fn quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable> {
        let (known, unavailable) = &*lock(&self.0);
        if *unavailable {
            return Err(CatalogUnavailable("the fake catalog is unavailable".into()));
        }
        Ok(QuoteResult(products.iter().map(|id| (*id, known.get(id).cloned())).collect()))
    }
}
