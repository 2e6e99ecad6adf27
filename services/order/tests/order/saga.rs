//! Tests of the saga: next step as a table, and invariants under random event sequences.

use std::collections::BTreeSet;

use crate::shop::{in_memory, items};
use agora_order::{
    domain::{
        CartVersion, Hold, Line, Method, Order, OrderProgress, OwnPayment, PayWith, PaymentOutcome, PaymentStatus,
        Phase, Refused, Saga, SagaEvent, Shortage, State, Status, Step, decide, next, phase, wake_at,
    },
    ports::OrderReads as _,
};
use agora_vocab::{CartId, Currency, Money, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId};
use proptest::prelude::*;
use serde_json::json;
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

const START: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
const END: OffsetDateTime = datetime!(2026-01-02 03:19:05 UTC);
const P: PaymentId = PaymentId::new(Uuid::from_u128(1));
const Q: PaymentId = PaymentId::new(Uuid::from_u128(2));

fn state(status: Status, payment_status: PaymentStatus, saga: Saga) -> State {
    let price = Money { amount: 1999, currency: Currency::EUR };
    let line = Line {
        product: ProductId::new(Uuid::from_u128(9)),
        variant: String::new(),
        name: "Lamp".into(),
        quantity: Quantity::ONE,
        price,
        total: price,
        brand: None,
        category: None,
        supplier: None,
        seller: SellerId::HOUSE,
    };
    let payment = (payment_status != PaymentStatus::Unpaid).then_some(P);
    let hold = i32::from(!matches!(status, Status::Created | Status::Rejected));
    let order = Order {
        id: OrderId::new(Uuid::from_u128(7)),
        number: "A-1000001".into(),
        user: UserId::new(Uuid::from_u128(3)),
        cart: Some(CartVersion { id: CartId::new(Uuid::from_u128(4)), version: 1 }),
        lines: vec![line],
        total: price,
        address: None,
        expires_at: END,
        created_at: START,
        progress: OrderProgress { status, payment_status, payment, hold, declines: 0 },
        version: 1,
        event_seq: 1,
        updated_at: START,
    };
    State { order, saga }
}

fn own() -> OwnPayment {
    let PayWith { method, token } = PayWith::parse("card", "tok_ok").unwrap();
    assert_eq!(method, Method::Card);
    OwnPayment::new(P, method, token)
}

fn saga(hold: Hold) -> Saga {
    Saga { hold, ..Saga::default() }
}

#[test]
fn the_next_step_follows_the_table() {
    use PaymentStatus::{Failed, Paid, Processing, Refunded, Unpaid};
    let captured = |hold| Saga { captured: Some(P), ..saga(hold) };
    let since = |since| Saga { paying_since: Some(since), ..saga(Hold::Held) };
    let paying = Saga { own: Some(own()), paying_since: Some(START), ..saga(Hold::Held) };
    let back = Saga { cancel_checkout: true, refunds: vec![P, Q], ..saga(Hold::Gone) };
    let money = Saga { refunds: vec![P, Q], ..saga(Hold::Gone) };
    let rest = |until| Step::Wait { until };
    let second = Duration::seconds(1);
    let table = [
        (Status::Created, Unpaid, saga(Hold::Open), START, Step::Reserve { hold: 1 }),
        (Status::Created, Unpaid, saga(Hold::Open), END, Step::CloseWindow),
        (Status::Pending, Unpaid, saga(Hold::Held), START, rest(Some(END))),
        (Status::Pending, Failed, saga(Hold::Held), END - second, rest(Some(END))),
        (Status::Pending, Failed, saga(Hold::Held), END, Step::CloseWindow),
        (Status::Pending, Processing, paying.clone(), START, Step::Pay { payment: P }),
        (Status::Pending, Processing, paying, END, Step::Void { payment: P }),
        (Status::Pending, Processing, since(START), START, rest(Some(START + Duration::minutes(1)))),
        (Status::Pending, Processing, since(START), START + Duration::minutes(1), Step::Settle { payment: P }),
        (Status::Pending, Processing, since(START), END, Step::Settle { payment: P }),
        (Status::Pending, Processing, captured(Hold::Held), END, Step::Commit { hold: 1 }),
        (Status::Pending, Processing, captured(Hold::Gone), START, Step::Reserve { hold: 2 }),
        (Status::Expired, Unpaid, saga(Hold::Ending), END, Step::Release { hold: 1 }),
        (Status::Expired, Unpaid, saga(Hold::Gone), END, rest(None)),
        (Status::Expired, Processing, captured(Hold::Ending), END, Step::Release { hold: 1 }),
        (Status::Expired, Processing, captured(Hold::Gone), END, Step::Reserve { hold: 2 }),
        (Status::Expired, Processing, captured(Hold::Held), END, Step::Commit { hold: 1 }),
        (Status::Cancelled, Unpaid, saga(Hold::Ending), START, Step::Release { hold: 1 }),
        (Status::Cancelled, Paid, back.clone(), START, Step::CancelCheckout),
        (Status::Rejected, Unpaid, back, START, Step::CancelCheckout),
        (Status::Cancelled, Paid, money.clone(), START, Step::Refund { payment: P }),
        (Status::Paid, Paid, money, START, Step::Refund { payment: P }),
        (Status::Paid, Paid, saga(Hold::Committed), END, rest(None)),
        (Status::Completed, Paid, saga(Hold::Committed), END, rest(None)),
        (Status::Refunded, Refunded, saga(Hold::Committed), END, rest(None)),
    ];
    for (status, payment_status, saga, now, expected) in table {
        let state = state(status, payment_status, saga);
        assert_eq!(next(&state, now), expected, "{status} {payment_status} {:?}", state.saga);
    }
}

