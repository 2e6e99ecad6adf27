//! Random sequences of payments, cancellations, lost reservations and elapsed time on two orders that compete for stock:
//! payments are captured exactly for committed stock.

use std::{cell::RefCell, collections::BTreeMap};

use agora_order::{
    domain::{PaymentOutcome, PaymentStatus, Status, Step, next},
    ports::OrderReads as _,
};
use agora_vocab::{CommandId, OrderId, ProductId};
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use time::Duration;

use super::{
    shop::{Shop, items},
    store::TestStore,
};

/// Sequences to run, the same in every run.
const CASES: u32 = 120;
/// Environment variable with another number of sequences; a greater one begins with the same.
const CASES_VARIABLE: &str = "AGORA_ORDER_CASES";
/// Attempts to shorten a sequence that fails.
const SHRINKS_MAX: u32 = 100;

const UNITS: u32 = 3;

/// Final states that the sequences must reach, or they test less than they seem to.
const INTERESTING: [(Status, PaymentStatus); 9] = [
    (Status::Paid, PaymentStatus::Paid),
    (Status::Processing, PaymentStatus::Paid),
    (Status::Shipped, PaymentStatus::Paid),
    (Status::Cancelled, PaymentStatus::Unpaid),
    (Status::Cancelled, PaymentStatus::Failed),
    (Status::Cancelled, PaymentStatus::Refunded),
    (Status::Expired, PaymentStatus::Unpaid),
    (Status::Expired, PaymentStatus::Failed),
    (Status::Expired, PaymentStatus::Refunded),
];

/// An action on one of two orders.
#[derive(Clone, Copy, Debug)]
enum Action {
    Begin(u32),
    Resolve(u32, PaymentOutcome),
    DeliverResult(u32),
    Cancel,
    /// Requests so many of the statuses that follow a payment.
    Advance(usize),
    HoldEnds,
    Pass(i64),
    Work,
    OtherPurchase,
}

fn actions() -> impl Strategy<Value = Vec<(bool, Action)>> {
    let payment = 1..4_u32;
    let outcome = prop_oneof![
        3 => Just(PaymentOutcome::Captured),
        2 => Just(PaymentOutcome::Declined),
        1 => Just(PaymentOutcome::Failed),
    ];
    let one = prop_oneof![
        3 => payment.clone().prop_map(Action::Begin),
        3 => (payment.clone(), outcome).prop_map(|(payment, outcome)| Action::Resolve(payment, outcome)),
        3 => payment.prop_map(Action::DeliverResult),
        1 => Just(Action::Cancel),
        3 => (1..=2_usize).prop_map(Action::Advance),
        1 => Just(Action::HoldEnds),
        2 => (1..1000_i64).prop_map(Action::Pass),
        2 => Just(Action::Work),
        2 => Just(Action::OtherPurchase),
    ];
    prop::collection::vec((any::<bool>(), one), 1..40)
}

/// What the sequences reached.
#[derive(Debug, Default)]
struct Reached {
    /// How often the orders ended in a state.
    states: BTreeMap<(Status, PaymentStatus), u32>,
    second_reservations: u32,
    other_purchases: u32,
    sold_out: u32,
}

