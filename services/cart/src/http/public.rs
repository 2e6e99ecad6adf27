//! Public routes of a user's own cart. Depends on wire types and use cases, not on SQL.

use agora_api::cart as api;
use agora_vocab::{Invalid, LineId, Variant};
use agora_web::{Command, Identity, Json, Path, Problem, Routes, created, no_content};
use axum::{extract::State, response::Response};

use super::{quantity, request};
use crate::{
    domain::{Item, RemovedItem, View},
    service::CartService,
};

pub(super) fn routes() -> Routes<CartService> {
    use api::routes::{ADD_ITEM, CHANGE_ITEM, REMOVE_ITEM, VIEW};
    Routes::new().on(VIEW, view).on(ADD_ITEM, add).on(CHANGE_ITEM, change).on(REMOVE_ITEM, remove)
}

async fn view(State(service): State<CartService>, who: Identity) -> Result<Json<api::Cart>, Problem> {
    Ok(Json(cart(service.view(who.user).await?)))
}

async fn add(
    State(service): State<CartService>,
    who: Identity,
    Command { body, idempotency }: Command<api::AddItem>,
) -> Result<Response, Problem> {
    let api::AddItem { product_id, quantity: units, variant } = body;
    let (units, variant) = (quantity(units), Variant::parse(variant.as_deref().unwrap_or_default()));
    let (units, variant) = match (units, variant) {
        (Ok(units), Ok(variant)) => (units, variant),
        (units, Err(Invalid { field, message })) => {
            return Err(units.err().unwrap_or_else(Problem::unprocessable).field(field, message));
        }
        (Err(problem), Ok(_)) => return Err(problem),
    };
    let dedup_key = request(who.user, idempotency);
    let done = service.add(who.user, product_id, variant, units, &dedup_key).await?;
    Ok(created("/api/v1/cart".to_owned(), cart(done.into_inner())))
}

async fn change(
    State(service): State<CartService>,
    Path(id): Path<LineId>,
    who: Identity,
    Command { body, idempotency }: Command<api::ChangeItem>,
) -> Result<Json<api::Cart>, Problem> {
    let units = quantity(body.quantity)?;
    let done = service.change(who.user, id, units, &request(who.user, idempotency)).await?;
    Ok(Json(cart(done.into_inner())))
}

async fn remove(
    State(service): State<CartService>,
    Path(id): Path<LineId>,
    who: Identity,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    service.remove(who.user, id, &request(who.user, idempotency)).await?;
    Ok(no_content())
}

fn cart(view: View) -> api::Cart {
    let View { id, version, items, total, removed: left_out } = view;
    let removed = left_out.into_iter().map(removed).collect();
    api::Cart { id, items: items.into_iter().map(item).collect(), total, removed, version }
}

fn item(item: Item) -> api::Item {
    let price_changed = item.price_changed();
    let Item { line, name, image_url, price, available } = item;
    api::Item {
        id: line.id,
        product_id: line.product,
        variant: line.variant.as_str().to_owned(),
        name,
        image_url,
        quantity: line.quantity.get(),
        price,
        available,
        price_changed,
    }
}

fn removed(removed: RemovedItem) -> api::RemovedItem {
    let RemovedItem { line, name, reason } = removed;
    api::RemovedItem {
        product_id: line.product,
        variant: line.variant.as_str().to_owned(),
        name,
        quantity: line.quantity.get(),
        price: line.seen,
        reason: reason.as_str().to_owned(),
    }
}
