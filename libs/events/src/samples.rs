//! A sample of every event, kept as snapshots: what one release wrote, all later ones read.

use std::collections::BTreeMap;

use agora_vocab::{
    CartId, CommandId, Currency, EmailChangeId, Money, NotificationId, OrderId, PasswordResetId, PaymentId, ProductId,
    PromotionId, RefundId, ReturnId, SellerId, SessionId, ShipmentId, UserId, WarehouseId,
};
use time::macros::datetime;
use uuid::Uuid;

use crate::{
    DeadLetter, DeadLetterEvent, DeadLetterMetadata, DeadMail, Envelope, Event, cart, cart_line, catalog, order,
    order_return, payment, promotional, recommendation, shipment, user,
};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0192_f0c1_0000_7000_8000_0000_0000_0000 + n)
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

/// Every sample reads back as what it was, and its JSON is the snapshot.
fn check<E: Event + PartialEq + std::fmt::Debug>(samples: &[E]) {
    check_as(E::TOPIC.name(), samples);
}

/// The same for one of several enums of a topic, under a name of its own.
fn check_as<E: Event + PartialEq + std::fmt::Debug>(name: &str, samples: &[E]) {
    let kinds: Vec<_> = samples.iter().map(E::kind).collect();
    assert_eq!(kinds, E::KINDS, "a sample of each event of {}, in order", E::TOPIC);
    let envelopes: Vec<Envelope> = samples
        .iter()
        .map(|sample| {
            let (kind, data) = Envelope::parts(sample).unwrap();
            let envelope = Envelope {
                id: id(1),
                kind: kind.to_owned(),
                version: E::VERSION,
                time: datetime!(2026-01-02 03:04:05.678901 UTC),
                key: id(2).to_string(),
                seq: 1,
                epoch: 0,
                trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
                correlation_id: Some(id(3)),
                causation_id: None,
                data,
            };
            let json = serde_json::to_string(&envelope).unwrap();
            let back: Envelope = serde_json::from_str(&json).unwrap();
            assert_eq!(back.event::<E>().unwrap().as_ref(), Some(sample));
            envelope
        })
        .collect();
    insta::with_settings!({ snapshot_suffix => name }, {
        insta::assert_snapshot!("samples", serde_json::to_string_pretty(&serde_json::to_value(&envelopes).unwrap()).unwrap());
    });
}

#[test]
fn users() {
    let preferences = user::Preferences { promotions: false, ..user::Preferences::default() };
    let (user_id, email) = (UserId::new(id(10)), "ada@example.com");
    let name = Some("Ada".into());
    let account = user::Account { user_id, email: email.into(), name, preferences, blocked: false };
    check(&[
        user::UserEvent::Registered(account.clone()),
        user::UserEvent::Login(user::Login {
            user_id: UserId::new(id(10)),
            email: "ada@example.com".into(),
            session_id: SessionId::new(id(11)),
            login_method: "password".into(),
        }),
        user::UserEvent::Updated(user::Account { blocked: true, ..account }),
        user::UserEvent::PasswordResetRequested(user::PasswordReset {
            user_id,
            email: email.into(),
            reset_id: PasswordResetId::new(id(12)),
            expires_at: datetime!(2026-01-02 03:19:05 UTC),
        }),
        user::UserEvent::EmailChanged(user::EmailChange {
            user_id,
            previous_email: email.into(),
            email: "countess@example.com".into(),
        }),
        user::UserEvent::Revoked(user::Revocation {
            user_id,
            session_id: Some(SessionId::new(id(11))),
            reason: "refresh-token-reused".into(),
        }),
        user::UserEvent::EmailChangeRequested(user::EmailChangeRequest {
            user_id,
            email: email.into(),
            new_email: "countess@example.com".into(),
            change_id: EmailChangeId::new(id(13)),
            expires_at: datetime!(2026-01-02 04:04:05 UTC),
        }),
        user::UserEvent::Erased(user::Erasure { user_id }),
    ]);
}