#[test]
fn backoff_delays_calls_but_not_the_end_of_the_payment_window() {
    let later = START + Duration::seconds(9);
    let paused = Saga { not_before: Some(later), ..Saga::default() };
    let created = state(Status::Created, PaymentStatus::Unpaid, paused);
    assert_eq!(next(&created, START), Step::Wait { until: Some(later) });
    assert_eq!(wake_at(&created, START), Some(later));
    assert_eq!(next(&created, later), Step::Reserve { hold: 1 });
    assert_eq!(next(&created, END), Step::CloseWindow);
}

#[test]
fn phase_is_running_waiting_done_or_stuck() {
    let stuck = Saga { failing_since: Some(START), ..Saga::default() };
    let phases = [
        (state(Status::Created, PaymentStatus::Unpaid, Saga::default()), START, Phase::Running),
        (state(Status::Pending, PaymentStatus::Unpaid, saga(Hold::Held)), START, Phase::Waiting),
        (state(Status::Paid, PaymentStatus::Paid, saga(Hold::Committed)), START, Phase::Done),
        (state(Status::Created, PaymentStatus::Unpaid, stuck), START + Duration::minutes(11), Phase::Stuck),
    ];
    for (state, now, expected) in phases {
        assert_eq!(phase(&state, now), expected);
    }
}

fn events() -> Vec<SagaEvent> {
    let shortage = Shortage { product: None, requested: 1, available: 0 };
    let outcomes = [
        PaymentOutcome::Captured,
        PaymentOutcome::Declined,
        PaymentOutcome::Failed,
        PaymentOutcome::Voided,
        PaymentOutcome::PartiallyRefunded,
        PaymentOutcome::Refunded,
    ];
    let results =
        outcomes.into_iter().flat_map(|outcome| [P, Q].map(|payment| SagaEvent::PaymentResult { payment, outcome }));
    let holds = (0..4).flat_map(|hold| {
        [
            SagaEvent::StockReserved { hold },
            SagaEvent::StockUnavailable { hold, shortage },
            SagaEvent::StockCommitted { hold },
            SagaEvent::ReservationLost { hold },
            SagaEvent::StockReleased { hold },
        ]
    });
    let requests = Status::ALL.into_iter().map(SagaEvent::StatusRequested).chain([
        SagaEvent::CancelRequested,
        SagaEvent::PaymentRequested { payment: Q, user: UserId::new(Uuid::from_u128(3)), amount: None },
    ]);
    let others =
        [SagaEvent::WindowChecked, SagaEvent::CheckoutCancelled, SagaEvent::PaymentPending, SagaEvent::StepFailed];
    results.chain(holds).chain(requests).chain(others).collect()
}

/// Every state that is reachable from a new order, with and without its own payment, within `depth` events.
fn reachable(depth: usize) -> Vec<State> {
    let start = |own| state(Status::Created, PaymentStatus::Unpaid, Saga { own, ..Saga::default() });
    let mut fresh = vec![start(None), start(Some(own()))];
    let mut seen = BTreeSet::new();
    let mut all = fresh.clone();
    let events = events();
    for _ in 0..depth {
        let mut found: Vec<State> = Vec::new();
        for (state, event) in fresh.iter().flat_map(|state| events.iter().map(move |event| (state, event))) {
            let decisions = [START, END].map(|now| decide(state, event, now));
            let states = decisions.into_iter().flatten().map(|decision| without_counters(decision.state));
            found.extend(states.filter(|state| seen.insert(json!([state.order.progress, state.saga]).to_string())));
        }
        all.extend(found.iter().cloned());
        fresh = found;
    }
    all
}