#[test]
fn payments_are_captured_exactly_for_committed_stock() {
    let cases = cases();
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: SHRINKS_MAX, ..Default::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(TestStore::new());
    let reached = RefCell::new(Reached::default());
    let outcome = runner.run(&actions(), |actions| {
        runtime.block_on(run(store.clone(), actions, &mut reached.borrow_mut()));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));

    let reached = reached.into_inner();
    if cases >= CASES {
        let missing: Vec<_> = INTERESTING.iter().filter(|state| !reached.states.contains_key(state)).collect();
        assert!(missing.is_empty(), "{missing:?} of {reached:?}");
        assert!(reached.second_reservations > 0 && reached.other_purchases > 0 && reached.sold_out > 0, "{reached:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a setting of this test alone")]
fn cases() -> u32 {
    std::env::var(CASES_VARIABLE).map_or(CASES, |text| text.parse().unwrap())
}

/// Two pending orders and the payment results that exist for them.
struct Orders {
    shop: Shop,
    lamp: ProductId,
    both: [OrderId; 2],
    results: Vec<Delivery>,
}

#[derive(Clone, Copy)]
struct Delivery {
    order: OrderId,
    payment: u32,
    result: CommandId,
    outcome: PaymentOutcome,
}

async fn run(store: TestStore, actions: Vec<(bool, Action)>, reached: &mut Reached) {
    let shop = Shop::on(store);
    let lamp = shop.fakes.catalog.offer(100, UNITS);
    let both = [shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await];
    let mut orders = Orders { shop, lamp, both, results: Vec::new() };
    for (step, (second, action)) in actions.into_iter().enumerate() {
        match orders.act(step, second, action).await {
            Some(201) => reached.other_purchases += 1,
            Some(409) => reached.sold_out += 1,
            Some(status) => panic!("another purchase got {status}"),
            None => {}
        }
    }
    orders.finish().await;
    orders.check(reached).await;
}

impl Orders {
    /// Payment numbers are distinct per order.
    const fn payment(second: bool, payment: u32) -> u32 {
        if second { payment + 10 } else { payment }
    }

    /// Performs an action; returns the status of another purchase.
    async fn act(&mut self, step: usize, second: bool, action: Action) -> Option<u16> {
        let (shop, order) = (&self.shop, self.both[usize::from(second)]);
        match action {
            Action::Begin(payment) => drop(shop.begin(order, Self::payment(second, payment)).await),
            Action::Resolve(payment, outcome) => {
                let payment = Self::payment(second, payment);
                if shop.fakes.payments.outcome(shop.payment(payment)).is_none() {
                    let result = shop.fakes.payments.resolve(order, shop.payment(payment), outcome);
                    self.results.push(Delivery { order, payment, result, outcome });
                }
            }
            Action::DeliverResult(payment) => self.deliver(Some(Self::payment(second, payment))).await,
            Action::Cancel => drop(shop.cancel(order).await),
            Action::Advance(count) => {
                for status in &["processing", "shipped"][..count] {
                    drop(shop.advance(order, status).await);
                }
            }
            Action::HoldEnds => shop.fakes.catalog.expire(order, 1),
            Action::Pass(seconds) => shop.store.pass(Duration::seconds(seconds)).await,
            Action::Work => shop.settle().await,
            Action::OtherPurchase => {
                return Some(shop.order(&format!("s{step}"), items(self.lamp, 1)).await.status);
            }
        }
        None
    }

    /// Delivers the results of one payment, or all.
    async fn deliver(&self, only: Option<u32>) {
        let chosen = self.results.iter().filter(|delivery| only.is_none_or(|payment| delivery.payment == payment));
        for Delivery { order, payment, result, outcome } in chosen {
            self.shop.deliver(*order, *payment, (*result, word(*outcome))).await.expect(200);
        }
    }

    /// Delivers all results and lets enough time pass for every saga to finish.
    async fn finish(&self) {
        self.deliver(None).await;
        for _ in 0..4 {
            self.shop.store.pass(Duration::seconds(1000)).await;
            self.shop.settle().await;
        }
    }

    async fn check(&self, reached: &mut Reached) {
        let fakes = &self.shop.fakes;
        let mut sold = 0;
        for order in self.both {
            let snapshot = self.shop.store.orders.load(order).await.unwrap().unwrap();
            let (progress, saga) = (snapshot.state.order.progress, &snapshot.state.saga);
            assert_eq!(next(&snapshot.state, snapshot.now), Step::Wait { until: None }, "{progress:?} {saga:?}");
            let paid = progress.status.is_paid();
            let committed = fakes.catalog.hold(order, progress.hold) == Some("committed");
            assert_eq!(paid, committed, "{progress:?} {saga:?}");
            sold += u32::from(committed);
            let kept: Vec<_> = self
                .results
                .iter()
                .filter(|delivery| delivery.order == order)
                .map(|delivery| self.shop.payment(delivery.payment))
                .filter(|payment| fakes.payments.outcome(*payment) == Some(PaymentOutcome::Captured))
                .collect();
            let expected = if paid { vec![progress.payment.unwrap()] } else { vec![] };
            assert_eq!(kept, expected, "{progress:?} {saga:?}");
            *reached.states.entry((progress.status, progress.payment_status)).or_default() += 1;
            reached.second_reservations += u32::from(paid && progress.hold > 1);
        }
        // The other purchases were never paid, so their stock is given back.
        assert_eq!(fakes.catalog.available(self.lamp), UNITS - sold);
    }
}

fn word(outcome: PaymentOutcome) -> &'static str {
    match outcome {
        PaymentOutcome::Captured => "captured",
        PaymentOutcome::Declined => "declined",
        PaymentOutcome::Failed => "failed",
        PaymentOutcome::Voided => "voided",
        PaymentOutcome::PartiallyRefunded => "partially_refunded",
        PaymentOutcome::Refunded => "refunded",
    }
}
