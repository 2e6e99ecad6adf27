//! In-memory implementation of the ports for tests; passes the same contract tests as PostgreSQL.
//!
//! One mutex guards the state, and each change works on a copy: a rejected change has no effect, like a rolled-back
//! transaction.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_outbox::{DedupKey, Outcome, StoredResults};
use agora_vocab::{Clock, ProductId, WarehouseId};
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    domain::{
        Adjustment, Allocation, Change, CursorKey, Expected, Hold, HoldState, Lines, Listed, Listing, Product,
        ProductPage, ReleaseAction, Reservation, Seconds, Sort, Start, StockLevel, StockLocation, Variant, allocate,
        release_action,
    },
    ports::{AdjustError, ProductError, Products, Stock, StoreError},
};

/// Products and stock in memory.
#[derive(Clone, Debug)]
pub struct InMemory {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug, Default)]
struct State {
    products: BTreeMap<ProductId, Product>,
    levels: BTreeMap<StockLocation, StockLevel>,
    holds: BTreeMap<Hold, Held>,
    answers: StoredResults,
    /// While set, every call fails with [`StoreError::Unavailable`].
    unavailable: bool,
}

#[derive(Clone, Debug)]
struct Held {
    state: HoldState,
    until: OffsetDateTime,
    parts: Vec<Allocation>,
}

impl InMemory {
    /// Creates an empty store; times and expiry use `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Arc::default(), clock }
    }

    /// Simulates an unavailable database while `unavailable` is true.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.lock().unavailable = unavailable;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        let state = self.lock();
        if state.unavailable {
            Err(StoreError::Unavailable("the fake database is unavailable".into()))
        } else {
            Ok(read(&state))
        }
    }

    /// Applies a change atomically, once per deduplication key.
    fn apply<T, E>(&self, dedup_key: &DedupKey, work: impl FnOnce(&mut State) -> Result<T, E>) -> Result<Outcome<T>, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<StoreError>,
    {
        let mut state = self.lock();
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
    fn listed(&self, id: ProductId) -> Option<Listed> {
        let product = self.products.get(&id)?.clone();
        let stock = self.levels.values().filter(|level| level.location.product == id).map(StockLevel::available).sum();
        Some(Listed { product, stock })
    }

    fn product(&self, id: ProductId, expected: &Expected) -> Result<Listed, ProductError> {
        let listed = self.listed(id).ok_or(ProductError::NotFound)?;
        expected.check(listed.product.version).map_err(ProductError::Stale)?;
        Ok(listed)
    }

    fn sku_is_free(&self, product: &Product) -> Result<(), ProductError> {
        let taken = |other: &Product| other.id != product.id && other.details.sku == product.details.sku;
        let free = product.details.sku.is_none() || !self.products.values().any(taken);
        if free { Ok(()) } else { Err(ProductError::SkuTaken) }
    }

    /// Stock levels of products that are not deleted.
    fn open_levels(&self) -> Vec<StockLevel> {
        self.levels.values().filter(|level| self.products.contains_key(&level.location.product)).cloned().collect()
    }

    fn move_units(&mut self, parts: &[Allocation], on_hand: i64, reserved: i64) {
        for part in parts {
            if let Some(level) = self.levels.get_mut(&part.location) {
                level.on_hand += on_hand * part.units;
                level.reserved += reserved * part.units;
                level.version += 1;
            }
        }
    }

    fn end(&mut self, hold: Hold, to: HoldState, on_hand: i64, reserved: i64) -> HoldState {
        if let Some(held) = self.holds.get_mut(&hold) {
            held.state = to;
            let parts = held.parts.clone();
            self.move_units(&parts, on_hand, reserved);
        }
        to
    }

    fn state_of(&self, hold: Hold) -> HoldState {
        self.holds.get(&hold).map_or(HoldState::Unknown, |held| held.state)
    }
}

#[async_trait]
impl Products for InMemory {
    async fn find(&self, id: ProductId) -> Result<Option<Listed>, StoreError> {
        self.read(|state| state.listed(id))
    }

