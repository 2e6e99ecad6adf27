//! Public HTTP API of returns: `/api/v1/orders/{id}/returns`.

use agora_api::order as api;
use agora_vocab::{OrderId, ReturnId};
use agora_web::{Command, Identity, Json, Path, Problem, Routes, created};
use axum::{extract::State, response::Response};

use super::{
    dedup_key,
    public::{HELPERS, confined, item},
    wire::{location, wire},
};
use crate::{
    domain::{NewReturn, RequestedLines, ReturnChange},
    service::{Error, OrderService},
};

pub fn routes(service: OrderService) -> Routes {
    use api::routes::{ACCEPT_RETURN, RECEIVE_RETURN, REJECT_RETURN, REQUEST_RETURN};
    Routes::new()
        .on(REQUEST_RETURN, request)
        .on(ACCEPT_RETURN, accept)
        .on(REJECT_RETURN, reject)
        .on(RECEIVE_RETURN, receive)
        .with_state(service)
}

async fn request(
    State(service): State<OrderService>,
    identity: Identity,
    Path(id): Path<OrderId>,
    command: Command<api::NewReturn>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(identity.user, Some(command.required()?));
    let api::NewReturn { items, reason } = command.body;
    let items = RequestedLines::parse(items.into_iter().map(item).collect());
    let new = NewReturn::parse(service.new_return_id(), items, &reason).map_err(Error::Invalid)?;
    let order = service.request_return(id, confined(&identity, HELPERS), new, &dedup_key).await?.into_inner();
    Ok(created(location(&order), wire(&order)))
}

async fn accept(
    State(service): State<OrderService>,
    identity: Identity,
    Path(path): Path<(OrderId, ReturnId)>,
    command: Command<()>,
) -> Result<Json<api::Order>, Problem> {
    change(&service, &identity, path, (ReturnChange::Accept, command)).await
}

async fn reject(
    State(service): State<OrderService>,
    identity: Identity,
    Path(path): Path<(OrderId, ReturnId)>,
    command: Command<()>,
) -> Result<Json<api::Order>, Problem> {
    change(&service, &identity, path, (ReturnChange::Reject, command)).await
}

async fn receive(
    State(service): State<OrderService>,
    identity: Identity,
    Path(path): Path<(OrderId, ReturnId)>,
    command: Command<api::ReceiveReturn>,
) -> Result<Json<api::Order>, Problem> {
    let api::ReceiveReturn { resellable } = command.body;
    change(&service, &identity, path, (ReturnChange::Receive { resellable }, command)).await
}

async fn change<T>(
    service: &OrderService,
    identity: &Identity,
    (id, returned): (OrderId, ReturnId),
    (change, command): (ReturnChange, Command<T>),
) -> Result<Json<api::Order>, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    Ok(Json(wire(&service.change_return(id, returned, change, &dedup_key).await?.into_inner())))
}
