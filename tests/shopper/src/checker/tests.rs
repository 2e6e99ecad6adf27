//! Correct evidence passes; each mutation with one error violates the expected invariant.

use agora_vocab::{OrderId, PaymentId, ProductId, UserId};
use uuid::Uuid;

use super::*;
use crate::history::{Action, Outcome};

const USER: UserId = UserId::new(Uuid::from_u128(1));
const ORDER: OrderId = OrderId::new(Uuid::from_u128(2));
const PAYMENT: PaymentId = PaymentId::new(Uuid::from_u128(3));

fn record(action: Action, at_us: u64) -> Record {
    Record {
        user: Some(USER),
        action,
        key: None,
        started_us: at_us,
        took_us: 5,
        outcome: Outcome::Ok,
        status: Some(201),
        code: None,
        order: Some(ORDER),
        order_status: None,
        version: None,
        payment: None,
    }
}

fn history() -> Vec<Record> {
    let keyed = |record: Record, key: &str| Record { key: Some(key.into()), ..record };
    vec![
        keyed(Record { outcome: Outcome::Unknown, status: None, order: None, ..record(Action::Order, 0) }, "order"),
        keyed(Record { version: Some(2), ..record(Action::Order, 10) }, "order"),
        Record { version: Some(2), ..record(Action::Read, 20) },
        keyed(Record { payment: Some(PAYMENT), ..record(Action::Pay, 30) }, "pay"),
        Record { version: Some(4), ..record(Action::Read, 40) },
    ]
}

fn event(seq: i64) -> EventSeen {
    EventSeen {
        topic: "order-events".into(),
        key: ORDER.to_string(),
        seq,
        id: Some(Uuid::from_u128(100 + u128::try_from(seq).unwrap())),
    }
}

fn applied(seq: i64) -> Applied {
    Applied { consumer: "cart".into(), topic: "order-events".into(), event: event(seq).id.unwrap(), times: 1 }
}

fn evidence() -> Evidence {
    let entry = |amount| LedgerEntry { transaction: 9, currency: "EUR".into(), amount };
    Evidence {
        orders: vec![OrderSeen {
            id: ORDER,
            user: USER,
            status: "paid".into(),
            payment_status: "paid".into(),
            total: 1_999,
        }],
        payments: vec![PaymentSeen { id: PAYMENT, order: ORDER, captured: 1_999, refunded: 0 }],
        stock: vec![StockSeen {
            product: ProductId::new(Uuid::from_u128(4)),
            received: 10,
            on_hand: 9,
            reserved: 2,
            held: 2,
            sold: 2,
            returned: 1,
        }],
        ledger: vec![entry(1_999), entry(-1_999)],
        outbox: vec![event(1), event(2)],
        topics: vec![event(1), event(2), event(1), event(2)],
        applied: vec![applied(1), applied(2)],
        leftovers: Leftovers {
            expected: vec!["Deployment/shop-order".into()],
            found: vec!["Deployment/shop-order".into()],
            ..Leftovers::default()
        },
    }
}

/// Applies one mutation and expects a violation of this invariant.
#[track_caller]
fn detected(expected: Invariant, mutate: impl FnOnce(&mut Vec<Record>, &mut Evidence)) {
    let (mut history, mut evidence) = (history(), evidence());
    mutate(&mut history, &mut evidence);
    let broken: Vec<Invariant> = check(&history, &evidence).into_iter().map(|violation| violation.invariant).collect();
    assert!(broken.contains(&expected), "expected {expected:?}, found {broken:?}");
}

#[test]
fn correct_evidence_has_no_violation() {
    assert_eq!(check(&history(), &evidence()), []);
    assert_eq!(check(&history(), &Evidence::default()), []);
}

#[test]
fn i1_detects_a_lost_and_a_duplicated_order() {
    detected(Invariant::I1, |_, evidence| evidence.orders[0].id = OrderId::new(Uuid::from_u128(77)));
    detected(Invariant::I1, |_, evidence| evidence.orders.push(evidence.orders[0].clone()));
}

