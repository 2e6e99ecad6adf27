//! The public form of events: what of each leaves the shop. A field that is not listed here does not, so that a new field of an
//! event is not published by accident.

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use Field::{Each, Whole};

/// An event as merchants receive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    pub id: Uuid,
    /// Its type, like `order.paid`.
    pub kind: String,
    /// When it happened.
    pub at: OffsetDateTime,
    /// The body of each delivery: `{type, timestamp, data}`.
    pub body: String,
}

/// A field of an event that is published.
enum Field {
    Whole(&'static str),
    /// A list of objects, of which these fields are published.
    Each(&'static str, &'static [Field]),
}

/// The type of the event that an admin sends to try an endpoint.
pub const TEST_EVENT: &str = "webhook.test";

/// Types that an endpoint can receive, besides [`TEST_EVENT`].
pub const EVENT_TYPES: [&str; 28] = [
    "user.registered",
    "user.updated",
    "order.created",
    "order.placed",
    "order.paid",
    "order.processing",
    "order.shipped",
    "order.completed",
    "order.cancelled",
    "order.rejected",
    "order.expired",
    "order.refunded",
    "shipment.created",
    "shipment.delivered",
    "return.requested",
    "return.accepted",
    "return.rejected",
    "return.received",
    "return.refunded",
    "payment.authorised",
    "payment.captured",
    "payment.declined",
    "payment.failed",
    "payment.voided",
    "payment.refunded",
    "promotion.started",
    "promotion.ended",
    "recommendation.changed",
];

/// No address, no name of a user, no session: merchants ask the shop for what they may know about a user.
const ACCOUNT: &[Field] = &[Whole("userId"), Whole("blocked")];
const ORDER: &[Field] = &[
    Whole("orderId"),
    Whole("number"),
    Whole("userId"),
    Whole("cartId"),
    Whole("paymentId"),
    Whole("status"),
    Whole("paymentStatus"),
    Each("items", ORDER_LINE),
    Whole("total"),
];
const ORDER_LINE: &[Field] = &[
    Whole("productId"),
    Whole("variant"),
    Whole("name"),
    Whole("quantity"),
    Whole("price"),
    Whole("category"),
    Whole("sellerId"),
];
const SHIPMENT: &[Field] = &[
    Whole("shipmentId"),
    Whole("orderId"),
    Whole("orderNumber"),
    Whole("userId"),
    Whole("sellerId"),
    Whole("carrier"),
    Whole("trackingNumber"),
    Each("items", UNITS),
];
const RETURN: &[Field] = &[
    Whole("returnId"),
    Whole("orderId"),
    Whole("orderNumber"),
    Whole("userId"),
    Each("items", UNITS),
    Whole("amount"),
];
const UNITS: &[Field] = &[Whole("productId"), Whole("variant"), Whole("name"), Whole("quantity")];
const PAYMENT: &[Field] = &[Whole("paymentId"), Whole("orderId"), Whole("userId"), Whole("amount")];
const REFUND: &[Field] = &[
    Whole("refundId"),
    Whole("paymentId"),
    Whole("orderId"),
    Whole("userId"),
    Whole("amount"),
    Whole("refunded"),
    Whole("captured"),
];
const PROMOTION: &[Field] = &[Whole("promotionId"), Whole("title"), Whole("message"), Each("products", PRODUCT)];
const PROMOTION_ENDED: &[Field] = &[Whole("promotionId")];
const RECOMMENDATIONS: &[Field] = &[Whole("userId"), Whole("version"), Each("recommendations", RECOMMENDED)];
const PRODUCT: &[Field] = &[Whole("productId"), Whole("name"), Whole("price"), Whole("category")];
const RECOMMENDED: &[Field] = &[Whole("productId"), Whole("name"), Whole("price"), Whole("category"), Whole("reason")];

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
    data: Map<String, Value>,
}

/// The public form of an event with these data; `None` for a type that stays in the shop or is not known.
pub fn public_event(
    id: Uuid,
    kind: &str,
    at: OffsetDateTime,
    data: &str,
) -> Result<Option<WebhookEvent>, serde_json::Error> {
    let Some(fields) = fields(kind) else { return Ok(None) };
    let data = published(serde_json::from_str(data)?, fields);
    written(id, kind, at, data).map(Some)
}

/// The event that an admin sends to try an endpoint.
pub fn test_event(id: Uuid, at: OffsetDateTime) -> Result<WebhookEvent, serde_json::Error> {
    let message = "a test that an administrator of the shop has sent";
    written(id, TEST_EVENT, at, Map::from_iter([("message".to_owned(), message.into())]))
}

fn fields(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "user.registered" | "user.updated" => ACCOUNT,
        "payment.refunded" => REFUND,
        "promotion.started" => PROMOTION,
        "promotion.ended" => PROMOTION_ENDED,
        "recommendation.changed" => RECOMMENDATIONS,
        _ if !EVENT_TYPES.contains(&kind) => return None,
        _ => match kind.split_once('.')?.0 {
            "order" => ORDER,
            "shipment" => SHIPMENT,
            "return" => RETURN,
            "payment" => PAYMENT,
            _ => return None,
        },
    })
}

