//! The public form of events: what of each a client of its user receives. A field that is not listed here is not sent, so
//! that a new field of an event is not published by accident.

use agora_events::{
    Envelope, Event, Topic,
    cart::CartEvent,
    cart_line::CartLineEvent,
    order::{Order, OrderEvent, OrderLine},
    order_return::ReturnEvent,
    payment::PaymentEvent,
    recommendation::RecommendationEvent,
    shipment::ShipmentEvent,
    topics,
};
use agora_vocab::{Money, OrderId, ProductId, UserId};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

/// The topics whose events belong to a user and interest their clients.
pub const TOPICS: &[Topic] = &[topics::ORDER, topics::PAYMENT, topics::CART, topics::RECOMMENDATION];

/// An event as its user's clients receive it.
#[derive(Debug)]
pub struct Message {
    pub user: UserId,
    /// The id of the event: the same at every replica, and at each repetition.
    pub event: Uuid,
    /// Its type, such as `order.paid`.
    pub kind: String,
    /// Its place among the events of this process.
    pub number: u64,
    /// When it was written, in milliseconds since 1970, by the broker's clock.
    pub sent_at_ms: i64,
    /// What a client that comes again says to go on after this event.
    pub cursor: String,
    /// `{cursor, id, type, time, data}`.
    pub json: String,
}

/// An event that has no place yet.
#[derive(Debug)]
pub struct PublicEvent {
    pub user: UserId,
    pub id: Uuid,
    kind: String,
    time: OffsetDateTime,
    data: Value,
}

#[derive(Serialize)]
struct Body<'a> {
    cursor: &'a str,
    id: Uuid,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    data: &'a Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicOrder<'a> {
    order_id: OrderId,
    number: &'a str,
    status: &'a str,
    payment_status: &'a str,
    total: Money,
    items: Vec<PublicLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicLine<'a> {
    product_id: ProductId,
    variant: &'a str,
    name: &'a str,
    quantity: u32,
    price: Money,
}

/// The public form of an event; `None` for a type that is not for clients, or that this release does not know.
pub fn public(topic: Topic, envelope: &Envelope) -> Result<Option<PublicEvent>, serde_json::Error> {
    let found = match topic {
        topics::ORDER => of_order(envelope)?,
        topics::PAYMENT => envelope.event::<PaymentEvent>()?.as_ref().map(of_payment),
        topics::CART => of_cart(envelope)?,
        topics::RECOMMENDATION => envelope.event::<RecommendationEvent>()?.as_ref().map(of_recommendation),
        _ => None,
    };
    Ok(found.map(|(user, data)| PublicEvent {
        user,
        id: envelope.id,
        kind: envelope.kind.clone(),
        time: envelope.time,
        data,
    }))
}

type Found = Option<(UserId, Value)>;

fn of_order(envelope: &Envelope) -> Result<Found, serde_json::Error> {
    let kind = envelope.kind.as_str();
    if OrderEvent::KINDS.contains(&kind) {
        // Not sent before its stock is held: it may still be rejected.
        let event = envelope.event::<OrderEvent>()?.filter(|event| !matches!(event, OrderEvent::Created(_)));
        return event.map(|event| Ok((event.order().user_id, serde_json::to_value(order(event.order()))?))).transpose();
    }
    if ShipmentEvent::KINDS.contains(&kind) {
        return Ok(envelope.event::<ShipmentEvent>()?.map(|event| {
            let (ShipmentEvent::Created(shipment) | ShipmentEvent::Delivered(shipment)) = event;
            let data = json!({
                "shipmentId": shipment.shipment_id,
                "orderId": shipment.order_id,
                "orderNumber": shipment.order_number,
                "carrier": shipment.carrier,
                "trackingNumber": shipment.tracking_number,
            });
            (shipment.user_id, data)
        }));
    }
    Ok(envelope.event::<ReturnEvent>()?.map(|event| {
        let (ReturnEvent::Requested(one)
        | ReturnEvent::Accepted(one)
        | ReturnEvent::Rejected(one)
        | ReturnEvent::Received(one)
        | ReturnEvent::Refunded(one)) = event;
        let data = json!({
            "returnId": one.return_id,
            "orderId": one.order_id,
            "orderNumber": one.order_number,
            "amount": one.amount,
        });
        (one.user_id, data)
    }))
}

fn order(order: &Order) -> PublicOrder<'_> {
    PublicOrder {
        order_id: order.order_id,
        number: &order.number,
        status: &order.status,
        payment_status: &order.payment_status,
        total: order.total,
        items: order.items.iter().map(line).collect(),
    }
}

fn line(line: &OrderLine) -> PublicLine<'_> {
    PublicLine {
        product_id: line.product_id,
        variant: &line.variant,
        name: &line.name,
        quantity: line.quantity,
        price: line.price,
    }
}

fn of_payment(event: &PaymentEvent) -> (UserId, Value) {
    match event {
        PaymentEvent::Authorised(payment)
        | PaymentEvent::Captured(payment)
        | PaymentEvent::Declined(payment)
        | PaymentEvent::Failed(payment)
        | PaymentEvent::Voided(payment) => {
            let data = json!({
                "paymentId": payment.payment_id,
                "orderId": payment.order_id,
                "amount": payment.amount,
            });
            (payment.user_id, data)
        }
        PaymentEvent::Refunded(refund) => {
            let data = json!({
                "refundId": refund.refund_id,
                "paymentId": refund.payment_id,
                "orderId": refund.order_id,
                "amount": refund.amount,
                "refunded": refund.refunded,
            });
            (refund.user_id, data)
        }
    }
}

