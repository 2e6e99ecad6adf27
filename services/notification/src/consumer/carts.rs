//! Notifications about lines that left a cart or have another price without an act of its shopper.

use agora_events::{
    Envelope,
    cart_line::{CartLineEvent, RemovedProduct, RepricedLine},
};
use serde_json::json;
use uuid::Uuid;

use super::notification;
use crate::domain::{CartUpdate, Content, Kind, NewNotification, PriceChange, Priority};

const KIND: (Kind, Priority) = (Kind::OrderUpdate, Priority::Standard);

pub(super) fn of_line(envelope: &Envelope, event: CartLineEvent) -> NewNotification {
    match event {
        CartLineEvent::Removed(removed) => of_removed(envelope, removed),
        CartLineEvent::Repriced(repriced) => of_repriced(envelope, repriced),
    }
}

/// The source is the product in the cart, not the event: a product that leaves a cart again is not reported again.
fn of_removed(envelope: &Envelope, removed: RemovedProduct) -> NewNotification {
    let RemovedProduct { cart_id, user_id, version: _, product_id, name, reason: _ } = removed;
    let source = Uuid::new_v5(&cart_id.uuid(), product_id.uuid().as_bytes());
    let metadata = json!({ "cartId": cart_id, "productId": product_id });
    let content = Content::CartUpdate(CartUpdate { product_id, name });
    NewNotification { source, ..notification(envelope, user_id, KIND, content, metadata) }
}

/// One per event: a price may change again.
fn of_repriced(envelope: &Envelope, repriced: RepricedLine) -> NewNotification {
    let RepricedLine { cart_id, user_id, version: _, product_id, variant, name, previous_price, price } = repriced;
    let metadata = json!({ "cartId": cart_id, "productId": product_id });
    let content = Content::PriceChange(PriceChange { product_id, name, variant, previous_price, price });
    notification(envelope, user_id, KIND, content, metadata)
}