#[test]
fn i2_detects_a_key_that_acted_twice() {
    detected(Invariant::I2, |history, _| {
        let again = Record { order: Some(OrderId::new(Uuid::from_u128(77))), ..history[1].clone() };
        history.push(again);
    });
    detected(Invariant::I2, |history, _| {
        let refused = Record { outcome: Outcome::Failed, status: Some(409), ..history[3].clone() };
        history.push(refused);
    });
    detected(Invariant::I2, |_, evidence| {
        let behind = OrderSeen { id: OrderId::new(Uuid::from_u128(77)), ..evidence.orders[0].clone() };
        evidence.orders.push(behind);
    });
    detected(Invariant::I2, |_, evidence| {
        let twice = PaymentSeen { id: PaymentId::new(Uuid::from_u128(78)), ..evidence.payments[0].clone() };
        evidence.payments.push(twice);
    });
}

#[test]
fn i3_detects_surplus_units_and_missing_reservations() {
    detected(Invariant::I3, |_, evidence| evidence.stock[0].on_hand += 1);
    detected(Invariant::I3, |_, evidence| evidence.stock[0].held = 1);
    detected(Invariant::I3, |_, evidence| {
        evidence.stock[0].reserved = 11;
        evidence.stock[0].held = 11;
    });
}

#[test]
fn i4_detects_each_wrong_amount() {
    detected(Invariant::I4, |_, evidence| evidence.payments[0].captured -= 1);
    detected(Invariant::I4, |_, evidence| evidence.payments[0].captured += 1);
    detected(Invariant::I4, |_, evidence| evidence.payments[0].refunded = 2_000);
    detected(Invariant::I4, |_, evidence| evidence.orders[0].status = "cancelled".into());
    detected(Invariant::I4, |_, evidence| evidence.orders[0].status = "refunded".into());
    detected(Invariant::I4, |_, evidence| evidence.payments[0].order = OrderId::new(Uuid::from_u128(77)));
    detected(Invariant::I4, |_, evidence| evidence.ledger[0].amount += 1);
}

#[test]
fn i5_detects_a_lost_event_and_one_not_applied_once() {
    detected(Invariant::I5, |_, evidence| evidence.outbox.push(event(3)));
    detected(Invariant::I5, |_, evidence| evidence.applied[0].times = 2);
    detected(Invariant::I5, |_, evidence| evidence.applied.truncate(1));
}

#[test]
fn i6_detects_a_gap_and_a_wrong_order() {
    detected(Invariant::I6, |_, evidence| evidence.topics[1].seq = 3);
    detected(Invariant::I6, |_, evidence| evidence.topics.swap(0, 1));
}

#[test]
fn i7_detects_a_missing_order_and_a_stale_read() {
    detected(Invariant::I7, |history, _| {
        let missing = Record { outcome: Outcome::Failed, status: Some(404), version: None, ..history[4].clone() };
        history[4] = missing;
    });
    detected(Invariant::I7, |history, _| history[4].version = Some(1));
}

#[test]
fn i7_ignores_reads_that_started_before_the_response() {
    let mut history = history();
    history[2].version = Some(3);
    history[4].started_us = 22;
    history[4].version = Some(2);
    assert_eq!(check(&history, &Evidence::default()), []);
}

#[test]
fn i8_detects_unfinished_orders() {
    detected(Invariant::I8, |_, evidence| evidence.orders[0].status = "created".into());
    detected(Invariant::I8, |_, evidence| evidence.orders[0].payment_status = "processing".into());
}

#[test]
fn i10_detects_orphans_missing_objects_finalizers_and_leaks() {
    detected(Invariant::I10, |_, evidence| evidence.leftovers.found.push("Secret/old".into()));
    detected(Invariant::I10, |_, evidence| evidence.leftovers.found.push("Deployment/shop-order".into()));
    detected(Invariant::I10, |_, evidence| evidence.leftovers.found.clear());
    detected(Invariant::I10, |_, evidence| evidence.leftovers.waiting.push("Marketplace/shop".into()));
    detected(Invariant::I10, |_, evidence| evidence.leftovers.leaks.push("log of shop-order".into()));
}
