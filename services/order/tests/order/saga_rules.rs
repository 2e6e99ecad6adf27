//! Tests of the domain's rules: the next step as a table, and every event in every reachable state. No database.

use std::collections::BTreeSet;

use agora_order::domain::{
    CartVersion, Charges, Hold, Line, Method, Order, OrderProgress, OwnPayment, PayWith, PaymentOutcome, PaymentStatus,
    Phase, Refused, Saga, SagaEvent, Shortage, State, Status, Step, decide, next, phase, wake_at,
};
use agora_vocab::{CartId, Currency, Money, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId, Variant};
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
        variant: Variant::default(),
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
        charges: Charges::default(),
        address: None,
        expires_at: END,
        created_at: START,
        progress: OrderProgress { status, payment_status, payment, hold, declines: 0 },
        shipments: Vec::new(),
        returns: Vec::new(),
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
fn no_compensation_waits_for_another_that_fails() {
    let failing = |failures| Saga { cancel_checkout: true, refunds: vec![P, Q], failures, ..saga(Hold::Ending) };
    let steps: Vec<_> =
        (0..5).map(|failures| next(&state(Status::Cancelled, PaymentStatus::Paid, failing(failures)), START)).collect();
    let (release, refund) = (Step::Release { hold: 1 }, |payment| Step::Refund { payment });
    assert_eq!(steps, [release, Step::CancelCheckout, refund(P), refund(Q), release]);
}

#[test]
fn a_full_refund_before_the_commit_releases_the_reservation_made_for_the_payment() {
    let refunded = SagaEvent::PaymentResult { payment: P, outcome: PaymentOutcome::Refunded };
    let cases = [
        (Status::Expired, Hold::Held, 1, Status::Expired),
        // The next reservation may have been requested.
        (Status::Expired, Hold::Gone, 2, Status::Expired),
        (Status::Pending, Hold::Gone, 2, Status::Cancelled),
        (Status::Pending, Hold::Held, 1, Status::Cancelled),
    ];
    for (from, hold, released, to) in cases {
        let before = state(from, PaymentStatus::Processing, Saga { captured: Some(P), ..saga(hold) });
        let after = decide(&before, &refunded, END).unwrap().state;
        assert_eq!(after.order.progress.status, to);
        assert_eq!(next(&after, END), Step::Release { hold: released }, "{from} {hold:?}");
        let late = decide(&after, &SagaEvent::StockReserved { hold: 2 }, END).unwrap().state;
        assert_eq!(next(&late, END), Step::Release { hold: released }, "{from} {hold:?}");
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
    let is_unreached = |status: &Status| !states.iter().any(|state| state.order.progress.status == *status);
    let unreached: Vec<_> = Status::ALL.into_iter().filter(is_unreached).collect();
    assert_eq!(unreached, [Status::Shipped, Status::Completed], "they follow after more than four events");
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
