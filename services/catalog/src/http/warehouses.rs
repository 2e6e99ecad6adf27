//! Public routes for warehouses. Depends on wire types and use cases, not on SQL.

use agora_api::{CursorQuery, List, catalog as api};
use agora_vocab::WarehouseId;
use agora_web::{Command, Identity, Json, Path, Problem, Query, Routes, created, encode_cursor, etag, no_content, page_after};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};

use super::{
    request,
    wire::{self, InvalidFields},
};
use crate::{
    domain::{Label, Priority, Warehouse, WarehouseChange, WarehouseDetails},
    service::CatalogService,
};

pub(super) fn routes() -> Routes<CatalogService> {
    use api::routes::{CHANGE_WAREHOUSE, CREATE_WAREHOUSE, DELETE_WAREHOUSE, LIST_WAREHOUSES, READ_WAREHOUSE};
    Routes::new()
        .on(LIST_WAREHOUSES, list)
        .on(CREATE_WAREHOUSE, create)
        .on(READ_WAREHOUSE, one)
        .on(CHANGE_WAREHOUSE, change)
        .on(DELETE_WAREHOUSE, remove)
}

async fn list(
    State(catalog): State<CatalogService>,
    Query(query): Query<CursorQuery>,
) -> Result<Json<List<api::Warehouse>>, Problem> {
    let (after, size) = page_after(query)?;
    let page = catalog.warehouses(&after, size).await?.map(to_wire);
    Ok(Json(List { items: page.items, total: None, next_cursor: page.next.as_ref().map(encode_cursor) }))
}

async fn one(State(catalog): State<CatalogService>, Path(id): Path<WarehouseId>) -> Result<Response, Problem> {
    Ok(tagged(catalog.warehouse(id).await?))
}

async fn create(
    State(catalog): State<CatalogService>,
    who: Identity,
    Command { body, idempotency }: Command<api::NewWarehouse>,
) -> Result<Response, Problem> {
    let details = parse(body)?;
    let warehouse = catalog.create_warehouse(&details, &request(who.user, idempotency)).await?.into_inner();
    let tag = etag(warehouse.version);
    let mut answer = created(format!("/api/v1/warehouses/{}", warehouse.id), to_wire(warehouse));
    answer.headers_mut().insert(header::ETAG, tag);
    Ok(answer)
}

async fn change(
    State(catalog): State<CatalogService>,
    Path(id): Path<WarehouseId>,
    who: Identity,
    headers: HeaderMap,
    Command { body, idempotency }: Command<api::ChangeWarehouse>,
) -> Result<Response, Problem> {
    let expected = wire::expected(&headers, body.version)?;
    let change = parse_change(body)?;
    let changed = catalog.change_warehouse(id, &expected, &change, &request(who.user, idempotency)).await?;
    Ok(tagged(changed.into_inner()))
}

async fn remove(
    State(catalog): State<CatalogService>,
    Path(id): Path<WarehouseId>,
    who: Identity,
    headers: HeaderMap,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    let expected = wire::expected(&headers, None)?;
    catalog.delete_warehouse(id, &expected, &request(who.user, idempotency)).await?;
    Ok(no_content())
}

fn tagged(warehouse: Warehouse) -> Response {
    ([(header::ETAG, etag(warehouse.version))], Json(to_wire(warehouse))).into_response()
}

fn to_wire(warehouse: Warehouse) -> api::Warehouse {
    let Warehouse { id, version, details, location_name, created_at, updated_at } = warehouse;
    let WarehouseDetails { name, priority, location } = details;
    api::Warehouse {
        id,
        name: name.into(),
        priority: priority.get(),
        location_id: location,
        location: location_name.map(Into::into),
        version,
        created_at,
        updated_at,
    }
}

fn parse(body: api::NewWarehouse) -> Result<WarehouseDetails, Problem> {
    let api::NewWarehouse { name, priority, location_id } = body;
    let mut invalid_fields = InvalidFields::default();
    let name = invalid_fields.take(Label::parse("name", &name));
    let priority = invalid_fields.take(Priority::parse(priority.unwrap_or_default()));
    match (name, priority) {
        (Some(name), Some(priority)) => Ok(WarehouseDetails { name, priority, location: location_id }),
        _ => Err(invalid_fields.into_problem()),
    }
}

/// Parses the change; an error lists every invalid field.
fn parse_change(body: api::ChangeWarehouse) -> Result<WarehouseChange, Problem> {
    let api::ChangeWarehouse { version: _, name, priority, location_id } = body;
    let mut fields = InvalidFields::default();
    let change = WarehouseChange {
        name: fields.required("name", name).and_then(|text| fields.take(Label::parse("name", &text))),
        priority: fields.required("priority", priority).and_then(|number| fields.take(Priority::parse(number))),
        location: location_id,
    };
    if fields.is_empty() { Ok(change) } else { Err(fields.into_problem()) }
}
