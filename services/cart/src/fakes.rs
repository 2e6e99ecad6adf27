//! Carts and a catalogue in memory, for tests; the carts are held to the same laws as the true ones. One lock, one copy of
//! everything per change: a refusal leaves no trace, as a rolled back transaction does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_outbox::{DedupKey, Outcome, StoredResults};
use agora_vocab::{LineId, Money, OrderId, ProductId, Quantity, UserId};
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    domain::{Cart, Contents, Copy, Line, Offer, Offers, Refused, Taking, TakingState, Variant, View, with_given_back},
    ports::{CartError, Carts, Catalogue, CatalogueAway, NewLine, StoreError, TakeError},
};

/// Carts in memory.
#[derive(Clone, Debug, Default)]
pub struct InMemoryCarts(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    carts: BTreeMap<UserId, Cart>,
    copies: BTreeMap<ProductId, Copy>,
    /// `None`: a tombstone.
    takings: BTreeMap<OrderId, (TakingState, Option<(UserId, Taking)>)>,
    answers: StoredResults,
    /// While set, every call is refused as it is by a database that is away.
    away: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InMemoryCarts {
    /// From now on as a database that is away, or back.
    pub fn set_away(&self, away: bool) {
        lock(&self.0).away = away;
    }

    /// A change of everything or nothing, done once per cause.
    fn once<T, E>(&self, dedup_key: &DedupKey, work: impl FnOnce(&mut State) -> Result<T, E>) -> Result<Outcome<T>, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<StoreError>,
    {
        let mut state = lock(&self.0);
        if state.away {
            return Err(StoreError::Unavailable("the fake database is away".into()).into());
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
        Contents { copies: copies.collect(), cart }
    }

    fn cart(&mut self, user: UserId) -> &mut Cart {
        let cart = self.carts.entry(user).or_insert_with(|| Cart::of(user));
        cart.version += 1;
        cart
    }

    fn own_line(&self, user: UserId, line: LineId) -> Result<Line, CartError> {
        let lines = self.carts.get(&user).map(|cart| cart.lines.as_slice()).unwrap_or_default();
        lines.iter().find(|there| there.id == line).cloned().ok_or(CartError::NotFound)
    }

    fn keep(&mut self, copy: &Copy) {
        let kept = self.copies.entry(copy.product).or_insert_with(|| copy.clone());
        if kept.version < copy.version && copy.deleted {
            (kept.version, kept.deleted) = (copy.version, true);
        } else if kept.version < copy.version {
            *kept = copy.clone();
        }
    }

    fn finish(&self, user: UserId, product: ProductId, variant: &Variant, offers: &Offers) -> Result<View, CartError> {
        let contents = self.contents(user);
        let offer = offers.of(product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
        contents.check(product, variant, offer).map_err(CartError::Refused)?;
        contents.view(offers).map_err(CartError::Refused)
    }

    fn gone(&self) -> BTreeSet<ProductId> {
        self.copies.values().filter(|copy| copy.deleted).map(|copy| copy.product).collect()
    }
}

#[async_trait]
impl Carts for InMemoryCarts {
    async fn find(&self, user: UserId) -> Result<Contents, StoreError> {
        let state = lock(&self.0);
        if state.away {
            return Err(StoreError::Unavailable("the fake database is away".into()));
        }
        Ok(state.contents(user))
    }

    async fn answered(&self, dedup_key: &DedupKey) -> Result<Option<View>, StoreError> {
        let state = lock(&self.0);
        if state.away {
            return Err(StoreError::Unavailable("the fake database is away".into()));
        }
        state.answers.find_result(dedup_key)
    }

    async fn add(
        &self,
        found: Contents,
        line: &NewLine,
        offers: &Offers,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        let user = found.cart.user;
        self.once(dedup_key, |state| {
            let product = line.product;
            let offer = offers.of(product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
            state.keep(&offer.copy);
            if state.gone().contains(&product) {
                return Err(CartError::Refused(Refused::UnknownProduct));
            }
            let cart = state.carts.entry(user).or_insert_with(|| Cart::of(user));
            cart.add(line.at(offer.price)).map_err(CartError::Refused)?;
            state.finish(user, product, &line.variant, offers)
        })
    }

    async fn change(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        offers: &Offers,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        self.once(dedup_key, |state| {
            let Line { product, variant, .. } = state.own_line(user, line)?;
            let offer = offers.of(product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
            for there in state.cart(user).lines.iter_mut().filter(|there| there.id == line) {
                (there.quantity, there.seen) = (quantity, offer.price);
            }
            state.finish(user, product, &variant, offers)
        })
    }

    async fn lower(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError> {
        self.once(dedup_key, |state| {
            state.own_line(user, line)?;
            for there in state.cart(user).lines.iter_mut().filter(|there| there.id == line) {
                there.quantity = there.quantity.min(quantity);
            }
            state.contents(user).view(&Offers::default()).map_err(CartError::Refused)
        })
    }

    async fn remove(&self, user: UserId, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, CartError> {
        self.once(dedup_key, |state| {
            state.own_line(user, line)?;
            state.cart(user).lines.retain(|there| there.id != line);
            Ok(())
        })
    }

    async fn take(&self, order: OrderId, user: UserId, dedup_key: &DedupKey) -> Result<Outcome<Taking>, TakeError> {
        self.once(dedup_key, |state| match state.takings.get(&order) {
            Some((TakingState::Taken | TakingState::Done, Some((_, taking)))) => Ok(taking.clone()),
            Some(_) => Err(TakeError::Cancelled),
            None => {
                let Cart { id, version, lines, .. } = state.contents(user).cart;
                if lines.is_empty() {
                    return Err(TakeError::Empty);
                }
                let taking = Taking { order, cart: id, version, lines };
                state.takings.insert(order, (TakingState::Taken, Some((user, taking.clone()))));
                state.cart(user).lines.clear();
                Ok(taking)
            }
        })
    }

    async fn give_back(&self, order: OrderId, dedup_key: &DedupKey) -> Result<Outcome<TakingState>, StoreError> {
        self.once(dedup_key, |state| match state.takings.get(&order).cloned() {
            Some((TakingState::Taken, Some((user, taking)))) => {
                let there = state.contents(user).cart.lines;
                let lines = with_given_back(there.clone(), taking.lines.clone(), &state.gone());
                if lines != there {
                    state.cart(user).lines = lines;
                }
                state.takings.insert(order, (TakingState::Returned, Some((user, taking))));
                Ok(TakingState::Returned)
            }
            Some((found, _)) => Ok(found),
            None => {
                state.takings.insert(order, (TakingState::Returned, None));
                Ok(TakingState::Returned)
            }
        })
    }

    async fn settle(&self, order: OrderId, dedup_key: &DedupKey) -> Result<Outcome<()>, StoreError> {
        self.once(dedup_key, |state| {
            if let Some((found @ TakingState::Taken, _)) = state.takings.get_mut(&order) {
                *found = TakingState::Done;
            }
            Ok(())
        })
    }

    async fn learn(&self, copy: &Copy, dedup_key: &DedupKey) -> Result<Outcome<()>, StoreError> {
        self.once(dedup_key, |state| {
            state.keep(copy);
            Ok(())
        })
    }

    async fn drop_product(&self, product: ProductId) -> Result<u64, StoreError> {
        let dropped = self.once(&DedupKey::None, |state| {
            let holds = |cart: &&mut Cart| cart.products().contains(&product);
            let mut dropped = 0;
            for cart in state.carts.values_mut().filter(holds) {
                cart.lines.retain(|line| line.product != product);
                cart.version += 1;
                dropped += 1;
            }
            Ok::<_, StoreError>(dropped)
        })?;
        Ok(dropped.into_inner())
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A catalogue that offers what it is told to.
#[derive(Clone, Debug, Default)]
pub struct FakeCatalogue(Arc<Mutex<(BTreeMap<ProductId, Offer>, bool)>>);

impl FakeCatalogue {
    /// Offers a product from now on, named after its stock.
    pub fn offer(&self, product: ProductId, version: i64, price: Money, stock: i64) {
        let copy = Copy {
            product,
            version,
            name: format!("Chair {version}"),
            image_url: Some("https://example.com/chair.png".into()),
            price: Some(price),
            deleted: false,
        };
        lock(&self.0).0.insert(product, Offer { copy, price, stock });
    }

    /// Does not know a product any longer.
    pub fn withdraw(&self, product: ProductId) {
        lock(&self.0).0.remove(&product);
    }

    /// From now on does not answer, or does again.
    pub fn set_away(&self, away: bool) {
        lock(&self.0).1 = away;
    }
}

#[async_trait]
impl Catalogue for FakeCatalogue {
    async fn offers(&self, products: &[ProductId]) -> Result<Offers, CatalogueAway> {
        let (known, away) = &*lock(&self.0);
        if *away {
            return Err(CatalogueAway("the fake catalogue is away".into()));
        }
        Ok(Offers(products.iter().map(|id| (*id, known.get(id).cloned())).collect()))
    }
}