/// Resets counters and times, so that they do not distinguish states.
fn without_counters(mut state: State) -> State {
    (state.order.version, state.order.event_seq, state.order.updated_at) = (1, 1, START);
    let Saga { queries, failures, not_before, failing_since, shortage, .. } = &mut state.saga;
    (*queries, *failures, *not_before, *failing_since, *shortage) = (0, 0, None, None, None);
    state
}

#[test]
fn every_event_in_every_reachable_state_follows_the_transition_tables() {
    let (states, events) = (reachable(4), events());
    assert!(states.len() > 200, "{}", states.len());
    for (state, event) in states.iter().flat_map(|state| events.iter().map(move |event| (state, event))) {
        for now in [START, END] {
            let is_request = matches!(
                event,
                SagaEvent::StatusRequested(_) | SagaEvent::CancelRequested | SagaEvent::PaymentRequested { .. }
            );
            match decide(state, event, now) {
                Err(refused) => assert!(is_request, "{event:?} of {state:?}: {refused}"),
                Ok(decision) => check_decision(state, &decision, event),
            }
        }
    }
}

fn check_decision(before: &State, decision: &agora_order::domain::Decision, event: &SagaEvent) {
    let (from, to) = (before.order.progress, decision.state.order.progress);
    assert!(from.status == to.status || from.status.leads_to(to.status));
    assert!(from.payment_status == to.payment_status || from.payment_status.leads_to(to.payment_status));
    assert_eq!(decision.entry.is_some(), from != to, "{event:?}");
    let version = i64::from(from != to);
    assert_eq!(decision.state.order.version - before.order.version, version);
    assert_eq!(decision.state.order.event_seq - before.order.event_seq, i64::from(from.status != to.status));
    let token = decision.state.saga.unsettled_own_payment().is_some();
    assert!(!token || matches!(to.status, Status::Created | Status::Pending), "a token outlives {}", to.status);
}

#[test]
fn requests_for_unlisted_transitions_are_rejected() {
    for from in Status::ALL {
        for to in Status::ALL {
            let money = if from.is_paid() { PaymentStatus::Paid } else { PaymentStatus::Unpaid };
            let state = state(from, money, saga(Hold::Held));
            let allowed = from.leads_to(to)
                && matches!(to, Status::Processing | Status::Shipped | Status::Completed | Status::Cancelled);
            let result = decide(&state, &SagaEvent::StatusRequested(to), START);
            match result {
                Ok(decision) => assert!(allowed && decision.state.order.progress.status == to, "{from} -> {to}"),
                Err(refused) => {
                    assert_eq!(refused, Refused::InvalidTransition { from, to: Some(to) });
                    assert!(!allowed, "{from} -> {to}");
                }
            }
        }
    }
}

#[test]
fn a_payment_in_progress_blocks_cancellation_expiry_and_other_payments() {
    let paying = Saga { paying_since: Some(START), ..saga(Hold::Held) };
    let state = state(Status::Pending, PaymentStatus::Processing, paying);
    let user = state.order.user;
    assert_eq!(decide(&state, &SagaEvent::CancelRequested, START), Err(Refused::PaymentInProgress));
    let other = SagaEvent::PaymentRequested { payment: Q, user, amount: None };
    assert_eq!(decide(&state, &other, START), Err(Refused::PaymentInProgress));
    assert_eq!(decide(&state, &SagaEvent::WindowChecked, END).unwrap().entry, None);
    let same = SagaEvent::PaymentRequested { payment: P, user, amount: Some(state.order.total) };
    assert_eq!(decide(&state, &same, END).unwrap().entry, None);
}

#[test]
fn a_declined_payment_cannot_start_again_and_counts_once() {
    let paying = Saga { paying_since: Some(START), ..saga(Hold::Held) };
    let before = state(Status::Pending, PaymentStatus::Processing, paying);
    let declined = SagaEvent::PaymentResult { payment: P, outcome: PaymentOutcome::Declined };
    let after = decide(&before, &declined, START).unwrap().state;
    assert_eq!(after.order.progress.declines, 1);
    assert_eq!(decide(&after, &declined, START).unwrap().state, after);
    let late = SagaEvent::PaymentRequested { payment: P, user: after.order.user, amount: None };
    assert!(matches!(decide(&after, &late, START), Err(Refused::InvalidTransition { .. })));
    let failed = SagaEvent::PaymentResult { payment: P, outcome: PaymentOutcome::Failed };
    let after = decide(&before, &failed, START).unwrap().state;
    assert!(decide(&after, &late, START).unwrap().entry.is_some(), "a failed payment can start again");
}

