//! In-memory catalog service.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use agora_order::{
    domain::{Product, RequestedLine, Shortage},
    ports::{CallFailed, Catalog, NewHold, Reserving, ReturnedUnits},
};
use agora_vocab::{CommandId, Currency, Money, OrderId, ProductId, ReturnId, SellerId};
use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Failpoint, lock};

/// Bound of a wait that ends early if the service works.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// In-memory catalog service.
#[derive(Clone, Debug)]
pub struct InMemoryCatalog {
    /// Failpoint of the calling process.
    failpoint: Failpoint,
    inner: Arc<Mutex<CatalogState>>,
    /// Notified of every change of stock that is given back.
    returned: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct CatalogState {
    products: BTreeMap<ProductId, Product>,
    on_hand: BTreeMap<ProductId, u32>,
    holds: BTreeMap<(OrderId, i32), (Vec<RequestedLine>, &'static str)>,
    taken_back: BTreeSet<ReturnId>,
}

impl InMemoryCatalog {
    pub fn new() -> Self {
        Self { failpoint: Failpoint::never(), inner: Arc::default(), returned: Arc::default() }
    }

    /// The same service, called by a process that crashes at `failpoint`.
    pub fn called_until(&self, failpoint: &Failpoint) -> Self {
        Self { failpoint: failpoint.clone(), ..self.clone() }
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
            supplier: Some("Bright Ltd".to_owned()),
            seller: SellerId::HOUSE,
            variants: BTreeMap::new(),
        };
        inner.products.insert(id, product);
        inner.on_hand.insert(id, units);
        id
    }

    /// Gives a product another name and price.
    pub fn change(&self, product: ProductId, name: &str, cents: i64) {
        let mut inner = lock(&self.inner);
        let product = inner.products.get_mut(&product).unwrap();
        name.clone_into(&mut product.name);
        product.price.amount = cents;
    }

    /// Lets another seller sell a product.
    pub fn sell_by(&self, product: ProductId, seller: SellerId) {
        lock(&self.inner).products.get_mut(&product).unwrap().seller = seller;
    }

    /// Units that are not reserved.
    pub fn available(&self, product: ProductId) -> u32 {
        lock(&self.inner).on_hand.get(&product).copied().unwrap_or_default()
    }

    /// Waits until `units` are available.
    ///
    /// # Panics
    /// After [`WAIT_MAX`].
    pub async fn until_available(&self, product: ProductId, units: u32) {
        let mut returned = self.returned.subscribe();
        let reached = returned.wait_for(|()| self.available(product) >= units);
        let waited = tokio::time::timeout(WAIT_MAX, reached).await;
        waited.unwrap_or_else(|_| panic!("{product} is not given back")).unwrap();
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

    async fn take_back(&self, _: CommandId, units: &ReturnedUnits) -> Result<(), CallFailed> {
        self.failpoint.pass()?;
        {
            let mut inner = lock(&self.inner);
            let sold = matches!(inner.holds.get(&(units.order, units.hold)), Some((_, "committed")));
            if sold && inner.taken_back.insert(units.id) {
                for line in &units.lines {
                    *inner.on_hand.entry(line.product).or_default() += line.quantity.get();
                }
            }
        }
        Ok(self.failpoint.pass()?)
    }

    async fn release(&self, _: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed> {
        self.failpoint.pass()?;
        lock(&self.inner).end(order, hold, "released");
        self.returned.send_replace(());
        Ok(self.failpoint.pass()?)
    }
}
