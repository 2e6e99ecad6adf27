//! A sound shop passes; each mutant, with one thing wrong, is caught as what it is.

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
        residue: Residue {
            expected: vec!["Deployment/shop-order".into()],
            found: vec!["Deployment/shop-order".into()],
            ..Residue::default()
        },
    }
}

/// Changes one thing and expects the one invariant to break.
#[track_caller]
fn caught(expected: Invariant, mutate: impl FnOnce(&mut Vec<Record>, &mut Evidence)) {
    let (mut history, mut evidence) = (history(), evidence());
    mutate(&mut history, &mut evidence);
    let broken: Vec<Invariant> = check(&history, &evidence).into_iter().map(|violation| violation.invariant).collect();
    assert!(broken.contains(&expected), "expected {expected:?}, found {broken:?}");
}

#[test]
fn a_sound_shop_passes() {
    assert_eq!(check(&history(), &evidence()), []);
    assert_eq!(check(&history(), &Evidence::default()), []);
}

#[test]
fn i1_catches_a_lost_and_a_doubled_order() {
    caught(Invariant::I1, |_, evidence| evidence.orders[0].id = OrderId::new(Uuid::from_u128(77)));
    caught(Invariant::I1, |_, evidence| evidence.orders.push(evidence.orders[0].clone()));
}

#[test]
fn i2_catches_a_key_that_acted_twice() {
    caught(Invariant::I2, |history, _| {
        let again = Record { order: Some(OrderId::new(Uuid::from_u128(77))), ..history[1].clone() };
        history.push(again);
    });
    caught(Invariant::I2, |history, _| {
        let refused = Record { outcome: Outcome::Failed, status: Some(409), ..history[3].clone() };
        history.push(refused);
    });
    caught(Invariant::I2, |_, evidence| {
        let behind = OrderSeen { id: OrderId::new(Uuid::from_u128(77)), ..evidence.orders[0].clone() };
        evidence.orders.push(behind);
    });
    caught(Invariant::I2, |_, evidence| {
        let twice = PaymentSeen { id: PaymentId::new(Uuid::from_u128(78)), ..evidence.payments[0].clone() };
        evidence.payments.push(twice);
    });
}

#[test]
fn i3_catches_units_from_nowhere_and_holds_of_nobody() {
    caught(Invariant::I3, |_, evidence| evidence.stock[0].on_hand += 1);
    caught(Invariant::I3, |_, evidence| evidence.stock[0].held = 1);
    caught(Invariant::I3, |_, evidence| {
        evidence.stock[0].reserved = 11;
        evidence.stock[0].held = 11;
    });
}

#[test]
fn i4_catches_every_cent() {
    caught(Invariant::I4, |_, evidence| evidence.payments[0].captured -= 1);
    caught(Invariant::I4, |_, evidence| evidence.payments[0].captured += 1);
    caught(Invariant::I4, |_, evidence| evidence.payments[0].refunded = 2_000);
    caught(Invariant::I4, |_, evidence| evidence.orders[0].status = "cancelled".into());
    caught(Invariant::I4, |_, evidence| evidence.orders[0].status = "refunded".into());
    caught(Invariant::I4, |_, evidence| evidence.payments[0].order = OrderId::new(Uuid::from_u128(77)));
    caught(Invariant::I4, |_, evidence| evidence.ledger[0].amount += 1);
}

#[test]
fn i5_catches_a_lost_event_and_one_that_acted_never_or_twice() {
    caught(Invariant::I5, |_, evidence| evidence.outbox.push(event(3)));
    caught(Invariant::I5, |_, evidence| evidence.applied[0].times = 2);
    caught(Invariant::I5, |_, evidence| evidence.applied.truncate(1));
}

#[test]
fn i6_catches_a_gap_and_an_overtaking() {
    caught(Invariant::I6, |_, evidence| evidence.topics[1].seq = 3);
    caught(Invariant::I6, |_, evidence| evidence.topics.swap(0, 1));
}

#[test]
fn i7_catches_an_order_that_is_not_found_and_one_that_grows_younger() {
    caught(Invariant::I7, |history, _| {
        let missing = Record { outcome: Outcome::Failed, status: Some(404), version: None, ..history[4].clone() };
        history[4] = missing;
    });
    caught(Invariant::I7, |history, _| history[4].version = Some(1));
}

#[test]
fn i7_judges_only_what_began_after_the_answer() {
    let mut history = history();
    history[2].version = Some(3);
    history[4].started_us = 22;
    history[4].version = Some(2);
    assert_eq!(check(&history, &Evidence::default()), []);
}

#[test]
fn i8_catches_what_is_still_under_way() {
    caught(Invariant::I8, |_, evidence| evidence.orders[0].status = "created".into());
    caught(Invariant::I8, |_, evidence| evidence.orders[0].payment_status = "processing".into());
}

#[test]
fn i10_catches_orphans_gaps_finalizers_and_leaks() {
    caught(Invariant::I10, |_, evidence| evidence.residue.found.push("Secret/old".into()));
    caught(Invariant::I10, |_, evidence| evidence.residue.found.push("Deployment/shop-order".into()));
    caught(Invariant::I10, |_, evidence| evidence.residue.found.clear());
    caught(Invariant::I10, |_, evidence| evidence.residue.waiting.push("Marketplace/shop".into()));
    caught(Invariant::I10, |_, evidence| evidence.residue.leaks.push("log of shop-order".into()));
}
