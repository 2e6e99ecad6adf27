//! Public routes of a user's own cart. Depends on wire types and use cases, not on SQL.

use agora_api::cart as api;
use agora_vocab::{LineId, Secret};
use agora_web::{Command, Identity, Json, Path, Problem, Routes, created, no_content};
use axum::{extract::State, response::Response};

use super::{cart, new_line, quantity, request};
use crate::{domain::Owner, service::CartService};

pub(super) fn routes() -> Routes<CartService> {
    use api::routes::{ADD_ITEM, CHANGE_ITEM, MERGE, REMOVE_ITEM, VIEW};
    Routes::new().on(VIEW, view).on(ADD_ITEM, add).on(CHANGE_ITEM, change).on(REMOVE_ITEM, remove).on(MERGE, merge)
}

async fn view(State(service): State<CartService>, who: Identity) -> Result<Json<api::Cart>, Problem> {
    Ok(Json(cart(service.view(who.user.into()).await?, service.assets())))
}

async fn add(
    State(service): State<CartService>,
    who: Identity,
    Command { body, idempotency }: Command<api::AddItem>,
) -> Result<Response, Problem> {
    let (product, variant, units) = new_line(body)?;
    let owner = Owner::User(who.user);
    let done = service.add(owner, product, variant, units, &request(owner, idempotency)).await?;
    Ok(created("/api/v1/cart".to_owned(), cart(done.into_inner(), service.assets())))
}

async fn change(
    State(service): State<CartService>,
    Path(id): Path<LineId>,
    who: Identity,
    Command { body, idempotency }: Command<api::ChangeItem>,
) -> Result<Json<api::Cart>, Problem> {
    let units = quantity(body.quantity)?;
    let owner = Owner::User(who.user);
    let done = service.change(owner, id, units, &request(owner, idempotency)).await?;
    Ok(Json(cart(done.into_inner(), service.assets())))
}

async fn remove(
    State(service): State<CartService>,
    Path(id): Path<LineId>,
    who: Identity,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    let owner = Owner::User(who.user);
    service.remove(owner, id, &request(owner, idempotency)).await?;
    Ok(no_content())
}

async fn merge(
    State(service): State<CartService>,
    who: Identity,
    Command { body, idempotency }: Command<api::MergeCart>,
) -> Result<Json<api::Cart>, Problem> {
    let (token, dedup_key) = (Secret::new(body.cart_token), request(who.user.into(), idempotency));
    Ok(Json(cart(service.merge(who.user, &token, &dedup_key).await?.into_inner(), service.assets())))
}
