//! `/users/me/addresses`: the caller's address book. On the internal port, one entry of it for the order service.

use agora_api::{List, user as wire};
use agora_vocab::{Address, AddressId, AddressText, UserId};
use agora_web::{Caller, Command, Identity, Json, Path, Problem, Routes, created, no_content};
use axum::{extract::State, response::Response};

use super::dedup_key;
use crate::{
    domain::{BookEntry, Violations},
    service::UserService,
};

pub fn routes() -> Routes<UserService> {
    use wire::routes::{ADD_ADDRESS, LIST_ADDRESSES, READ_ADDRESS, REMOVE_ADDRESS, REPLACE_ADDRESS};
    Routes::new()
        .on(LIST_ADDRESSES, list)
        .on(ADD_ADDRESS, add)
        .on(READ_ADDRESS, read)
        .on(REPLACE_ADDRESS, replace)
        .on(REMOVE_ADDRESS, remove)
}

pub fn internal_routes() -> Routes<UserService> {
    Routes::new().on(wire::routes::READ_ADDRESS_OF, read_for_order)
}

async fn list(State(service): State<UserService>, identity: Identity) -> Result<Json<List<wire::Address>>, Problem> {
    let items: Vec<_> = service.addresses(identity.user).await?.into_iter().map(to_wire).collect();
    let total = u64::try_from(items.len()).ok();
    Ok(Json(List { items, total, next_cursor: None }))
}

async fn add(
    State(service): State<UserService>,
    identity: Identity,
    Command { body, idempotency }: Command<wire::PostalAddress>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(identity.user, idempotency);
    let entry = service.add_address(identity.user, address(body)?, &dedup_key).await?.into_inner();
    Ok(created(format!("/api/v1/users/me/addresses/{}", entry.id), to_wire(entry)))
}

async fn read(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<AddressId>,
) -> Result<Json<wire::Address>, Problem> {
    Ok(Json(to_wire(service.address(identity.user, id).await?)))
}

async fn replace(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<AddressId>,
    Command { body, idempotency }: Command<wire::PostalAddress>,
) -> Result<Json<wire::Address>, Problem> {
    let dedup_key = dedup_key(identity.user, idempotency);
    let entry = BookEntry { id, address: address(body)? };
    Ok(Json(to_wire(service.replace_address(identity.user, entry, &dedup_key).await?.into_inner())))
}

async fn remove(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<AddressId>,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    service.remove_address(identity.user, id, &dedup_key(identity.user, idempotency)).await?;
    Ok(no_content())
}

async fn read_for_order(
    State(service): State<UserService>,
    caller: Caller,
    Path((owner, id)): Path<(UserId, AddressId)>,
) -> Result<Json<wire::Address>, Problem> {
    caller.acts_for(owner)?;
    Ok(Json(to_wire(service.address(owner, id).await?)))
}

fn address(body: wire::PostalAddress) -> Result<Address, Violations> {
    Ok(AddressText::from(body).parse()?)
}

pub(super) fn to_wire(entry: BookEntry) -> wire::Address {
    wire::Address { id: entry.id, address: entry.address.into() }
}
