//! Internal routes for checkouts. Depends on wire types and use cases, not on SQL.

use agora_api::{cart as api, catalog};
use agora_chassis::trace;
use agora_outbox::DedupKey;
use agora_web::{Caller, CommandId, Json, Problem, Routes};
use axum::extract::State;

use crate::{
    domain::{Checkout, Line},
    service::CartService,
};

pub(super) fn routes() -> Routes<CartService> {
    Routes::new().on(api::routes::BEGIN_CHECKOUT, begin_checkout).on(api::routes::CANCEL_CHECKOUT, cancel_checkout)
}

async fn begin_checkout(
    State(service): State<CartService>,
    caller: Caller,
    CommandId(id): CommandId,
    Json(body): Json<api::BeginCheckout>,
) -> Result<Json<api::Checkout>, Problem> {
    let api::BeginCheckout { order_id, user_id } = body;
    caller.acts_for(user_id)?;
    trace::note_order(order_id);
    let Checkout { order: _, cart, version, lines } =
        service.begin_checkout(order_id, user_id, &DedupKey::Command { id }).await?;
    Ok(Json(api::Checkout { cart_id: cart, cart_version: version, lines: lines.into_iter().map(line).collect() }))
}

async fn cancel_checkout(
    State(service): State<CartService>,
    CommandId(id): CommandId,
    Json(body): Json<api::CancelCheckout>,
) -> Result<Json<api::CheckoutState>, Problem> {
    trace::note_order(body.order_id);
    let state = service.cancel_checkout(body.order_id, &DedupKey::Command { id }).await?;
    Ok(Json(api::CheckoutState { state: state.as_str().to_owned() }))
}

fn line(line: Line) -> catalog::Line {
    let Line { id: _, product, variant, quantity, seen: _, reported: _ } = line;
    catalog::Line { product_id: product, variant: variant.as_str().to_owned(), quantity: quantity.get() }
}
