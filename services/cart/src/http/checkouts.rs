//! Internal routes for checkouts: `take` begins one, `give-back` cancels it. Depends on wire types and use cases, not on SQL.

use agora_api::{cart as api, catalog};
use agora_outbox::DedupKey;
use agora_web::{CommandId, Json, Problem};
use axum::{Router, extract::State, routing::post};

use crate::{
    domain::{Checkout, Line},
    usecases::CartService,
};

pub(super) fn routes() -> Router<CartService> {
    Router::new()
        .route("/internal/v1/take", post(begin_checkout))
        .route("/internal/v1/give-back", post(cancel_checkout))
}

async fn begin_checkout(
    State(service): State<CartService>,
    CommandId(id): CommandId,
    Json(body): Json<api::Take>,
) -> Result<Json<api::Taking>, Problem> {
    let api::Take { order_id, user_id } = body;
    let Checkout { order: _, cart, version, lines } =
        service.begin_checkout(order_id, user_id, &DedupKey::Command { id }).await?;
    Ok(Json(api::Taking { cart_id: cart, cart_version: version, lines: lines.into_iter().map(line).collect() }))
}

async fn cancel_checkout(
    State(service): State<CartService>,
    CommandId(id): CommandId,
    Json(body): Json<api::GiveBack>,
) -> Result<Json<api::TakingState>, Problem> {
    let state = service.cancel_checkout(body.order_id, &DedupKey::Command { id }).await?;
    Ok(Json(api::TakingState { state: state.as_str().to_owned() }))
}

fn line(line: Line) -> catalog::Line {
    let Line { id: _, product, variant, quantity, seen: _ } = line;
    catalog::Line { product_id: product, variant: variant.as_str().to_owned(), quantity: quantity.get() }
}
