//! Random sequences of stock operations on the store, compared with a model in memory.

use std::collections::BTreeMap;

use agora_catalog::{
    domain::{
        AdjustRefused, Adjustment, Allocation, Hold, HoldState, Lines, ReleaseAction, Reservation, Shortage,
        StockLevel, allocate, release_action,
    },
    ports::{AdjustError, Holds as _, Stock as _},
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{OrderId, ProductId};
use proptest::{prelude::*, test_runner::TestRunner};
use uuid::Uuid;

use crate::fixture::{Database, add, command, fresh, lines, main_location, named, seconds, stock_of};

/// Duration of every hold.
const HOLD_SECONDS: u32 = 600;

/// An operation on one of three products or one of six holds.
#[derive(Clone, Debug)]
enum Step {
    Adjust(usize, Adjustment),
    Reserve(usize, Vec<(usize, i64)>),
    Commit(usize),
    Release(usize),
    ExpireAll,
}

#[derive(Clone, Debug, PartialEq)]
enum StepResult {
    /// Units that are available after an adjustment.
    Adjusted(Result<i64, AdjustRefused>),
    Reserved,
    Short(Vec<Shortage>),
    Cancelled,
    Ended(Outcome<HoldState>),
    /// Number of holds that have expired.
    Expired(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..3_usize, 0..12_i64).prop_map(|(p, n)| Step::Adjust(p, Adjustment::Set(n))),
        2 => (0..3_usize, -6..6_i64).prop_map(|(p, n)| Step::Adjust(p, Adjustment::Add(n))),
        4 => (0..6_usize, prop::collection::vec((0..3_usize, 1..5_i64), 1..4)).prop_map(|(h, l)| Step::Reserve(h, l)),
        3 => (0..6_usize).prop_map(Step::Commit),
        3 => (0..6_usize).prop_map(Step::Release),
        1 => Just(Step::ExpireAll),
    ];
    prop::collection::vec(step, 1..40)
}

/// The products and orders that the numbers in steps stand for.
struct Names {
    products: [ProductId; 3],
    orders: [OrderId; 3],
}

impl Names {
    fn hold(&self, h: usize) -> Hold {
        Hold { order: self.orders[h % 3], number: if h < 3 { 1 } else { 2 } }
    }

    fn lines(&self, wanted: &[(usize, i64)]) -> Lines {
        lines(&wanted.iter().map(|&(p, n)| (self.products[p], n)).collect::<Vec<_>>())
    }
}

#[derive(Default)]
struct Model {
    levels: BTreeMap<ProductId, StockLevel>,
    holds: BTreeMap<Hold, (HoldState, Vec<Allocation>)>,
}

impl Model {
    fn add(&mut self, product: ProductId, units: i64) {
        let level = StockLevel { on_hand: units, ..StockLevel::empty(Uuid::nil(), main_location(product), 0) };
        self.levels.insert(product, level);
    }

    fn available(&self, product: ProductId) -> i64 {
        self.levels[&product].available()
    }

    fn move_units(&mut self, parts: &[Allocation], on_hand: i64, reserved: i64) {
        for Allocation { location, units } in parts {
            let level = self.levels.get_mut(&location.product).unwrap();
            *level = level.moved(on_hand * units, reserved * units);
        }
    }

    fn state(&self, hold: Hold) -> HoldState {
        self.holds.get(&hold).map_or(HoldState::Unknown, |(state, _)| *state)
    }

    fn end(&mut self, hold: Hold, to: HoldState, on_hand: i64, reserved: i64) -> HoldState {
        let parts = self.holds.get(&hold).map(|(_, parts)| parts.clone()).unwrap_or_default();
        self.move_units(&parts, on_hand, reserved);
        self.holds.insert(hold, (to, parts));
        to
    }

    fn reserve(&mut self, hold: Hold, wanted: &Lines) -> StepResult {
        match self.state(hold) {
            HoldState::Held | HoldState::Committed => return StepResult::Reserved,
            HoldState::Unknown => {}
            HoldState::Released | HoldState::Expired | HoldState::Tombstone => return StepResult::Cancelled,
        }
        let levels: Vec<_> = self.levels.values().cloned().collect();
        match allocate(wanted, &levels) {
            Err(shortages) => StepResult::Short(shortages),
            Ok(parts) => {
                self.move_units(&parts, 0, 1);
                self.holds.insert(hold, (HoldState::Held, parts));
                StepResult::Reserved
            }
        }
    }