fn of_cart(envelope: &Envelope) -> Result<Found, serde_json::Error> {
    if CartEvent::KINDS.contains(&envelope.kind.as_str()) {
        return Ok(envelope.event::<CartEvent>()?.map(|CartEvent::Updated(cart)| {
            (cart.user_id, json!({ "cartId": cart.cart_id, "version": cart.version, "lines": cart.items.len() }))
        }));
    }
    Ok(envelope.event::<CartLineEvent>()?.map(|event| match event {
        CartLineEvent::Removed(line) => {
            let data = json!({
                "cartId": line.cart_id,
                "productId": line.product_id,
                "name": line.name,
                "reason": line.reason,
            });
            (line.user_id, data)
        }
        CartLineEvent::Repriced(line) => {
            let data = json!({
                "cartId": line.cart_id,
                "productId": line.product_id,
                "variant": line.variant,
                "name": line.name,
                "previousPrice": line.previous_price,
                "price": line.price,
            });
            (line.user_id, data)
        }
    }))
}

fn of_recommendation(event: &RecommendationEvent) -> (UserId, Value) {
    let RecommendationEvent::Changed(changed) = event;
    let products: Vec<ProductId> = changed.recommendations.iter().map(|one| one.product_id).collect();
    (changed.user_id, json!({ "version": changed.version, "productIds": products }))
}

impl PublicEvent {
    /// The message with its place.
    pub fn numbered(self, number: u64, cursor: String, sent_at_ms: i64) -> Result<Message, serde_json::Error> {
        let Self { user, id, kind, time, data } = self;
        let json = serde_json::to_string(&Body { cursor: &cursor, id, kind: &kind, time, data: &data })?;
        Ok(Message { user, event: id, kind, number, sent_at_ms, cursor, json })
    }
}

#[cfg(test)]
mod tests {
    use agora_events::{
        Envelope, Event, Topic, cart::CartEvent, cart_line::CartLineEvent, order::OrderEvent,
        order_return::ReturnEvent, payment::PaymentEvent, recommendation::RecommendationEvent, shipment::ShipmentEvent,
        topics,
    };
    use serde_json::{Value, json};

    use super::{TOPICS, public};

    const USER: &str = "00000000-0000-0000-0000-000000000007";

    fn envelope(kind: &str, data: &Value) -> Envelope {
        let text = json!({
            "id": "00000000-0000-0000-0000-000000000001", "type": kind, "version": 1, "time": "2026-01-02T03:04:05Z",
            "key": "k", "seq": 1, "epoch": 0, "data": data,
        });
        serde_json::from_str(&text.to_string()).unwrap()
    }

    fn sent(topic: Topic, kind: &str, data: &Value) -> Option<Value> {
        let event = public(topic, &envelope(kind, data)).unwrap()?;
        assert_eq!(event.user.to_string(), USER);
        Some(serde_json::from_str(&event.numbered(1, "c".to_owned(), 0).unwrap().json).unwrap())
    }

    fn order() -> Value {
        let money = json!({"amount": 3998, "currency": "EUR"});
        json!({
            "orderId": "00000000-0000-0000-0000-000000000002", "number": "A-1000001", "userId": USER,
            "cartId": "00000000-0000-0000-0000-000000000003", "hold": 2, "paymentId": null,
            "status": "paid", "paymentStatus": "paid", "total": money,
            "items": [{
                "productId": "00000000-0000-0000-0000-000000000004", "variant": "", "name": "Lamp", "quantity": 2,
                "price": {"amount": 1999, "currency": "EUR"}, "category": "Lighting",
                "sellerId": "00000000-0000-0000-0000-000000000005",
            }],
        })
    }

    #[test]
    fn gw18_only_listed_fields_of_an_event_are_sent() {
        let expected = json!({
            "cursor": "c", "id": "00000000-0000-0000-0000-000000000001", "type": "order.paid",
            "time": "2026-01-02T03:04:05Z",
            "data": {
                "orderId": "00000000-0000-0000-0000-000000000002", "number": "A-1000001", "status": "paid",
                "paymentStatus": "paid", "total": {"amount": 3998, "currency": "EUR"},
                "items": [{
                    "productId": "00000000-0000-0000-0000-000000000004", "variant": "", "name": "Lamp", "quantity": 2,
                    "price": {"amount": 1999, "currency": "EUR"},
                }],
            },
        });
        assert_eq!(sent(topics::ORDER, "order.paid", &order()), Some(expected));
    }

    #[test]
    fn gw18_an_order_that_may_still_be_rejected_and_unknown_events_are_not_sent() {
        assert_eq!(sent(topics::ORDER, "order.created", &order()), None);
        assert_eq!(sent(topics::ORDER, "order.teleported", &json!({})), None);
        assert_eq!(sent(topics::USER, "user.login", &json!({"email": "ada@example.com"})), None);
        assert!(public(topics::ORDER, &envelope("order.paid", &json!({}))).is_err());
    }

    /// Each type of the topics has a decision: a new one that belongs to no known enum is not read.
    #[test]
    fn gw18_every_type_of_the_topics_is_read() {
        let known = [
            (topics::ORDER, [OrderEvent::KINDS, ShipmentEvent::KINDS, ReturnEvent::KINDS].concat()),
            (topics::PAYMENT, PaymentEvent::KINDS.to_vec()),
            (topics::CART, [CartEvent::KINDS, CartLineEvent::KINDS].concat()),
            (topics::RECOMMENDATION, RecommendationEvent::KINDS.to_vec()),
        ];
        assert_eq!(known.each_ref().map(|(topic, _)| *topic), TOPICS);
        assert_eq!(agora_topology::GATEWAY.consumes, TOPICS);
        for (topic, kinds) in known {
            for kind in kinds {
                let unreadable = public(topic, &envelope(kind, &json!({"user": 7}))).is_err();
                assert!(unreadable, "{kind} is skipped like an unknown type");
            }
        }
    }
}
