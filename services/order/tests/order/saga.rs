//! The saga's next step as a table, and what holds whatever happens in whatever order.

use std::collections::BTreeSet;

use crate::shop::{in_memory, items};
use agora_order::{
    domain::{
        CartVersion, Command, Hold, Line, Method, Order, OwnPayment, PayWith, PaymentOutcome, PaymentStatus, Refused,
        Saga, Shortage, Standing, State, Status, decide,
    },
    ports::Orders as _,
    saga::{Phase, Step, next, phase, wake},
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
        standing: Standing { status, payment_status, payment, hold, declines: 0 },
        version: 1,
        facts: 1,
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
fn the_next_step_is_what_the_table_says() {
    use PaymentStatus::{Failed, Paid, Processing, Refunded, Unpaid};
    let captured = |hold| Saga { captured: Some(P), ..saga(hold) };
    let since = |since| Saga { paying_since: Some(since), ..saga(Hold::Held) };
    let paying = Saga { own: Some(own()), paying_since: Some(START), ..saga(Hold::Held) };
    let back = Saga { give_back: true, refunds: vec![P, Q], ..saga(Hold::Gone) };
    let money = Saga { refunds: vec![P, Q], ..saga(Hold::Gone) };
    let rest = |until| Step::Rest { until };
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
        (Status::Cancelled, Paid, back.clone(), START, Step::GiveBack),
        (Status::Rejected, Unpaid, back, START, Step::GiveBack),
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
fn no_service_is_called_before_its_pause_is_over_but_the_window_closes_in_time() {
    let later = START + Duration::seconds(9);
    let paused = Saga { not_before: Some(later), ..Saga::default() };
    let created = state(Status::Created, PaymentStatus::Unpaid, paused);
    assert_eq!(next(&created, START), Step::Rest { until: Some(later) });
    assert_eq!(wake(&created, START), Some(later));
    assert_eq!(next(&created, later), Step::Reserve { hold: 1 });
    assert_eq!(next(&created, END), Step::CloseWindow);
}

#[test]
fn a_saga_is_running_resting_done_or_stuck() {
    let stuck = Saga { failing_since: Some(START), ..Saga::default() };
    let phases = [
        (state(Status::Created, PaymentStatus::Unpaid, Saga::default()), START, Phase::Running),
        (state(Status::Pending, PaymentStatus::Unpaid, saga(Hold::Held)), START, Phase::Resting),
        (state(Status::Paid, PaymentStatus::Paid, saga(Hold::Committed)), START, Phase::Done),
        (state(Status::Created, PaymentStatus::Unpaid, stuck), START + Duration::minutes(11), Phase::Stuck),
    ];
    for (state, now, expected) in phases {
        assert_eq!(phase(&state, now), expected);
    }
}

fn commands() -> Vec<Command> {
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
        outcomes.into_iter().flat_map(|outcome| [P, Q].map(|payment| Command::PaymentResult { payment, outcome }));
    let holds = (0..4).flat_map(|hold| {
        [
            Command::Held { hold },
            Command::Short { hold, shortage },
            Command::Committed { hold },
            Command::HoldGone { hold },
            Command::Released { hold },
        ]
    });
    let wishes = Status::ALL.into_iter().map(Command::Advance).chain([
        Command::Cancel,
        Command::BeginPayment { payment: Q, user: UserId::new(Uuid::from_u128(3)), amount: None },
    ]);
    let news = [Command::CloseWindow, Command::CartReturned, Command::StillPending, Command::StepFailed];
    results.chain(holds).chain(wishes).chain(news).collect()
}

/// Every state that commands can lead to from a new order, with and without a payment of its own, within `depth` steps.
fn reachable(depth: usize) -> Vec<State> {
    let start = |own| state(Status::Created, PaymentStatus::Unpaid, Saga { own, ..Saga::default() });
    let mut fresh = vec![start(None), start(Some(own()))];
    let mut seen = BTreeSet::new();
    let mut all = fresh.clone();
    let commands = commands();
    for _ in 0..depth {
        let mut found: Vec<State> = Vec::new();
        for (state, command) in fresh.iter().flat_map(|state| commands.iter().map(move |command| (state, command))) {
            let decisions = [START, END].map(|now| decide(state, command, now));
            let states = decisions.into_iter().flatten().map(|decision| without_counters(decision.state));
            found.extend(states.filter(|state| seen.insert(json!([state.order.standing, state.saga]).to_string())));
        }
        all.extend(found.iter().cloned());
        fresh = found;
    }
    all
}

/// Counters and times alone make no new state.
fn without_counters(mut state: State) -> State {
    (state.order.version, state.order.facts, state.order.updated_at) = (1, 1, START);
    let Saga { asked, failures, not_before, failing_since, shortage, .. } = &mut state.saga;
    (*asked, *failures, *not_before, *failing_since, *shortage) = (0, 0, None, None, None);
    state
}

#[test]
fn from_every_state_every_command_moves_along_the_tables_or_not_at_all() {
    let (states, commands) = (reachable(4), commands());
    assert!(states.len() > 200, "{}", states.len());
    for (state, command) in states.iter().flat_map(|state| commands.iter().map(move |command| (state, command))) {
        for now in [START, END] {
            let wish = matches!(command, Command::Advance(_) | Command::Cancel | Command::BeginPayment { .. });
            match decide(state, command, now) {
                Err(refused) => assert!(wish, "{command:?} of {state:?}: {refused}"),
                Ok(decision) => check_decision(state, &decision, command),
            }
        }
    }
}

fn check_decision(before: &State, decision: &agora_order::domain::Decision, command: &Command) {
    let (from, to) = (before.order.standing, decision.state.order.standing);
    assert!(from.status == to.status || from.status.leads_to(to.status));
    assert!(from.payment_status == to.payment_status || from.payment_status.leads_to(to.payment_status));
    assert_eq!(decision.record.is_some(), from != to, "{command:?}");
    let version = i64::from(from != to);
    assert_eq!(decision.state.order.version - before.order.version, version);
    assert_eq!(decision.state.order.facts - before.order.facts, i64::from(from.status != to.status));
    let token = decision.state.saga.own_unsettled().is_some();
    assert!(!token || matches!(to.status, Status::Created | Status::Pending), "a token outlives {}", to.status);
}

#[test]
fn every_wish_that_the_table_does_not_list_is_refused() {
    for from in Status::ALL {
        for to in Status::ALL {
            let money = if from.stands_paid() { PaymentStatus::Paid } else { PaymentStatus::Unpaid };
            let state = state(from, money, saga(Hold::Held));
            let allowed = from.leads_to(to)
                && matches!(to, Status::Processing | Status::Shipped | Status::Completed | Status::Cancelled);
            let result = decide(&state, &Command::Advance(to), START);
            match result {
                Ok(decision) => assert!(allowed && decision.state.order.standing.status == to, "{from} -> {to}"),
                Err(refused) => {
                    assert_eq!(refused, Refused::InvalidTransition { from, to: Some(to) });
                    assert!(!allowed, "{from} -> {to}");
                }
            }
        }
    }
}

#[test]
fn a_payment_under_way_holds_off_cancel_expiry_and_other_payments() {
    let paying = Saga { paying_since: Some(START), ..saga(Hold::Held) };
    let state = state(Status::Pending, PaymentStatus::Processing, paying);
    let user = state.order.user;
    assert_eq!(decide(&state, &Command::Cancel, START), Err(Refused::PaymentInProgress));
    let other = Command::BeginPayment { payment: Q, user, amount: None };
    assert_eq!(decide(&state, &other, START), Err(Refused::PaymentInProgress));
    assert_eq!(decide(&state, &Command::CloseWindow, END).unwrap().record, None);
    let same = Command::BeginPayment { payment: P, user, amount: Some(state.order.total) };
    assert_eq!(decide(&state, &same, END).unwrap().record, None);
}

#[test]
fn a_declined_payment_that_begins_late_is_refused_and_not_counted_again() {
    let paying = Saga { paying_since: Some(START), ..saga(Hold::Held) };
    let before = state(Status::Pending, PaymentStatus::Processing, paying);
    let declined = Command::PaymentResult { payment: P, outcome: PaymentOutcome::Declined };
    let after = decide(&before, &declined, START).unwrap().state;
    assert_eq!(after.order.standing.declines, 1);
    assert_eq!(decide(&after, &declined, START).unwrap().state, after);
    let late = Command::BeginPayment { payment: P, user: after.order.user, amount: None };
    assert!(matches!(decide(&after, &late, START), Err(Refused::InvalidTransition { .. })));
    let failed = Command::PaymentResult { payment: P, outcome: PaymentOutcome::Failed };
    let after = decide(&before, &failed, START).unwrap().state;
    assert!(decide(&after, &late, START).unwrap().record.is_some(), "one that only failed is tried again");
}

/// Something that happens to one of two orders.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Begin(u128),
    Resolve(u128, PaymentOutcome),
    Tell(u128),
    Cancel,
    Advance(&'static str),
    HoldEnds,
    Pass(i64),
    Work,
    SomebodyBuys,
}

fn happenings() -> impl Strategy<Value = Vec<(bool, Happening)>> {
    let payment = 1..4_u128;
    let outcome = prop_oneof![
        3 => Just(PaymentOutcome::Captured),
        1 => Just(PaymentOutcome::Declined),
        1 => Just(PaymentOutcome::Failed),
    ];
    let one = prop_oneof![
        3 => payment.clone().prop_map(Happening::Begin),
        3 => (payment.clone(), outcome).prop_map(|(payment, outcome)| Happening::Resolve(payment, outcome)),
        3 => payment.prop_map(Happening::Tell),
        1 => Just(Happening::Cancel),
        1 => prop_oneof![Just("processing"), Just("shipped")].prop_map(Happening::Advance),
        1 => Just(Happening::HoldEnds),
        2 => (1..1000_i64).prop_map(Happening::Pass),
        2 => Just(Happening::Work),
        1 => Just(Happening::SomebodyBuys),
    ];
    prop::collection::vec((any::<bool>(), one), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_money_is_kept_only_for_sold_stock_and_stock_is_sold_only_for_money(story in happenings()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(tell(story));
    }
}

async fn tell(story: Vec<(bool, Happening)>) {
    let (shop, orders, clock) = in_memory();
    let lamp = shop.neighbours.catalog.offer(100, 3);
    let both = [shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await];
    let mut bought = 0;
    // A payment's number is its own order's: no payment is for two orders.
    let number = |second: bool, payment: u128| payment + 10 * u128::from(second);
    let id = |n: u128| PaymentId::new(Uuid::from_u128(n));
    let mut results = Vec::new();
    for (step, (second, happening)) in story.into_iter().enumerate() {
        let order = both[usize::from(second)];
        match happening {
            Happening::Begin(payment) => drop(shop.begin(order, number(second, payment)).await),
            Happening::Resolve(payment, outcome) => {
                let n = number(second, payment);
                if shop.neighbours.payments.outcome(id(n)).is_none() {
                    let result = shop.neighbours.payments.resolve(order, id(n), outcome);
                    results.push((order, n, result.uuid().as_u128(), outcome));
                }
            }
            Happening::Tell(payment) => {
                for (order, n, result, outcome) in results.iter().filter(|(_, n, ..)| *n == number(second, payment)) {
                    shop.result(*order, *n, (*result, word(*outcome))).await.expect(200);
                }
            }
            Happening::Cancel => drop(shop.cancel(order).await),
            Happening::Advance(status) => drop(shop.advance(order, status).await),
            Happening::HoldEnds => shop.neighbours.catalog.expire(order, 1),
            Happening::Pass(seconds) => clock.advance(Duration::seconds(seconds)),
            Happening::Work => shop.settle().await,
            Happening::SomebodyBuys => {
                bought += u32::from(shop.order(&format!("s{step}"), items(lamp, 1)).await.status == 201);
            }
        }
    }
    // In the end everybody is told everything, and nobody is in a hurry.
    for (order, n, result, outcome) in &results {
        shop.result(*order, *n, (*result, word(*outcome))).await.expect(200);
    }
    for _ in 0..4 {
        clock.advance(Duration::seconds(1000));
        shop.settle().await;
    }
    let mut held = 0;
    for order in both {
        let state = orders.load(order, None).await.unwrap().unwrap();
        let (standing, saga) = (state.state.order.standing, state.state.saga.clone());
        assert_eq!(next(&state.state, state.now), Step::Rest { until: None }, "{standing:?} {saga:?}");
        let paid = standing.status.stands_paid();
        let committed = shop.neighbours.catalog.hold(order, standing.hold) == Some("committed");
        assert_eq!(paid, committed, "{standing:?} {saga:?}");
        held += u32::from(committed);
        let kept: Vec<u128> = results
            .iter()
            .filter(|(of, ..)| *of == order)
            .map(|(_, n, ..)| *n)
            .filter(|n| shop.neighbours.payments.outcome(id(*n)) == Some(PaymentOutcome::Captured))
            .collect();
        let expected: Vec<u128> = if paid { vec![standing.payment.unwrap().uuid().as_u128()] } else { vec![] };
        assert_eq!(kept, expected, "{standing:?} {saga:?}");
    }
    // Those who bought in between never paid, so their stock is back.
    let _ = bought;
    assert_eq!(shop.neighbours.catalog.available(lamp), 3 - held, "{}", json!(bought));
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