    async fn many(&self, ids: &[ProductId]) -> Result<Vec<Listed>, StoreError> {
        self.read(|state| ids.iter().filter_map(|id| state.listed(*id)).collect())
    }

    async fn page(&self, listing: &Listing) -> Result<ProductPage, StoreError> {
        let matches = |product: &Product| {
            let details = &product.details;
            let found = listing.filter.search.as_ref().is_none_or(|search| {
                let text = format!("{}\n{}", details.name.as_str(), details.description.as_str()).to_lowercase();
                text.contains(&search.as_str().to_lowercase())
            });
            found && (listing.filter.category.is_none() || listing.filter.category == details.category)
        };
        let all: Vec<Product> = self.read(|state| state.products.values().filter(|p| matches(p)).cloned().collect())?;
        let mut all: Vec<(CursorOrder, Product)> = all.into_iter().map(|p| (order_of(&p, listing.sort), p)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        if matches!(listing.sort, Sort::PriceDown | Sort::CreatedDown) {
            all.reverse();
        }
        let start = match &listing.start {
            Start::First => 0,
            Start::Offset(offset) => usize::try_from(*offset).unwrap_or(usize::MAX),
            Start::After(cursor) => {
                let last = order_of_key(&cursor.key, cursor.id);
                let down = matches!(listing.sort, Sort::PriceDown | Sort::CreatedDown);
                all.iter().position(|(key, _)| if down { *key < last } else { *key > last }).unwrap_or(all.len())
            }
        };
        let total = matches!(listing.start, Start::Offset(_)).then_some(all.len() as u64);
        let one_more = usize::from(listing.limit.get()) + 1;
        let items = all.iter().skip(start).take(one_more);
        let items = self.read(|state| items.filter_map(|(_, product)| state.listed(product.id)).collect())?;
        Ok(ProductPage::cut(items, listing, total))
    }

    async fn add(&self, product: &Product, units: i64, dedup_key: &DedupKey) -> Result<Outcome<Listed>, ProductError> {
        let now = self.clock.now();
        self.apply(dedup_key, |state| {
            state.sku_is_free(product)?;
            let product = Product { created_at: now, updated_at: now, ..product.clone() };
            if units > 0 {
                let location =
                    StockLocation { product: product.id, variant: Variant::default(), warehouse: WarehouseId::MAIN };
                state.levels.insert(
                    location.clone(),
                    StockLevel { on_hand: units, version: 1, ..StockLevel::empty(Uuid::nil(), location, 0) },
                );
            }
            state.products.insert(product.id, product.clone());
            Ok(Listed { product, stock: units })
        })
    }

    async fn change(
        &self,
        id: ProductId,
        expected: &Expected,
        change: &Change,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, ProductError> {
        let now = self.clock.now();
        self.apply(dedup_key, |state| {
            let Listed { product, stock } = state.product(id, expected)?;
            let details = product.changed(change.clone()).map_err(ProductError::Invalid)?;
            if details == product.details {
                return Ok(Listed { product, stock });
            }
            let product = Product { details, version: product.version + 1, updated_at: now, ..product };
            state.sku_is_free(&product)?;
            state.products.insert(id, product.clone());
            Ok(Listed { product, stock })
        })
    }

    async fn remove(
        &self,
        id: ProductId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, ProductError> {
        self.apply(dedup_key, |state| {
            state.product(id, expected)?;
            state.products.remove(&id);
            Ok(())
        })
    }
}

/// Sort key of a product: only the member of the requested order is set, the id breaks ties.
type CursorOrder = (String, i64, OffsetDateTime, ProductId);

fn order_of(product: &Product, sort: Sort) -> CursorOrder {
    let (name, price) = (product.details.name.sort_key(), product.details.price.money().amount);
    match sort {
        Sort::Name => order_of_key(&CursorKey::Name(name), product.id),
        Sort::Price | Sort::PriceDown => order_of_key(&CursorKey::Price(price), product.id),
        Sort::Created | Sort::CreatedDown => order_of_key(&CursorKey::Created(product.created_at), product.id),
    }
}

fn order_of_key(key: &CursorKey, id: ProductId) -> CursorOrder {
    let never = OffsetDateTime::UNIX_EPOCH;
    match key {
        CursorKey::Name(name) => (name.clone(), 0, never, id),
        CursorKey::Price(amount) => (String::new(), *amount, never, id),
        CursorKey::Created(at) => (String::new(), 0, *at, id),
    }
}

#[async_trait]
impl Stock for InMemory {
    async fn adjust(
        &self,
        location: &StockLocation,
        by: Adjustment,
        _actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, AdjustError> {
        self.apply(dedup_key, |state| {
            if location.warehouse != WarehouseId::MAIN {
                return Err(AdjustError::UnknownWarehouse);
            }
            state.listed(location.product).ok_or(AdjustError::NotFound)?;
            let there = state
                .levels
                .entry(location.clone())
                .or_insert_with(|| StockLevel::empty(Uuid::nil(), location.clone(), 0));
            let units = there.adjusted(by).map_err(AdjustError::Refused)?;
            there.on_hand += units;
            there.version += i64::from(units != 0);
            state.listed(location.product).ok_or(AdjustError::NotFound)
        })
    }

    async fn reserve(
        &self,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        message: Uuid,
    ) -> Result<Outcome<Reservation>, StoreError> {
        let until = self.clock.now() + Duration::seconds(i64::from(seconds.get()));
        self.apply(&DedupKey::Command { id: message }, |state| {
            Ok(match (state.holds.get(&hold), allocate(lines, &state.open_levels())) {
                (Some(Held { state: HoldState::Held | HoldState::Committed, until, .. }), _) => {
                    Reservation::Held(*until)
                }
                (Some(_), _) => Reservation::Cancelled,
                (None, Err(shortages)) => Reservation::Short(shortages),
                (None, Ok(parts)) => {
                    state.move_units(&parts, 0, 1);
                    state.holds.insert(hold, Held { state: HoldState::Held, until, parts });
                    Reservation::Held(until)
                }
            })
        })
    }

    async fn commit(&self, hold: Hold, message: Uuid) -> Result<Outcome<HoldState>, StoreError> {
        self.apply(&DedupKey::Command { id: message }, |state| {
            Ok(match state.state_of(hold) {
                HoldState::Held => state.end(hold, HoldState::Committed, -1, -1),
                other => other,
            })
        })
    }

    async fn release(&self, hold: Hold, message: Uuid) -> Result<Outcome<HoldState>, StoreError> {
        let until = self.clock.now();
        self.apply(&DedupKey::Command { id: message }, |state| {
            let found = state.state_of(hold);
            Ok(match release_action(found) {
                ReleaseAction::Free => state.end(hold, HoldState::Released, 0, -1),
                ReleaseAction::Return => state.end(hold, HoldState::Released, 1, 0),
                ReleaseAction::Nothing => found,
                ReleaseAction::WriteTombstone => {
                    let tombstone = Held { state: HoldState::Tombstone, until, parts: Vec::new() };
                    state.holds.insert(hold, tombstone);
                    HoldState::Tombstone
                }
            })
        })
    }

    async fn hold_states(&self, holds: &[Hold]) -> Result<BTreeMap<Hold, HoldState>, StoreError> {
        self.read(|state| {
            let known = |hold: &&Hold| state.holds.contains_key(hold);
            holds.iter().filter(known).map(|hold| (*hold, state.state_of(*hold))).collect()
        })
    }

    async fn expire_one(&self) -> Result<Option<Hold>, StoreError> {
        let now = self.clock.now();
        let ended = self.apply(&DedupKey::None, |state| {
            let over = |held: &Held| held.state == HoldState::Held && held.until <= now;
            let next = state.holds.iter().find(|(_, held)| over(held)).map(|(hold, _)| *hold);
            if let Some(hold) = next {
                state.end(hold, HoldState::Expired, 0, -1);
            }
            Ok::<_, StoreError>(next)
        })?;
        Ok(ended.into_inner())
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}