/// A random action on one of two orders.
#[derive(Clone, Copy, Debug)]
enum Action {
    Begin(u128),
    Resolve(u128, PaymentOutcome),
    DeliverResult(u128),
    Cancel,
    Advance(&'static str),
    HoldEnds,
    Pass(i64),
    Work,
    OtherPurchase,
}

fn actions() -> impl Strategy<Value = Vec<(bool, Action)>> {
    let payment = 1..4_u128;
    let outcome = prop_oneof![
        3 => Just(PaymentOutcome::Captured),
        1 => Just(PaymentOutcome::Declined),
        1 => Just(PaymentOutcome::Failed),
    ];
    let one = prop_oneof![
        3 => payment.clone().prop_map(Action::Begin),
        3 => (payment.clone(), outcome).prop_map(|(payment, outcome)| Action::Resolve(payment, outcome)),
        3 => payment.prop_map(Action::DeliverResult),
        1 => Just(Action::Cancel),
        1 => prop_oneof![Just("processing"), Just("shipped")].prop_map(Action::Advance),
        1 => Just(Action::HoldEnds),
        2 => (1..1000_i64).prop_map(Action::Pass),
        2 => Just(Action::Work),
        1 => Just(Action::OtherPurchase),
    ];
    prop::collection::vec((any::<bool>(), one), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn payments_are_captured_exactly_for_committed_stock(actions in actions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run_actions(actions));
    }
}

async fn run_actions(actions: Vec<(bool, Action)>) {
    let (shop, orders, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 3);
    let both = [shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await];
    let mut bought = 0;
    // Payment numbers are distinct per order.
    let number = |second: bool, payment: u128| payment + 10 * u128::from(second);
    let id = |n: u128| PaymentId::new(Uuid::from_u128(n));
    let mut results = Vec::new();
    for (step, (second, action)) in actions.into_iter().enumerate() {
        let order = both[usize::from(second)];
        match action {
            Action::Begin(payment) => drop(shop.begin(order, number(second, payment)).await),
            Action::Resolve(payment, outcome) => {
                let n = number(second, payment);
                if shop.fakes.payments.outcome(id(n)).is_none() {
                    let result = shop.fakes.payments.resolve(order, id(n), outcome);
                    results.push((order, n, result.uuid().as_u128(), outcome));
                }
            }
            Action::DeliverResult(payment) => {
                for (order, n, result, outcome) in results.iter().filter(|(_, n, ..)| *n == number(second, payment)) {
                    shop.result(*order, *n, (*result, word(*outcome))).await.expect(200);
                }
            }
            Action::Cancel => drop(shop.cancel(order).await),
            Action::Advance(status) => drop(shop.advance(order, status).await),
            Action::HoldEnds => shop.fakes.catalog.expire(order, 1),
            Action::Pass(seconds) => clock.advance(Duration::seconds(seconds)),
            Action::Work => shop.settle().await,
            Action::OtherPurchase => {
                bought += u32::from(shop.order(&format!("s{step}"), items(lamp, 1)).await.status == 201);
            }
        }
    }
    // Deliver all results and let enough time pass for every saga to finish.
    for (order, n, result, outcome) in &results {
        shop.result(*order, *n, (*result, word(*outcome))).await.expect(200);
    }
    for _ in 0..4 {
        clock.advance(Duration::seconds(1000));
        shop.settle().await;
    }
    let mut held = 0;
    for order in both {
        let state = orders.load(order).await.unwrap().unwrap();
        let (progress, saga) = (state.state.order.progress, state.state.saga.clone());
        assert_eq!(next(&state.state, state.now), Step::Wait { until: None }, "{progress:?} {saga:?}");
        let paid = progress.status.is_paid();
        let committed = shop.fakes.catalog.hold(order, progress.hold) == Some("committed");
        assert_eq!(paid, committed, "{progress:?} {saga:?}");
        held += u32::from(committed);
        let stored: Vec<u128> = results
            .iter()
            .filter(|(of, ..)| *of == order)
            .map(|(_, n, ..)| *n)
            .filter(|n| shop.fakes.payments.outcome(id(*n)) == Some(PaymentOutcome::Captured))
            .collect();
        let expected: Vec<u128> = if paid { vec![progress.payment.unwrap().uuid().as_u128()] } else { vec![] };
        assert_eq!(stored, expected, "{progress:?} {saga:?}");
    }
    // The other purchases were never paid, so their stock is released.
    let _ = bought;
    assert_eq!(shop.fakes.catalog.available(lamp), 3 - held, "{}", json!(bought));
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
