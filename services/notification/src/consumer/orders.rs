//! Notifications about orders and payments. Mails follow `order.placed` and later events.
//!
//! `order.paid` stands for `payment.captured`, and `payment.refunded` for `order.refunded`: nobody is notified twice.

use agora_events::{
    Envelope,
    order::{Order, OrderEvent, OrderLine},
    payment::{Payment, PaymentEvent},
};
use agora_vocab::{Money, OrderId, UserId};
use serde_json::json;

use super::notification;
use crate::domain::{Content, Kind, LINES_MAX, Line, NewNotification, OrderStage, OrderUpdate, Priority};

const KIND: (Kind, Priority) = (Kind::OrderUpdate, Priority::Critical);

pub(super) fn of_order(envelope: &Envelope, event: OrderEvent) -> Option<NewNotification> {
    let (stage, order) = match event {
        OrderEvent::Placed(order) => (OrderStage::Placed, order),
        OrderEvent::Paid(order) => (OrderStage::Paid, order),
        OrderEvent::Processing(order) => (OrderStage::Processing, order),
        OrderEvent::Shipped(order) => (OrderStage::Shipped, order),
        OrderEvent::Completed(order) => (OrderStage::Completed, order),
        OrderEvent::Cancelled(order) => (OrderStage::Cancelled, order),
        OrderEvent::Expired(order) => (OrderStage::Expired, order),
        OrderEvent::Created(_) | OrderEvent::Rejected(_) | OrderEvent::Refunded(_) => return None,
    };
    let Order { order_id, number, user_id, items, total, .. } = order;
    let metadata = json!({ "orderId": order_id, "orderNumber": number });
    // One more than a mail shows, which says that there are more.
    let lines = items.into_iter().take(LINES_MAX + 1).map(line).collect();
    let update = OrderUpdate { stage, order_id, number: Some(number), lines, amount: total };
    Some(notification(envelope, user_id, KIND, Content::OrderUpdate(update), metadata))
}

pub(super) fn of_payment(envelope: &Envelope, event: &PaymentEvent) -> Option<NewNotification> {
    let (stage, user, order, payment, amount) = match event {
        PaymentEvent::Declined(payment) => of(OrderStage::PaymentDeclined, payment),
        PaymentEvent::Failed(payment) => of(OrderStage::PaymentFailed, payment),
        PaymentEvent::Refunded(refund) => {
            (OrderStage::Refunded, refund.user_id, refund.order_id, refund.payment_id, refund.amount)
        }
        PaymentEvent::Authorised(_) | PaymentEvent::Captured(_) | PaymentEvent::Voided(_) => return None,
    };
    let metadata = json!({ "orderId": order, "paymentId": payment });
    let update = OrderUpdate { stage, order_id: order, number: None, lines: Vec::new(), amount };
    Some(notification(envelope, user, KIND, Content::OrderUpdate(update), metadata))
}

fn of(stage: OrderStage, payment: &Payment) -> (OrderStage, UserId, OrderId, agora_vocab::PaymentId, Money) {
    (stage, payment.user_id, payment.order_id, payment.payment_id, payment.amount)
}

fn line(line: OrderLine) -> Line {
    let OrderLine { name, variant, quantity, price, .. } = line;
    Line { name, variant, quantity, price }
}