    fn run(&mut self, names: &Names, step: &Step) -> StepResult {
        match step {
            Step::Adjust(p, by) => {
                let product = names.products[*p];
                let adjusted = self.levels[&product].adjusted(*by);
                StepResult::Adjusted(adjusted.map(|units| {
                    let level = self.levels.get_mut(&product).unwrap();
                    *level = level.moved(units, 0);
                    level.available()
                }))
            }
            Step::Reserve(h, wanted) => self.reserve(names.hold(*h), &names.lines(wanted)),
            Step::Commit(h) => {
                let hold = names.hold(*h);
                let found = self.state(hold);
                StepResult::Ended(Outcome::Applied(match found {
                    HoldState::Held => self.end(hold, HoldState::Committed, -1, -1),
                    _ => found,
                }))
            }
            Step::Release(h) => {
                let hold = names.hold(*h);
                let found = self.state(hold);
                StepResult::Ended(Outcome::Applied(match release_action(found) {
                    ReleaseAction::Free => self.end(hold, HoldState::Released, 0, -1),
                    ReleaseAction::Return => self.end(hold, HoldState::Released, 1, 0),
                    ReleaseAction::WriteTombstone => self.end(hold, HoldState::Tombstone, 0, 0),
                    ReleaseAction::Nothing => found,
                }))
            }
            Step::ExpireAll => {
                let held = self.holds.iter().filter(|(_, (state, _))| *state == HoldState::Held);
                let held: Vec<Hold> = held.map(|(hold, _)| *hold).collect();
                for hold in &held {
                    self.end(*hold, HoldState::Expired, 0, -1);
                }
                StepResult::Expired(held.len())
            }
        }
    }
}

/// Runs a step on the store.
async fn run(database: &Database, names: &Names, step: &Step) -> StepResult {
    let store = &database.store;
    match step {
        Step::Adjust(p, by) => {
            let location = main_location(names.products[*p]);
            match store.adjust(&location, *by, "admin", &DedupKey::None).await {
                Ok(listed) => StepResult::Adjusted(Ok(listed.into_inner().stock)),
                Err(AdjustError::Refused(refused)) => StepResult::Adjusted(Err(refused)),
                Err(error) => panic!("{error:?}"),
            }
        }
        Step::Reserve(h, wanted) => {
            let reserved = store.reserve(names.hold(*h), &names.lines(wanted), seconds(HOLD_SECONDS), command()).await;
            match reserved.unwrap().into_inner() {
                Reservation::Held(_) => StepResult::Reserved,
                Reservation::Short(shortages) => StepResult::Short(shortages),
                Reservation::Cancelled => StepResult::Cancelled,
            }
        }
        Step::Commit(h) => StepResult::Ended(store.commit(names.hold(*h), command()).await.unwrap()),
        Step::Release(h) => StepResult::Ended(store.release(names.hold(*h), command()).await.unwrap()),
        Step::ExpireAll => {
            database.pass(HOLD_SECONDS + 1).await;
            let mut expired = 0;
            while store.expire_one().await.unwrap().is_some() {
                expired += 1;
            }
            StepResult::Expired(expired)
        }
    }
}

#[test]
fn any_sequence_of_stock_operations_matches_the_model_and_the_ledger() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::create());
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(async {
            let mut products = [(); 3].map(|()| named("Chair"));
            products.sort_by_key(|product| product.id);
            let names = Names {
                products: products.each_ref().map(|product| product.id),
                orders: [(); 3].map(|()| OrderId::new(fresh())),
            };
            let mut model = Model::default();
            for (product, units) in products.iter().zip([0, 3, 8]) {
                add(&database, product, units).await;
                model.add(product.id, units);
            }
            for step in &steps {
                prop_assert_eq!(run(&database, &names, step).await, model.run(&names, step), "{:?}", step);
                for product in names.products {
                    prop_assert_eq!(stock_of(&database, product).await, model.available(product), "{:?}", step);
                }
            }
            database.check_invariants().await;
            // Remaining holds must not expire in the next case.
            for (hold, _) in model.holds {
                database.store.release(hold, command()).await.unwrap();
            }
            Ok(())
        })
    });
    result.unwrap();
}
