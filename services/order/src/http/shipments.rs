//! Public HTTP API of shipments: `/api/v1/orders/{id}/shipments`.

use agora_api::order as api;
use agora_vocab::{OrderId, ShipmentId};
use agora_web::{Command, Identity, Json, Path, Problem, Routes, created};
use axum::{extract::State, response::Response};

use super::{
    dedup_key,
    public::item,
    wire::{location, wire},
};
use crate::{
    domain::{NewShipment, RequestedLines},
    service::{Error, OrderService},
};

pub fn routes(service: OrderService) -> Routes {
    use api::routes::{DELIVER, SHIP};
    Routes::new().on(SHIP, ship).on(DELIVER, deliver).with_state(service)
}

async fn ship(
    State(service): State<OrderService>,
    identity: Identity,
    Path(id): Path<OrderId>,
    command: Command<api::NewShipment>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(identity.user, Some(command.required()?));
    let api::NewShipment { items, carrier, tracking_number } = command.body;
    let items = RequestedLines::parse(items.into_iter().map(item).collect());
    let shipment = NewShipment::parse(service.new_shipment_id(), items, &carrier, tracking_number.as_deref());
    let order = service.ship(id, shipment.map_err(Error::Invalid)?, &dedup_key).await?.into_inner();
    Ok(created(location(&order), wire(&order)))
}

async fn deliver(
    State(service): State<OrderService>,
    identity: Identity,
    Path((id, shipment)): Path<(OrderId, ShipmentId)>,
    command: Command<()>,
) -> Result<Json<api::Order>, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    Ok(Json(wire(&service.deliver(id, shipment, &dedup_key).await?.into_inner())))
}
