//! Notifications about lines that left a cart without an act of its shopper.

use agora_events::{
    Envelope,
    cart_line::{CartLineEvent, RemovedProduct},
};
use serde_json::json;
use uuid::Uuid;

use super::notification;
use crate::domain::{CartUpdate, Content, Kind, NewNotification, Priority};

/// The source is the product in the cart, not the event: a product that leaves a cart again is not reported again.
pub(super) fn of_line(envelope: &Envelope, event: CartLineEvent) -> NewNotification {
    let CartLineEvent::Removed(removed) = event;
    let RemovedProduct { cart_id, user_id, version: _, product_id, name, reason: _ } = removed;
    let source = Uuid::new_v5(&cart_id.uuid(), product_id.uuid().as_bytes());
    let metadata = json!({ "cartId": cart_id, "productId": product_id });
    let content = Content::CartUpdate(CartUpdate { product_id, name });
    let kind = (Kind::OrderUpdate, Priority::Standard);
    NewNotification { source, ..notification(envelope, user_id, kind, content, metadata) }
}