/// What releases wrote that did not know preferences.
#[test]
fn an_account_without_preferences_wants_every_mail() {
    let json = serde_json::json!({"userId": id(10), "email": "ada@example.com", "name": null});
    let account: user::Account = serde_json::from_value(json).unwrap();
    assert_eq!((account.preferences, account.blocked), (user::Preferences::default(), false));
    let partial: user::Preferences = serde_json::from_str(r#"{"promotions":false}"#).unwrap();
    assert_eq!((partial.promotions, partial.order_updates, partial.recommendations), (false, true, true));
}

#[test]
fn promotions() {
    use promotional::{Promotion, PromotionEnded, PromotionalEvent};
    let promotion_id = PromotionId::new(id(60));
    check(&[
        PromotionalEvent::Started(Promotion {
            promotion_id,
            title: "Summer sale".into(),
            message: Some("Everything that gives light.".into()),
            products: vec![promotional::PromotedProduct {
                product_id: ProductId::new(id(20)),
                name: "Lamp".into(),
                price: eur(999),
                category: Some("Lighting".into()),
            }],
        }),
        PromotionalEvent::Ended(PromotionEnded { promotion_id }),
    ]);
}

#[test]
fn products() {
    let product = catalog::Product {
        product_id: ProductId::new(id(20)),
        version: 3,
        name: "Lamp".into(),
        description: "Gives light.".into(),
        sku: Some("LAMP-1".into()),
        price: eur(1999),
        category: Some("Lighting".into()),
        brand: None,
        supplier: None,
        image_url: None,
        seller_id: SellerId::HOUSE,
        variant_prices: Vec::new(),
    };
    let variant_prices = vec![catalog::VariantPrice { variant: "red".into(), price: eur(2499) }];
    check(&[
        catalog::ProductEvent::Created(product.clone()),
        catalog::ProductEvent::Updated(catalog::Product { variant_prices, ..product }),
        catalog::ProductEvent::Deleted(catalog::ProductDeleted { product_id: ProductId::new(id(20)), version: 4 }),
    ]);
}

#[test]
fn inventory() {
    check(&[
        catalog::InventoryEvent::StockChanged(catalog::StockChanged {
            product_id: ProductId::new(id(20)),
            variant: String::new(),
            warehouse_id: WarehouseId::MAIN,
            on_hand: 10,
            reserved: 2,
            version: 7,
        }),
        catalog::InventoryEvent::ReservationExpired(catalog::ReservationExpired {
            order_id: OrderId::new(id(30)),
            hold: 1,
        }),
    ]);
}

#[test]
fn carts() {
    check(&[cart::CartEvent::Updated(cart::Cart {
        cart_id: CartId::new(id(40)),
        user_id: UserId::new(id(10)),
        version: 2,
        items: vec![cart::CartLine { product_id: ProductId::new(id(20)), variant: String::new(), quantity: 2 }],
    })]);
    let removed = cart_line::CartLineEvent::Removed(cart_line::RemovedProduct {
        cart_id: CartId::new(id(40)),
        user_id: UserId::new(id(10)),
        version: 3,
        product_id: ProductId::new(id(20)),
        name: "Lamp".into(),
        reason: "deleted".into(),
    });
    let repriced = cart_line::CartLineEvent::Repriced(cart_line::RepricedLine {
        cart_id: CartId::new(id(40)),
        user_id: UserId::new(id(10)),
        version: 4,
        product_id: ProductId::new(id(20)),
        variant: "black".into(),
        name: "Lamp".into(),
        previous_price: eur(1999),
        price: eur(2199),
    });
    check_as("cart-events.lines", &[removed, repriced]);
}

#[test]
fn orders() {
    use order::OrderEvent;
    let order = order::Order {
        order_id: OrderId::new(id(30)),
        number: "A-1000001".into(),
        user_id: UserId::new(id(10)),
        cart_id: Some(CartId::new(id(40))),
        hold: 1,
        payment_id: Some(PaymentId::new(id(50))),
        status: "paid".into(),
        payment_status: "paid".into(),
        items: vec![order::OrderLine {
            product_id: ProductId::new(id(20)),
            variant: String::new(),
            name: "Lamp".into(),
            quantity: 2,
            price: eur(1999),
            category: Some("Lighting".into()),
            seller_id: SellerId::HOUSE,
        }],
        total: eur(3998),
        charges: None,
    };
    let make: [fn(order::Order) -> OrderEvent; 10] = [
        OrderEvent::Created,
        OrderEvent::Placed,
        OrderEvent::Paid,
        OrderEvent::Processing,
        OrderEvent::Shipped,
        OrderEvent::Completed,
        OrderEvent::Cancelled,
        OrderEvent::Rejected,
        OrderEvent::Expired,
        OrderEvent::Refunded,
    ];
    check(&make.map(|make| make(order.clone())));
}

#[test]
fn shipments() {
    let shipment = shipment::Shipment {
        shipment_id: ShipmentId::new(id(31)),
        order_id: OrderId::new(id(30)),
        order_number: "A-1000001".into(),
        user_id: UserId::new(id(10)),
        seller_id: SellerId::HOUSE,
        carrier: "Parcel Post".into(),
        tracking_number: Some("PP-12".into()),
        items: vec![shipment::ShippedItem {
            product_id: ProductId::new(id(20)),
            variant: String::new(),
            name: "Lamp".into(),
            quantity: 2,
        }],
    };
    let samples = [shipment::ShipmentEvent::Created(shipment.clone()), shipment::ShipmentEvent::Delivered(shipment)];
    check_as("order-events.shipments", &samples);
}

#[test]
fn returns() {
    use order_return::ReturnEvent;
    let returned = order_return::Return {
        return_id: ReturnId::new(id(32)),
        order_id: OrderId::new(id(30)),
        order_number: "A-1000001".into(),
        user_id: UserId::new(id(10)),
        items: vec![shipment::ShippedItem {
            product_id: ProductId::new(id(20)),
            variant: String::new(),
            name: "Lamp".into(),
            quantity: 1,
        }],
        amount: eur(1999),
    };
    let make: [fn(order_return::Return) -> ReturnEvent; 5] = [
        ReturnEvent::Requested,
        ReturnEvent::Accepted,
        ReturnEvent::Rejected,
        ReturnEvent::Received,
        ReturnEvent::Refunded,
    ];
    check_as("order-events.returns", &make.map(|make| make(returned.clone())));
}

#[test]
fn payments() {
    use payment::PaymentEvent;
    let payment = payment::Payment {
        payment_id: PaymentId::new(id(50)),
        order_id: OrderId::new(id(30)),
        user_id: UserId::new(id(10)),
        amount: eur(3998),
        result_id: CommandId::new(id(51)),
    };
    check(&[
        PaymentEvent::Authorised(payment.clone()),
        PaymentEvent::Captured(payment.clone()),
        PaymentEvent::Declined(payment.clone()),
        PaymentEvent::Failed(payment.clone()),
        PaymentEvent::Voided(payment),
        PaymentEvent::Refunded(payment::Refund {
            refund_id: RefundId::new(id(52)),
            payment_id: PaymentId::new(id(50)),
            order_id: OrderId::new(id(30)),
            user_id: UserId::new(id(10)),
            amount: eur(1000),
            refunded: eur(1000),
            captured: eur(3998),
            result_id: CommandId::new(id(53)),
        }),
    ]);
}

#[test]
fn recommendations() {
    use recommendation::{FeedbackStats, RecommendationEvent, Recommendations, RecommendedProduct};
    check(&[RecommendationEvent::Changed(Recommendations {
        user_id: UserId::new(id(10)),
        version: 2,
        recommendations: vec![RecommendedProduct {
            product_id: ProductId::new(id(20)),
            name: "Lamp".into(),
            price: eur(1999),
            category: Some("Lighting".into()),
            image_url: None,
            feedback_stats: FeedbackStats { positive_count: 7, negative_count: 1 },
            reason: "Because you bought from Lighting".into(),
        }],
    })]);
}

#[test]
fn dead_letters() {
    check(&[
        DeadLetterEvent::Dead(DeadLetter {
            original_message: Some("bm90IGpzb24=".into()),
            metadata: DeadLetterMetadata {
                consumer: "cart".into(),
                original_topic: "product-events".into(),
                partition: 2,
                offset: 41,
                reason: "not an envelope".into(),
                headers: BTreeMap::from([("traceparent".into(), "00-1".into())]),
            },
        }),
        DeadLetterEvent::DeadMail(DeadMail {
            notification_id: NotificationId::new(id(70)),
            user_id: UserId::new(id(10)),
            source_id: id(1),
            attempts: 20,
            reason: "connection refused".into(),
        }),
    ]);
}

#[test]
fn ms8_a_type_from_the_future_is_skipped_and_a_known_one_that_is_malformed_is_an_error() {
    let mut envelope: Envelope = serde_json::from_value(serde_json::json!({
        "id": id(1), "type": "order.teleported", "version": 9, "time": "2026-01-02T03:04:05Z", "key": "k", "seq": 1,
        "epoch": 0, "data": {"anything": true}, "fieldOfTomorrow": 1,
    }))
    .unwrap();
    assert!(envelope.event::<order::OrderEvent>().unwrap().is_none());
    envelope.kind = "order.paid".into();
    assert!(envelope.event::<order::OrderEvent>().is_err(), "a later version");
    envelope.version = 1;
    assert!(envelope.event::<order::OrderEvent>().is_err(), "no data of an order");
}