fn published(mut data: Map<String, Value>, fields: &[Field]) -> Map<String, Value> {
    let field = |field: &Field| match field {
        Whole(name) => Some(((*name).to_owned(), data.remove(*name)?)),
        Each(name, inner) => {
            let Value::Array(items) = data.remove(*name)? else { return None };
            let objects = items.into_iter().filter_map(|item| match item {
                Value::Object(object) => Some(Value::Object(published(object, inner))),
                _ => None,
            });
            Some(((*name).to_owned(), objects.collect()))
        }
    };
    fields.iter().filter_map(field).collect()
}

fn written(
    id: Uuid,
    kind: &str,
    timestamp: OffsetDateTime,
    data: Map<String, Value>,
) -> Result<WebhookEvent, serde_json::Error> {
    let body = serde_json::to_string(&Body { kind, timestamp, data })?;
    Ok(WebhookEvent { id, kind: kind.to_owned(), at: timestamp, body })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use agora_events::{
        Event as _, cart::CartEvent, cart_line::CartLineEvent, order::OrderEvent, order_return::ReturnEvent,
        payment::PaymentEvent, promotional::PromotionalEvent, recommendation::RecommendationEvent,
        shipment::ShipmentEvent, user::UserEvent,
    };
    use serde_json::{Value, json};
    use time::macros::datetime;
    use uuid::Uuid;

    use super::{EVENT_TYPES, fields, public_event, test_event};

    /// Types that stay in the shop: they are about the security of a user's account, its end, or what a user may buy.
    const INTERNAL: [&str; 9] = [
        "user.login",
        "user.password-reset-requested",
        "user.email-changed",
        "user.email-change-requested",
        "user.revoked",
        "user.erased",
        "cart.updated",
        "cart.line_removed",
        "cart.line_repriced",
    ];

    fn body(kind: &str, data: &Value) -> Option<Value> {
        let at = datetime!(2026-01-02 03:04:05 UTC);
        let event = public_event(Uuid::from_u128(1), kind, at, &data.to_string()).unwrap()?;
        Some(serde_json::from_str(&event.body).unwrap())
    }

    /// A new type of event must be published or kept by a decision.
    #[test]
    fn every_type_of_the_consumed_topics_is_either_public_or_internal() {
        let all = [
            UserEvent::KINDS,
            OrderEvent::KINDS,
            ShipmentEvent::KINDS,
            ReturnEvent::KINDS,
            PaymentEvent::KINDS,
            PromotionalEvent::KINDS,
            RecommendationEvent::KINDS,
            CartEvent::KINDS,
            CartLineEvent::KINDS,
        ];
        let all: BTreeSet<&str> = all.into_iter().flatten().copied().collect();
        let listed: BTreeSet<&str> = EVENT_TYPES.into_iter().chain(INTERNAL).collect();
        assert_eq!(all, listed);
        assert_eq!(EVENT_TYPES.len() + INTERNAL.len(), listed.len());
        assert!(EVENT_TYPES.iter().all(|kind| fields(kind).is_some()));
    }

    #[test]
    fn only_listed_fields_leave_the_shop() {
        let account = json!({"userId": "u", "email": "ada@example.com", "name": "Ada", "blocked": false, "token": "t"});
        let expected = json!({
            "type": "user.updated",
            "timestamp": "2026-01-02T03:04:05Z",
            "data": {"userId": "u", "blocked": false},
        });
        assert_eq!(body("user.updated", &account), Some(expected));
        let order = json!({
            "orderId": "o",
            "hold": 1,
            "address": {"street": "Unter den Linden 1"},
            "items": [{"name": "Lamp", "quantity": 2, "cost": 5}, "no object"],
            "total": {"amount": 1999, "currency": "EUR"},
        });
        let expected = json!({
            "orderId": "o",
            "items": [{"name": "Lamp", "quantity": 2}],
            "total": {"amount": 1999, "currency": "EUR"},
        });
        assert_eq!(body("order.paid", &order).unwrap()["data"], expected);
    }

    #[test]
    fn events_about_the_security_of_an_account_and_unknown_ones_stay_in_the_shop() {
        for kind in INTERNAL.into_iter().chain(["order.teleported", "webhook.test", "message.dead", ""]) {
            assert_eq!(body(kind, &json!({"email": "ada@example.com"})), None, "{kind}");
        }
        assert!(public_event(Uuid::nil(), "order.paid", datetime!(2026-01-01 00:00 UTC), "7").is_err());
    }

    #[test]
    fn a_test_has_the_shape_of_an_event() {
        let event = test_event(Uuid::from_u128(1), datetime!(2026-01-02 03:04:05 UTC)).unwrap();
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!((&body["type"], &body["timestamp"]), (&json!("webhook.test"), &json!("2026-01-02T03:04:05Z")));
        assert!(body["data"].is_object());
    }
}
